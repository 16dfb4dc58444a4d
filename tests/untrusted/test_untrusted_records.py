"""What records and results say is data.

Each attack is made for real: its payload would make a file, the marker.
"""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pytest
from attacks import in_a_zip, plant, refused
from omegaconf import OmegaConf
from tiny import WORDS, write_dataset

from harness import records
from harness.cli import main
from harness.geometry import file
from harness.reproduce import rerun
from harness.system.errors import HarnessError

SECRET = "the-value-of-a-secret"
IDS = {"../../evil": "wing flow", "/etc/evil": "heat", "a\"b'c": "shock layer", "<script>alert(1)</script>": "drag"}


@pytest.fixture(scope="module")
def measured(lateon_like, tmp_path_factory):
    """(Folder of cache and results, words that find model and data): one cell, of documents with odd ids."""
    folder = tmp_path_factory.mktemp("measured") / "a" / "b"
    docs = {**IDS, **{f"d{i}": " ".join(WORDS[i : i + 5]) for i in range(15)}}
    queries = {name: text for name, text in list(IDS.items())[:3]} | {"<b>q": "wave nose"}
    data = write_dataset(folder / "data" / "odd", docs, queries, {name: {"d1": 1} for name in queries})
    places = [f"models_dir={lateon_like.parent}", f"data_dir={data.parent}", f"cache_dir={folder / 'cache'}"]
    words = [f"model.path={lateon_like}", f"dataset.path={data}", f"results_dir={folder / 'results'}", *places]
    small = ["depths=[0,5]", "method=smve", "method.width=64", "reference=null", "save_runs=true", "progress=false"]
    assert main(["run", *words, *small]) == 0
    return folder, places


def record_of(folder):
    (path,) = (folder / "results" / "records").rglob("*.json")
    return path


def test_ids_stay_in_their_column_and_name_no_file(measured):
    folder, _ = measured
    assert not [path for path in folder.parent.parent.rglob("*evil*") if path.is_file()]
    runs = sorted((folder / "results" / "runs").rglob("*.gz"))
    assert len(runs) == 2
    for path in runs:
        with gzip.open(path, "rt") as file:
            lines = [line.rstrip("\n").split(" ") for line in file]
        assert {len(line) for line in lines} == {6} and {line[1] for line in lines} == {"Q0"}
        assert {line[2] for line in lines} & IDS.keys()


def test_a_finished_cells_arrays_are_not_believed_as_pickles(measured, tmp_path, marker, capsys):
    """Every array file that a run left, replaced; then the same run once more, without its record."""
    folder = shutil.copytree(measured[0], tmp_path / "copy")
    path = record_of(folder)
    words = [f"dataset.path={folder / 'data' / 'odd'}", f"cache_dir={folder / 'cache'}", measured[1][0]]
    words += [f"results_dir={folder / 'results'}", f"model.path={measured[1][0].split('=')[1]}/lateon-like"]
    path.unlink()
    arrays = list((folder / "cache").rglob("*.npz"))
    assert len(arrays) == 2
    for array in arrays:
        plant(array, in_a_zip(marker))
    capsys.readouterr()
    small = ["depths=[0,5]", "method=smve", "method.width=64", "reference=null", "progress=false"]
    assert main(["run", *words, *small]) == 1
    assert "is damaged" in capsys.readouterr().err and not path.exists()


@pytest.fixture
def tampered(measured, tmp_path):
    """A copy of the record after some change of its content."""

    def make(place, value):
        path = tmp_path / "strange" / "records" / "odd" / "lateon-like" / "corpus" / "smve+width=64.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = json.loads(record_of(measured[0]).read_text())
        del content["crc32"]  # as a stranger can write it
        *parts, last = place.split(".")
        inner = content
        for part in parts:
            inner = inner[part]
        inner[last] = value
        path.write_text(json.dumps(content))
        return path

    return make


LOOKED_UP = ["${oc.env:HARNESS_TEST_SECRET}", "a-${oc.env:HOME}", "${oc.decode:x}", "${data_dir}", "${now:%Y}", "???"]


