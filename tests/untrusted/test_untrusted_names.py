"""Names and ids stay what they are: no path, no second line.

Each attack is made for real: its payload would make a file, the marker.
"""

from __future__ import annotations

import json

import pytest
from attacks import refused
from omegaconf import OmegaConf
from tiny import write_dataset

from harness.config import compose
from harness.data import beir, loading
from harness.system.errors import HarnessError


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a/b", "..", ".", "''", ".hidden", "x" * 300, "'a b'", "'a\\b'"])
@pytest.mark.parametrize("group", ["dataset", "model"])
def test_a_name_that_is_no_file_name_is_refused(group, name, tiny_dataset, lateon_like):
    folder = {"dataset": tiny_dataset, "model": lateon_like}[group]
    with pytest.raises(HarnessError, match="cannot be a file name: expected letters"):
        compose.composed(compose.expand([f"{group}.path={folder}", f"{group}.name={name}"]))


@pytest.mark.parametrize("command", ["run", "train", "status", "geometry"])
def test_no_command_writes_outside_its_folders(command, tiny_dataset, lateon_like, tmp_path, capsys):
    place = tmp_path / "a" / "b" / "c"
    data = "train_data" if command == "train" else "dataset"
    words = [f"{data}.path={tiny_dataset}", f"model.path={lateon_like}", f"cache_dir={place / 'cache'}"]
    words += [f"results_dir={place / 'results'}"] if command != "train" else []
    names = ["model.name=../../../evil", f"model.name={tmp_path / 'evil'}"]
    for name in names if command == "train" else ["dataset.name=../../../evil", *names]:
        assert "cannot be a file name" in refused([command, *words, name], capsys)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("path", ["a\0b", "a\nb", "x" * 300, f"fine/{'x' * 300}", 5])
@pytest.mark.parametrize("option", ["model.path", "dataset.path", "cache_dir", "data_dir", "output"])
def test_a_path_that_no_file_can_have_is_a_sentence(option, path):
    composed = compose.composed(["model=local", "model.path=x", "dataset=local", "dataset.path=y"])
    OmegaConf.update(composed, option, path)
    with pytest.raises(HarnessError, match=f"{option}=.*: expected a "):
        compose.prepare(composed)


@pytest.mark.parametrize("name", ["../x", "/etc", "..", "", "a/b", "*", None])
def test_a_data_sets_name_is_never_a_path(name, tmp_path):
    write_dataset(tmp_path / "x", {"a": "one"}, {"q": "two"}, {"q": {"a": 1}})
    (tmp_path / "data").mkdir()
    with pytest.raises(HarnessError, match=r"dataset\.name=.*expected a name .*, not a path"):
        loading.folder({"name": name, "md5": "0" * 32}, str(tmp_path / "data"), tmp_path / "cache")
    with pytest.raises(HarnessError, match=r"dataset\.split=.*not a path"):
        beir.read_folder("x", tmp_path / "x", name or "", None)


@pytest.mark.parametrize(
    "name", ["a\tb", "a\nb", "a\rb", "a\0b", "a\u2028b", "", True, None, ["a"], float("nan"), 10**25]
)
def test_an_id_that_would_break_a_line_is_refused(name, tmp_path):
    folder = write_dataset(tmp_path / "x", {"a": "one"}, {"q": "two"}, {"q": {"a": 1}})
    line = json.dumps({"_id": name, "text": "three"})
    with open(folder / "corpus.jsonl", "a") as file:
        file.write(line.replace(str(10**25), "1" * 5000) + "\n")
    with pytest.raises(HarnessError, match=r"corpus\.jsonl, line 2: "):
        beir.read_folder("x", folder, "test", None)


@pytest.mark.parametrize("line", ["[" * 200_000, '{"_id": "b", "text": ' + "[" * 200_000, "NaN", "1e999", "[]", '"x"'])
def test_a_line_that_is_no_document_is_refused(line, tmp_path):
    folder = write_dataset(tmp_path / "x", {"a": "one"}, {"q": "two"}, {"q": {"a": 1}})
    with open(folder / "corpus.jsonl", "a") as file:
        file.write(line + "\n")
    with pytest.raises(HarnessError, match=r"corpus\.jsonl, line 2: "):
        beir.read_folder("x", folder, "test", None)


@pytest.mark.parametrize("score", ["1" * 30, "1" * 5000, "nan", "1e9", "0x10"])
def test_a_score_beyond_reason_is_refused(score, tmp_path):
    folder = write_dataset(tmp_path / "x", {"a": "one"}, {"q": "two"}, {"q": {"a": 1}})
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\nq\ta\t{score}\n")
    with pytest.raises(HarnessError, match=r"test\.tsv, line 2: the score "):
        beir.read_folder("x", folder, "test", None)
