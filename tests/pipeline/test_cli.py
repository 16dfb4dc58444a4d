"""Bad input: one clear sentence, a non-zero exit, nothing lost. And the lists."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from harness.cli import main
from harness.config import entries

CASES = {
    "frobnicate": "unknown command 'frobnicate'. Known: bench, cache, check, geometry, ls, plot, report,",
    "cache": "cache needs a word: ls, verify or prune.",
    "cache list": "unknown word after cache 'list'; did you mean 'ls'? Known: ls, prune, verify.",
    "cache ls cache_dir=/nowhere": "cache_dir=/nowhere is not a folder: set cache_dir",
    "cache prune older=week": "older=week: expected a number of days from 0 up, or null.",
    "cache prune delete=yes": "delete=yes: expected true or false.",
    "status model=latoen": "unknown model 'latoen'; did you mean 'lateon'?",
    "reproduce": "reproduce needs a record first",
    "reproduce /nowhere/smve.json": "the record /nowhere/smve.json does not exist: expected a file of results/records",
    "run model=latoen": "unknown model 'latoen'; did you mean 'lateon'?",
    "run model=lateon dataset=scifct": "unknown data set 'scifct'; did you mean 'scifact'?",
    "run model=lateon method=muveraa": "unknown method 'muveraa'; did you mean 'muvera'?",
    "run model=lateon suite=beir9": "unknown suite 'beir9'; did you mean",
    "run -m model=lateon,nope": "unknown model 'nope'",
    "run model=lateon,lateon_reg": "names several values, which is a sweep: add -m",
    "run model=lateon dpeths=[0]": "dpeths=[0]: `run` does not read dpeths (did you mean 'depths'?); it reads model,",
    "run model=lateon method=muvera method.bit=3": "Could not override 'method.bit'",
    "run model=lateon method=muvera method.bits=five": "method.bits=five: expected a whole number, such as 5.",
    "run model=lateon depths=[-1,0]": "depths=[-1, 0]: expected whole numbers from 0 up, increasing",
    "run model=lateon depths=[100,50]": "depths=[100, 50]: expected whole numbers from 0 up, increasing",
    "run model=lateon depths=[]": "depths=[]: expected whole numbers",
    "run model=lateon device=tpu": "device=tpu: expected one of auto, cpu, cuda.",
    "run model=lateon memory_mb=0": "memory_mb=0: expected a whole number of at least 1.",
    "run model=lateon model.dtype=int8": "model.dtype=int8: expected float32, bfloat16 or float16.",
    "run model=lateon reference=bm25": "reference=bm25: expected one of null, plaid.",
    "run model=local": "model=local names no folder: set model.path.",
    "run model": "cannot read the overrides",
    "run model=lateon depths=5": "depths=5: expected whole numbers from 0 up",
    "run model=lateon depths=null": "depths=null: expected whole numbers from 0 up",
    "run model=null dataset=adi": "unknown model 'null'",
    "run model=lateon method=null": "unknown method 'null'",
    "run model=lateon suite=null": "unknown suite 'null'",
    "run model=lateon memory_mb=null": "memory_mb=null: expected a whole number of at least 1.",
    "run model=lateon threads=true": "threads=true: expected a whole number of at least 1.",
    "run model=lateon cache_dir=": "cache_dir=: expected a folder.",
    "run model=lateon overwrite=no": "overwrite=no: expected true or false.",
    "run model=lateon model.query_length=-3": "model.query_length=-3: expected at least 4 tokens, or null.",
    "run model=lateon model.document_length=abc": "model.document_length=abc: expected a whole number, such as 300.",
    "run model=lateon method=muvera method.seed=-1": "method.seed=-1: expected a whole number from 0 up.",
    "run model=lateon method.name=foo": "method.name=foo: expected",
    "run model=lateon center=none center.renormalize=true": "center.renormalize=true: expected false where nothing",
    "run model=lateon center=own center.fallback=scifact": "center.fallback=scifact: expected a list",
    "run model=lateon center=own center.max_queries=0": "center.max_queries=0: expected at least 1.",
    "run -m model=lateon method=glob(x*)": "matches nothing",
    "table format=html": "format=html: expected one of markdown, csv, latex.",
    "table significance=yes": "significance=yes: expected true or false.",
    "table cost=1": "cost=1: expected true or false.",
    "table model=lateon suite=beir8 results_dir=/nowhere": "nothing was measured on arguana",
    "ls methdos": "unknown group 'methdos'; did you mean 'methods'?",
}


@pytest.mark.parametrize("words", CASES)
def test_one_sentence_and_exit_code_2(words, capsys):
    assert main(words.split()) == 2
    found = capsys.readouterr()
    assert found.err.startswith("error: ") and CASES[words] in found.err
    assert found.err.count("\n") == 1 and found.out == ""


FAILING = {
    "model.path=/nowhere dataset.path={tiny}": "the model folder /nowhere does not exist",
    "model=lateon_reg_smve dataset.path={tiny}": "has no released checkpoint: set model.path",
    "model=demo dataset.path=/nowhere": "the data set folder /nowhere does not exist",
    "model=demo dataset=adi data_dir={empty}": "data set 'adi' was not found in",
    "model=demo dataset.path={tiny} dataset.split=dev": "has the splits test, train; set dataset.split",
    "model=demo dataset.path={tiny} method=muvera method.bits=40": "expected repetitions and projection of at least 1",
    "model=demo dataset.path={tiny} method=plaid method.n_full_scores=64": "set method.n_full_scores to at least 4004",
    "model=demo dataset.path={tiny} dataset.name=../up": "cannot be a file name",
}


@pytest.mark.parametrize("words", FAILING)
def test_what_fails_later_is_one_sentence_and_exit_code_1(words, tiny_dataset, tmp_path, capfd):
    filled = words.format(tiny=tiny_dataset, empty=tmp_path).split()
    places = [f"results_dir={tmp_path}/r", f"cache_dir={tmp_path}/c", "reference=null"]
    assert main(["run", *filled, *places]) in (1, 2)
    errors = capfd.readouterr().err
    assert FAILING[words] in errors and "Traceback" not in errors
    assert not list(tmp_path.glob("r/records/*"))


def test_a_bad_cell_of_a_sweep_does_not_stop_the_others(lateon_like, tiny_dataset, tmp_path, capfd):
    words = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", f"results_dir={tmp_path}/r", "reference=null"]
    assert main(["run", "-m", *words, f"cache_dir={tmp_path}/c", "method=smve", "memory_mb=64,0"]) == 1
    errors = capfd.readouterr().err
    assert "memory_mb=0: expected a whole number" in errors and "Traceback" not in errors
    assert list((tmp_path / "r").rglob("smve.json"))


def test_cuda_is_refused_where_there_is_none(tiny_dataset, tmp_path, capfd):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    places = [f"cache_dir={tmp_path}", f"results_dir={tmp_path}"]
    assert main(["run", "model=demo", f"dataset.path={tiny_dataset}", "device=cuda", *places]) == 1
    assert "torch finds no GPU on this machine" in capfd.readouterr().err


@pytest.mark.parametrize("option", ["cache_dir", "results_dir"])
def test_no_write_permission(option, tiny_dataset, lateon_like, tmp_path):
    """In a process of its own; root, who may write anywhere, goes without that capability."""
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    command = [sys.executable, "-m", "harness", "run", f"model.path={lateon_like}", f"dataset.path={tiny_dataset}"]
    places = {"cache_dir": tmp_path / "c", "results_dir": tmp_path / "r", option: locked}
    command += ["method=exact", "reference=null", *(f"{name}={place}" for name, place in places.items())]
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("setpriv (util-linux) is not installed, and root may write anywhere")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    found = subprocess.run(command, capture_output=True, text=True, cwd=entries.ROOT)
    assert found.returncode in (1, 2) and f"set {option}" in found.stderr and "Traceback" not in found.stderr
    assert list(locked.iterdir()) == []


def test_lists_name_every_entry(capsys):
    for group in ("models", "datasets", "methods", "suites", "centers", "experiments"):
        assert main(["ls", group]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines] == entries.choices(group[:-1])
        assert all(len(line.split()) > 3 for line in lines)


def test_help_and_no_command(capsys):
    assert main(["--help"]) == 0 and "python -m harness COMMAND" in capsys.readouterr().out
    assert main([]) == 2
