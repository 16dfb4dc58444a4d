"""The BEIR layout, downloads that are broken, and the data sets that are available."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import threading
import zipfile

import pytest
from tiny import write_dataset

from harness.config import entries
from harness.data import beir, download, loading
from harness.system.errors import HarnessError

DOCS = {"a": "one", "b": "two", "c10": "three", "c9": "four"}


def test_documents_by_id_descending_and_queries_judged_only(tmp_path):
    folder = write_dataset(
        tmp_path / "x", DOCS, {"q2": "two", "q1": "One "}, {"q1": {"a": 1}, "q2": {"b": 0}}, {"t": "ONE", "u": "five"}
    )
    (folder / "queries.jsonl").write_text((folder / "queries.jsonl").read_text() + '{"_id": "unjudged", "text": "x"}\n')
    dataset = beir.read_folder("x", folder, "test", 32)
    assert list(dataset.docs) == ["c9", "c10", "b", "a"]
    assert list(dataset.queries) == list(dataset.qrels) == ["q2", "q1"]
    assert dataset.other_queries == {"u": "five"}  # "ONE" is evaluated, in other letters
    assert dataset.other_split == "train"


def test_titles_and_odd_characters(tmp_path):
    folder = write_dataset(tmp_path / "x", DOCS, {"q": "two"}, {"q": {"b": 1}})
    lines = [
        '{"_id": "1", "title": "T", "text": "x\u2028y\u0085z"}',
        '{"_id": "2", "title": null, "text": "t"}',
        '{"_id": "3", "text": ""}',
    ]
    (folder / "corpus.jsonl").unlink()
    with gzip.open(folder / "corpus.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    assert beir.read_folder("x", folder, "test", None).docs == {"3": "", "2": "t", "1": "T x\u2028y\u0085z"}


def spoil(folder, name, text):
    (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "corpus.jsonl").unlink(), "corpus.jsonl is missing"),
        (lambda f: spoil(f, "corpus.jsonl", ""), "is empty"),
        (lambda f: spoil(f, "corpus.jsonl", '{"_id": "a", "text": "x"}\n{"_id": "b", "te'), "damaged at line 2"),
        (lambda f: spoil(f, "corpus.jsonl", '{"text": "no id"}\n'), "damaged at line 1"),
        (lambda f: spoil(f, "queries.jsonl", '{"_id": "z", "text": "x"}\n'), "1 judged queries, first 'q'"),
        (lambda f: spoil(f, "qrels/test.tsv", "h\th\th\n"), "no query is judged"),
        (lambda f: spoil(f, "qrels/test.tsv", "q\tb\t1\n"), "expected a header"),
        (lambda f: spoil(f, "corpus.jsonl", '{"_id": "a", "text": "x"}\n' * 2), "damaged at line 2"),
        (lambda f: spoil(f, "corpus.jsonl", '{"_id": "a", "text": ["x"]}\n'), "damaged at line 1"),
        (lambda f: spoil(f, "qrels/test.tsv", "h\th\th\nq\tb\n"), "test.tsv is damaged"),
        (lambda f: spoil(f, "qrels/test.tsv", "h\th\th\nq\tb\thigh\n"), "test.tsv is damaged"),
        (lambda f: (f / "qrels/test.tsv").rename(f / "qrels/dev.tsv"), "has the splits dev; set dataset.split"),
    ],
)
def test_damaged_folders_are_named(tmp_path, damage, message):
    folder = write_dataset(tmp_path / "x", DOCS, {"q": "two"}, {"q": {"b": 1}})
    damage(folder)
    with pytest.raises(HarnessError, match=message):
        beir.read_folder("x", folder, "test", None)


def test_found_under_data_dir_with_and_without_groups(tmp_path):
    for where in (tmp_path / "flat" / "x", tmp_path / "grouped" / "beir" / "x"):
        write_dataset(where, DOCS, {"q": "two"}, {"q": {"b": 1}})
        assert (
            loading.folder({"name": "x"}, str(tmp_path / where.parts[len(tmp_path.parts)]), tmp_path / "cache") == where
        )


def test_wrong_counts_are_refused(tmp_path):
    write_dataset(tmp_path / "x", DOCS, {"q": "two"}, {"q": {"b": 1}})
    options = {"name": "x", "split": "test", "docs": 5}
    with pytest.raises(HarnessError, match="'x' has 4 docs, expected 5"):
        loading.load(options, str(tmp_path), tmp_path / "cache")


def packed(tmp_path, members):
    archive = tmp_path / "cache" / "x.zip"
    archive.parent.mkdir(parents=True)
    with zipfile.ZipFile(archive, "w") as file:
        for name, text in members.items():
            file.writestr(name, text)
    return archive, hashlib.md5(archive.read_bytes()).hexdigest()


def test_a_good_zip_is_unpacked_and_a_broken_one_is_not_kept(tmp_path):
    archive, md5 = packed(tmp_path, {"x/corpus.jsonl": "{}", "x/qrels/test.tsv": ""})
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-30])
    with pytest.raises(HarnessError, match=f"expected {md5}"):
        download.unpack(archive, md5, tmp_path / "cache" / "x")
    assert not list((tmp_path / "cache").iterdir())
    archive.write_bytes(whole)
    assert download.unpack(archive, md5, tmp_path / "cache" / "x") == tmp_path / "cache" / "x"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["x"]
    assert (tmp_path / "cache" / "x" / "qrels" / "test.tsv").exists()


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A data host on this machine: x.zip is whole, y.zip is cut off, all else is an error page."""
    archive, md5 = packed(tmp_path / "host", {"x/corpus.jsonl": "{}", "x/qrels/test.tsv": ""})
    content = archive.read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.strip("/")
            body = {"x.zip": content, "y.zip": content[:-40]}.get(name, b"<html>not found</html>")
            self.send_response(200 if name in ("x.zip", "y.zip") else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    host = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=host.serve_forever, daemon=True).start()
    monkeypatch.setattr(download, "URL", f"http://127.0.0.1:{host.server_port}/" + "{name}.zip")
    yield md5
    host.shutdown()


