"""The BEIR layout, downloads that are broken, and the data sets that are available."""

from __future__ import annotations

import ast
import gzip
import hashlib
import http.server
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from tiny import write_dataset

from harness.config import entries
from harness.data import beir, docstrings, download, loading, plausible
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
    folder = write_dataset(tmp_path / "x", DOCS, {"q": "two"}, {"q": {"2": 1}})
    lines = [
        '{"_id": "1", "title": "T", "text": "x\u2028y\u0085z"}',
        '{"_id": "2", "title": null, "text": "t"}',
        '{"_id": "3", "text": ""}',
    ]
    (folder / "corpus.jsonl").unlink()
    with gzip.open(folder / "corpus.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    assert beir.read_folder("x", folder, "test", None).docs == {"3": "", "2": "t", "1": "T x\u2028y\u0085z"}


def spoil(folder, name, content):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())


LINE = '{"_id": "b", "title": "", "text": "two"}'
TSV = "query-id\tcorpus-id\tscore\n"


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + LINE.encode() + b"\n",  # a byte order mark
        LINE + "\r\n",
        "\n" + LINE + "\n \n\n",
        LINE,
        '{"_id": "b", "title": null, "text": "two", "metadata": {"x": [1, 2]}}',
        '{"text": "two", "_id": "b"}',
        '{"_id": "b", "title": "two"}',
    ],
)
def test_texts_are_read_however_they_are_written(tmp_path, content):
    folder = write_dataset(tmp_path / "x", DOCS, {"q": "two"}, {"q": {"b": 1}})
    spoil(folder, "corpus.jsonl", content)
    assert beir.read_folder("x", folder, "test", None).docs == {"b": "two"}