@pytest.mark.parametrize("value", LOOKED_UP)
def test_a_record_makes_nothing_be_looked_up(value, measured, tampered, monkeypatch, capsys):
    monkeypatch.setenv("HARNESS_TEST_SECRET", SECRET)
    for place in ("model.name", "model.title", "model.path", "dataset.name", "dataset.split", "method.seed", "device"):
        said = refused(["reproduce", tampered(f"config.{place}", value), *measured[1]], capsys)
        assert f"the record's config.{place} is" in said and SECRET not in said and str(Path.home()) + "/" not in said


def test_what_is_nested_in_a_record_is_not_looked_up_either(measured, tampered, capsys):
    for value in ([{"sha256": "a", "note": LOOKED_UP[0]}], {LOOKED_UP[0]: [[LOOKED_UP[0]]]}):
        said = refused(["reproduce", tampered("config.model.known_weights", value), *measured[1]], capsys)
        assert "expected a plain value without references" in said


STRANGE = [
    ("model.name", "../../x", "the model name '../../x' cannot be a file name"),
    ("dataset.name", "/etc", "the dataset name '/etc' cannot be a file name"),
    ("method.name", "smve,plaid", "unknown method 'local'"),
    ("center.name", ["none"], "the center name"),
    ("model.path", "../../etc", "the record's model.path is '../../etc': expected the name of a folder alone."),
    ("model.path", "/etc", "expected the name of a folder alone"),
    ("model.path", "..", "expected the name of a folder alone"),
    ("model.path", "*", "which is not in models_dir"),
    ("model.path", "a\0b", "expected the name of a folder alone"),
    ("dataset.path", "..\\x", "expected the name of a folder alone"),
    ("dataset.path", ["odd"], "expected the name of a folder alone"),
    ("model.head", "/etc/passwd", "has the head '/etc/passwd', which is not shipped: set model.head=FILE."),
    ("model.head", "head.safetensors", "which is not shipped"),
    ("model.hub", "../../x", "model.hub=../../x: expected a hub id"),
    ("model.revision", "../../x", "model.revision=../../x: expected a branch, tag or commit"),
    ("model.attention", "someone/kernels", "model.attention=someone/kernels: expected one of"),
    ("method._target_", "os.mkdir", "has the option _target_, which this version does not know"),
    ("method.seed", "42", "method.seed=42: expected a whole number"),
    ("threads", {"_target_": "os.mkdir"}, "threads="),
    ("model", None, "has no usable config"),
    ("dataset", "odd", "has no usable config"),
]


@pytest.mark.parametrize(("place", "value", "message"), STRANGE)
def test_a_record_names_no_code_and_no_file_but_model_and_data(place, value, message, measured, tampered, capsys):
    said = refused(["reproduce", tampered(f"config.{place}", value), *measured[1]], capsys)
    assert message in said


def test_a_split_of_a_record_is_a_name(measured, tampered, tmp_path, capsys):
    (tmp_path / "secret.tsv").write_text("query-id\tcorpus-id\tscore\n")
    path = tampered("config.dataset.split", f"../../../../../../..{tmp_path}/secret")
    assert "dataset.split='../../" in refused(["reproduce", path, *measured[1]], capsys)


def test_options_of_this_machine_are_not_a_records(measured, tampered, evil):
    """Neither packages, which finding would import in part, nor files to hash, nor unknown options."""
    changes = {
        "config.model.package": "evil.part",
        "config.model.files": {"../../../etc/passwd": "0"},
        "config.model._target_": "os.mkdir",
        "config.dataset.builder": "docstrings",
        "config.dataset.packages": ["evil.part"],
        "config.results_dir": "/etc",
        "config.hydra": {"launcher": {"_target_": "os.mkdir"}},
    }
    for place, value in changes.items():
        found = rerun.configuration(records.read(tampered(place, value)), measured[1])
        assert not {"_target_", "evil", "passwd"} & set(OmegaConf.to_yaml(found).replace(":", " ").split())
        assert found.results_dir != "/etc" and found.model.package is None and "builder" not in found.dataset