def test_download_checks_and_keeps_only_what_is_whole(tmp_path, server, capfd):
    target = tmp_path / "beir"
    assert download.download("x", server, target, show=False) == target / "x"
    assert [path.name for path in target.iterdir()] == ["x"] and capfd.readouterr().err == ""
    for name in ("y", "z"):  # cut off; an error page that was saved as if it were the file
        with pytest.raises(HarnessError, match=f"{name}.zip has MD5"):
            download.download(name, server, target, show=False)
        assert [path.name for path in target.iterdir()] == ["x"]


def test_a_host_that_does_not_answer_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(download, "URL", "http://127.0.0.1:9/{name}.zip")
    with pytest.raises(HarnessError, match="cannot download data set 'x' .*: go online, or set data_dir"):
        download.download("x", "0" * 32, tmp_path / "beir", show=False)
    assert not list((tmp_path / "beir").iterdir())


def test_a_zip_that_leaves_its_folder_is_not_unpacked(tmp_path):
    archive, md5 = packed(tmp_path, {"../../evil": "x"})
    with pytest.raises(HarnessError, match="points outside its folder"):
        download.unpack(archive, md5, tmp_path / "cache" / "x")
    assert not (tmp_path / "evil").exists()


SMALL = {"packages": ["networkx"], "documents": 200, "evaluated": 50}  # of the two others, reading takes seconds


@pytest.mark.parametrize("changes", [SMALL, pytest.param({}, marks=pytest.mark.pipeline)], ids=["small", "shipped"])
def test_docstrings_are_deterministic_and_masked(changes):
    options = {**entries.entry("dataset", "docstrings"), **changes}
    dataset = loading.of_docstrings(options)
    assert dataset.sha256 == loading.of_docstrings(options).sha256
    assert len(dataset.docs) == options["documents"] and len(dataset.queries) == options["evaluated"]
    assert len(set(dataset.docs.values())) == len(dataset.docs)
    assert not set(dataset.queries.values()) & set(dataset.other_queries.values())
    for query, judged in dataset.qrels.items():
        (name,) = judged
        words = dataset.docs[name].lower().replace("[name]", "").split()
        assert query == f"summary of {name}" and name.split(".")[-1].lower() not in words


@pytest.mark.parametrize("name", ["scifact", "nfcorpus", "arguana", "cranfield", "npl", "msmarco-dl19-pool"])
def test_real_data_sets_have_the_documented_counts(real_data, tmp_path, name):
    dataset = loading.load(entries.entry("dataset", name), str(real_data), tmp_path)
    assert list(dataset.docs) == sorted(dataset.docs, reverse=True)