@pytest.mark.parametrize(
    "content",
    [
        TSV + "q\tb\t1\nq\ta\t0\n",
        b"\xef\xbb\xbf" + TSV.encode() + b"q\tb\t1\r\nq\ta\t0\r\n\r\n",
        "q\tb\t1\nq\ta\t0\n",  # without a header, no line is taken for one
        "q\tb\t1 \nq\ta\t0\n",
        "q\tb\t+1\nq\ta\t-0\n",
        "q 0 b 1\nq 0 a 0\n",  # TREC
        "q\t0\tb\t1\nq\tQ0\ta\t0\n",
        "q   Q0 b 1\nq 0\ta 0\n",
        TSV + "q\tb\t1\nq\ta\t0\nq\tb\t1\n",  # the same twice
    ],
)
def test_judgements_are_read_however_they_are_written(tmp_path, content):
    folder = write_dataset(tmp_path / "x", DOCS, {"q": "two"}, {"q": {"b": 1}})
    spoil(folder, "qrels/test.tsv", content)
    assert beir.read_folder("x", folder, "test", None).qrels == {"q": {"b": 1, "a": 0}}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("corpus.jsonl", "", "corpus.jsonl is empty, expected at least one document"),
        ("corpus.jsonl", LINE + '\n{"_id": "c", "te', "line 2: an object that does not end on this line"),
        ("corpus.jsonl", '{"_id": "b",\n "text": "two"}\n', "line 1: an object that does not end on this line"),
        ("corpus.jsonl", '{"id": "b", "text": "two"}', "line 1: an object with 'id', 'text'; expected the field '_id'"),
        ("corpus.jsonl", f"{LINE}\n{LINE}\n", "line 2: the _id 'b' stands here for the second time"),
        ("corpus.jsonl", '{"_id": "b", "text": ["two"]}', "line 1: the text is a list, .'two'.; expected a text in q"),
        ("corpus.jsonl", '{"_id": "b", "title": 7}', "line 1: the title is a number, 7; expected a text in quotes"),
        ("corpus.jsonl", '{"_id": 1.5, "text": "two"}', "line 1: the _id 1.5; expected a text: write it in quotes"),
        ("corpus.jsonl", '{"_id": "\\ud800", "text": "two"}', r"line 1: the _id '.ud800'; expected a text without"),
        ("corpus.jsonl", LINE.encode("utf-16"), "line 1: zero bytes, as in UTF-16; expected UTF-8: convert it"),
        ("corpus.jsonl", LINE.encode("utf-16-be"), "line 1: zero bytes, as in UTF-16"),
        ("corpus.jsonl", LINE.replace("two", "tw\xf6").encode("latin1"), "line 1: byte 0xF6 at position"),
        ("corpus.jsonl", f"{LINE},\n", "line 1: a comma after the object; expected one object per line"),
        ("corpus.jsonl", f"{LINE} {LINE}\n", "line 1: .* after the object; .* write nothing else on its line"),
        ("corpus.jsonl", f"[{LINE}]\n", "line 1: a JSON array; .* on its own line"),
        ("corpus.jsonl", f"[\n{LINE}\n]\n", "line 1: a JSON array; .* on its own line"),
        ("corpus.jsonl", '{"_id": "b", "text": "one", "text": "two"}', "line 1: the field 'text' twice in one object"),
        ("corpus.jsonl", "b,two\n", r"line 1: no JSON .Expecting value at character 1"),
        ("corpus.jsonl", '{"_id": "b", "contents": "two"}', "no document of .* fields are '_id', 'contents'; exp"),
        ("corpus.jsonl", '{"_id": "z", "text": "two"}', "the 1 relevant documents of .* such as 'b', .* such as 'z'"),
        ("queries.jsonl", '{"_id": "z", "text": "x"}\n', "1 of 1 judged queries, first 'q', are not in .* such as 'z'"),
        (
            "queries.jsonl",
            '{"_id": "q", "text": null}\n',
            "first 'q', have no text: .* the fields '_id', 'text'",
        ),
        ("queries.jsonl", '{"_id": "q", "query": "two"}\n', "judged queries .* have no text: .* fields '_id', 'query'"),
        ("qrels/test.tsv", "h\th\th\n", "no query is judged in "),
        ("qrels/test.tsv", TSV + "q\tb\t0\n", "no score in .* is above 0"),
        ("qrels/test.tsv", TSV + "q\tb\n", r"line 2: .*, 2 columns; expected query id, document id"),
        ("qrels/test.tsv", TSV + "q b 1\n", r"line 2: 'q b 1', 3 columns; .* separated by tabs"),
        ("qrels/test.tsv", "q,b,1\n", "line 1: 'q,b,1', 1 columns"),
        ("qrels/test.tsv", TSV + "q\tb\thigh\n", "line 2: the score 'high'; expected a whole number"),
        ("qrels/test.tsv", "q\tb\thigh\nq\ta\t1\n", "line 1: the score 'high'; expected a whole number"),
        ("qrels/test.tsv", TSV + "q\tb\t1.0\n", "line 2: the score '1.0'; expected a whole number"),
        ("qrels/test.tsv", "q\tb\t1.0\nq\ta\t1\n", "line 1: the score '1.0'; expected a whole number"),
        ("qrels/test.tsv", TSV + "q\tb\t1_0\n", "line 2: the score '1_0'; expected a whole number"),
        ("qrels/test.tsv", TSV + "q\tb\t\uff11\n", "line 2: the score .*; expected a whole number"),
        ("qrels/test.tsv", TSV + "q\tb\t\n", "line 2: the score ''; expected a whole number"),
        ("qrels/test.tsv", TSV + "q\tb\t1\nq\tb\t2\n", "line 3: query 'q' and document 'b' are judged 2, and 1 on"),
        ("qrels/test.tsv", (TSV + "q\tb\t1\n").encode("utf-16"), "line 1: zero bytes, as in UTF-16"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line(tmp_path, name, content, message):
    folder = write_dataset(tmp_path / "x", DOCS, {"q": "two"}, {"q": {"b": 1}})
    spoil(folder, name, content)
    with pytest.raises(HarnessError, match=message) as error:
        beir.read_folder("x", folder, "test", None)
    assert str(folder) in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_or_split_is_named(tmp_path):
    folder = write_dataset(tmp_path / "x", DOCS, {"q": "two"}, {"q": {"b": 1}})
    with pytest.raises(HarnessError, match="has the splits test; set train_data.split"):
        beir.read_folder("x", folder, "train", None, option="train_data")
    (folder / "corpus.jsonl").unlink()
    with pytest.raises(HarnessError, match="corpus.jsonl is missing, expected a data set in the BEIR layout"):
        beir.read_folder("x", folder, "test", None)
    (folder / "corpus.jsonl").mkdir()
    with pytest.raises(HarnessError, match="cannot read .*corpus.jsonl .Is a directory."):
        beir.read_folder("x", folder, "test", None)


def test_a_gzip_file_that_is_cut_off_is_damaged(tmp_path):
    folder = write_dataset(tmp_path / "x", DOCS, {"q": "two"}, {"q": {"b": 1}})
    (folder / "corpus.jsonl").unlink()
    spoil(folder, "corpus.jsonl.gz", gzip.compress(LINE.encode())[:-5])
    with pytest.raises(HarnessError, match=r"corpus.jsonl.gz is damaged after line \d .* expected a whole gzip file"):
        beir.read_folder("x", folder, "test", None)


def test_of_a_query_the_text_alone_is_read(tmp_path):
    folder = write_dataset(tmp_path / "x", DOCS, {"q": "two"}, {"q": {"b": 1}})
    spoil(folder, "queries.jsonl", '{"_id": "q", "title": "three", "text": "two"}\n')
    assert beir.read_folder("x", folder, "test", None).queries == {"q": "two"}


def test_half_characters_are_replaced_and_said(tmp_path):
    folder = write_dataset(tmp_path / "x", DOCS, {"q": "two"}, {"q": {"b": 1}})
    spoil(folder, "corpus.jsonl", LINE + '\n{"_id": "c", "text": "a\\ud83d b \\ud83d\\ude00"}\n')
    dataset = beir.read_folder("x", folder, "test", None)
    assert dataset.docs["c"] == "a\ufffd b \U0001f600"
    assert dataset.notes == ("half characters were replaced by U+FFFD in 1 texts of corpus.jsonl, first on line 2",)


def test_oddities_are_counted_and_noted(tmp_path):
    docs = {**DOCS, "q1": "one", "e": ""}
    qrels = {"q1": {"q1": 1, "a": 0, "gone": 2}, "q2": {"b": 1}, "q3": {"b": 0}}
    folder = write_dataset(tmp_path / "x", docs, {"q1": "one", "q2": "two", "q3": "three"}, qrels)
    dataset = beir.read_folder("x", folder, "test", None)
    assert plausible.counted(dataset) == plausible.Counts(1, 3, 1, 1, 1)
    assert [note.split(",")[0] for note in dataset.notes] == [
        "1 of 3 relevant judgements are of the document with the query's own id",
        "1 of 3 relevant judgements are of documents that are not in the corpus",
        "1 of 6 documents have no text",
        "1 of 3 queries have no relevant document",
    ]
    kept = beir.read_folder("x", folder, "test", None, keep_self_matches=True)
    assert len(kept.notes) == 3 and kept.sha256 != dataset.sha256


def test_found_under_data_dir_with_and_without_groups(tmp_path):
    for where in (tmp_path / "flat" / "x", tmp_path / "grouped" / "beir" / "x"):
        write_dataset(where, DOCS, {"q": "two"}, {"q": {"b": 1}})
        assert (
            loading.folder({"name": "x"}, str(tmp_path / where.parts[len(tmp_path.parts)]), tmp_path / "cache") == where
        )


def test_a_folder_that_is_being_unpacked_is_no_data_set(tmp_path):
    options = {"name": "x", "md5": "0" * 32}
    write_dataset(tmp_path / "cache" / "beir" / "x.part" / "x", DOCS, {"q": "two"}, {"q": {"b": 1}})
    assert loading.local(options, None, tmp_path / "cache") is None
    write_dataset(tmp_path / "cache" / "beir" / "x", DOCS, {"q": "two"}, {"q": {"b": 1}})
    assert loading.local(options, None, tmp_path / "cache") == tmp_path / "cache" / "beir" / "x"


def test_one_process_downloads_and_the_others_wait(tmp_path, monkeypatch):
    target, begun = tmp_path / "beir" / "x", []

    def slow(name, md5, root, show):
        begun.append(name)
        time.sleep(0.2)
        write_dataset(target, DOCS, {"q": "two"}, {"q": {"b": 1}})
        return root / name

    monkeypatch.setattr(loading, "download", slow)
    with ThreadPoolExecutor(3) as pool:
        options = {"name": "x", "md5": "0" * 32}
        found = [pool.submit(loading.folder, options, None, tmp_path) for _ in range(3)]
        assert {one.result() for one in found} == {target} and begun == ["x"]


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

    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
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
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
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


def test_definitions_of_a_file_are_in_the_order_of_a_walk():
    tree = ast.parse(
        "class A:\n  def f(self):\n    try:\n      def g(): pass\n    except E:\n      def h(): pass\ndef i(): pass"
    )
    kinds = (ast.FunctionDef, ast.ClassDef)
    found = [node for node in docstrings._statements(tree) if isinstance(node, kinds)]
    assert found == [node for node in ast.walk(tree) if isinstance(node, kinds)] and len(found) == 5