DAMAGED = [
    ("dataset", "../../x", "dataset is '../../x', which is no file name"),
    ("model", "/etc/x", "model is '/etc/x', which is no file name"),
    ("model", "<script>alert(1)</script>", "which is no file name"),
    ("center", "a | b", "which is no file name"),
    ("method", "smve\n| x | y |", "which is no file name"),
    ("method", "", "which is no file name"),
    ("model", 5, "model is not a str"),
    ("notes", ["a\n| forged | line |"], "a note is not a line of text"),
    ("notes", "text", "notes is not a list"),
    ("ndcg10", {"0": float("nan")}, "the number NaN"),
    ("ndcg10", {"0": float("-inf")}, "the number -Infinity"),
    ("ndcg10", {"0": 3.0}, "not a number for each depth, from 0 to 1"),
    ("ndcg10", [0.5], "ndcg10 is not a dict"),
    ("bytes", {"index": 10**30}, "a number of 31 digits"),
    ("bytes", {"index": "10"}, "bytes are not numbers"),
    ("candidate_recall", {"50": "wing"}, "candidate_recall is not a number for each depth"),
    ("per_query", {"queries": [[]]}, "the queries are not a list of ids"),
    ("per_query.0", 1, "the scores at depth '0' are not a list of numbers"),
    ("ndcg10", {"0": 0.123456}, "ndcg10 at depth '0' is not the mean of the queries' scores"),
    ("config", "text", "config is not a dict"),
]


@pytest.mark.parametrize(("place", "value", "message"), DAMAGED)
def test_a_record_with_what_run_never_writes_is_not_read(place, value, message, measured, tampered, capsys):
    path = tampered(place, value)
    with pytest.raises(HarnessError, match=r"the record .* is damaged .*delete it and run the cell again") as error:
        records.read(path)
    assert message in str(error.value)
    results = path.parents[4]
    for command in ("table", "report"):
        words = [f"dataset.path={measured[0] / 'data' / 'odd'}", f"results_dir={results}"]
        assert "is damaged" in refused([command, *words], capsys)
    assert not (results / "report.html").exists()


@pytest.mark.parametrize(
    "text", ["[" * 200_000, '{"format": ' + "[" * 200_000, '{"format": 1e999}', '{"format": NaN}', "5"]
)
def test_a_text_that_is_no_record_is_a_sentence(text, tmp_path):
    (tmp_path / "x.json").write_text(text)
    for read in (records.read, file.read):
        with pytest.raises(HarnessError, match=r"x\.json (is damaged|has format)"):
            read(tmp_path / "x.json")


def test_depths_beyond_reason_are_refused(measured, tampered, capsys):
    scores = record_of(measured[0])
    content = json.loads(scores.read_text())
    for depth in ("x", str(10**25), "-1"):
        path = tampered("ndcg10", {depth: 0.5})
        changed = json.loads(path.read_text())
        changed["per_query"][depth] = content["per_query"]["0"]
        path.write_text(json.dumps(changed))
        refused(["reproduce", path, *measured[1]], capsys)


@pytest.mark.parametrize("name", ["../../evil", "<script>", "a|b"])
def test_a_geometry_with_a_name_that_is_no_files_is_not_drawn(name, tmp_path, capsys):
    content = dict.fromkeys(file._KEYS, {}) | {"format": 1, "dataset": "scifact", "model": name}
    path = file.path_of(tmp_path / "a" / "b", "scifact", "lateon")
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    words = ["plot", "what=spectrum", "model=lateon", "dataset=scifact", f"results_dir={tmp_path / 'a' / 'b'}"]
    assert "which is no file name" in refused(words, capsys)
    assert not list(tmp_path.rglob("*.svg"))


def test_a_report_shows_no_markup_of_a_data_set(measured, capsys):
    folder, _ = measured
    path = folder / "results" / "report.html"
    words = [f"dataset.path={folder / 'data' / 'odd'}", f"results_dir={folder / 'results'}"]
    assert main(["report", *words]) == 0
    text = path.read_text()
    assert "alert(1)" not in text and "<b>q" not in text and "default-src 'none'" in text


@pytest.mark.parametrize("read", [records.read, file.read])
def test_what_cannot_be_opened_is_not_called_damaged(read, tmp_path):
    (tmp_path / "smve.json").mkdir()
    with pytest.raises(HarnessError, match=r"cannot read .*smve.json .Is a directory., expected a file"):
        read(tmp_path / "smve.json")
