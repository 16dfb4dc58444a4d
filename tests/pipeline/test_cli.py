"""Bad input: one clear sentence, a non-zero exit, nothing lost. And the lists."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from itertools import product

import pytest
import yaml

from harness.cli import COMMANDS, main
from harness.commands import arguments
from harness.config import compose, documented, entries, sweeps
from harness.sweep import status

CASES = {
    "frobnicate": "unknown command 'frobnicate'. Known: advise, bench, cache, check, export, geometry, ls,",
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
    "run model=lateon method=lemur method.features=null": "method.features=null: expected a whole number, such as",
    "run model=lateon method=muvera center=shrunk center.share=null": "center.share=null: expected a number, such as",
    "run model=lateon method=bm25 method.k1=nan": "method.k1=nan: expected a number, such as 0.9.",
    "run model=lateon method=dense method.model=null": "method.model=null: expected a name, such as minilm.",
    "run model=lateon pool.factor=3": "model.pool_factor=3: expected pool=hierarchical beside it.",
    "run model=lateon depths=[-1,0]": "depths=[-1, 0]: expected whole numbers from 0 up, increasing",
    "run model=lateon depths=[100,50]": "depths=[100, 50]: expected whole numbers from 0 up, increasing",
    "run model=lateon depths=[]": "depths=[]: expected whole numbers",
    "run model=lateon device=tpu": "device=tpu: expected one of auto, cpu, cuda.",
    "run model=lateon memory_mb=0": "memory_mb=0: expected a whole number of at least 1.",
    "run model=lateon model.dtype=int8": "model.dtype=int8: expected float32, bfloat16 or float16.",
    "run model=lateon reference=bm25": "reference=bm25: expected one of null, plaid.",
    "run model=local": "model=local names no folder: set model.path.",
    "run =5": "the word '=5' names no option, expected OPTION=VALUE",
    "run -m=1": "unknown option -m=1: expected one of",
    "run dataset=adi dataset.keep_self_matches=2": "dataset.keep_self_matches=2: expected true or false.",
    "run dataset=adi dataset.query_length=[-1]": "dataset.query_length=[-1]: expected at least 4 tokens, or null.",
    "run dataset=adi dataset.docs=wing": "dataset.docs=wing: expected a whole number of at least 1.",
    "run model=demo model.dim=true": "model.dim=true: expected a whole number, such as 128.",
    "run reference=]": "cannot read the word 'reference=]' (",
    "run model": "cannot read the word 'model' (",
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
    "run model=lateon method=muvera method.seed=-1": "method.seed=-1: expected a whole number from 0 to 4294967295.",
    "run model=lateon method.name=foo": "method.name=foo: expected method=NAME",
    "run model=lateon center=own center.name=x": "center.name=x: expected center=NAME",
    "run model=lateon +method.banana=1": "unknown option 'method.banana'",
    "run model=lateon +center.renormalise=true": "did you mean 'center.renormalize'",
    "run model=lateon center=recommended +center.query_tokens=real": "unknown option 'center.query_tokens'",
    "run model=lateon index=sq8 +index.nprob=3": "unknown option 'index.nprob'",
    "run model=lateon +dataset.banana=1 dataset=scifact": "unknown option 'dataset.banana'",
    "train model=lateon +train.epoch=2": "unknown option 'train.epoch'; did you mean 'train.epochs'",
    "train model=lateon train.temperature=inf": "train.temperature=inf: expected a number above 0",
    "run model=lateon method=plaid method.seed=4294967296": "expected a whole number from 0 to 4294967295",
    "run model=lateon method=smve method.seed=4294967290 method.seeds=10": "method.seeds=10: expected seeds below",
    "run model=lateon method.seeds={muvrea:10}": "expected a number from 1 to 1000",
    "run model=lateon center=none center.renormalize=true": "center.renormalize=true: expected false where nothing",
    "run model=lateon center=own center.fallback=scifact": "center.fallback=scifact: expected a list",
    "run model=lateon center=own center.max_queries=0": "center.max_queries=0: expected at least 1.",
    "run -m model=lateon method=glob(x*)": "matches nothing",
    "table format=html": "format=html: expected one of markdown, csv, latex, json, mteb.",
    "table significance=yes": "significance=yes: expected true or false.",
    "table cost=1": "cost=1: expected true or false.",
    "table model=lateon suite=beir8 results_dir=/nowhere": "nothing was measured on arguana",
    "ls methdos": "unknown group 'methdos'; did you mean 'methods'?",
    "table older=3": "older=3: `table` does not read older; it reads model, model.path, model.name, suite, dataset,",
    "table method.keep=16": "`table` does not read method.keep",
    "table -m": "-m: `table` is no sweep and knows only the flag --help.",
    "run older=3": "`run` does not read older",
    "run +new=3": "+new=3: `run` does not read new",
    "run ++train.epochs=3": "`run` does not read train.epochs",
    "run --info": "unknown option --info: expected one of -m, --multirun, -h, --help, -c, --cfg, or OPTION=VALUE.",
    "run --cfg hydra": "--cfg hydra: expected --cfg job",
    "run -m model=lateon memory_mb=interval(1,2)": "memory_mb=interval(1,2): expected a list of values, range(...) or",
    "train depths=[0]": "`train` does not read depths",
    "check model=lateon": "model=lateon: `check` does not read model; it reads strict, results_dir.",
    "cache verify older=3": "older=3: `cache verify` does not read older; it reads cache_dir.",
    "cache ls delete=true": "`cache ls` does not read delete",
    "geometry compare a=x b=y model=lateon": "`geometry compare` does not read model",
    "geometry reference=null": "`geometry` does not read reference",
    "reproduce x.json depths=[0]": "`reproduce` does not read depths",
    "reproduce /nowhere/smve+keep=16.json": "the record /nowhere/smve+keep=16.json does not exist",
    "status output=x": "`status` does not read output",
    "bench depths=[0]": "`bench` does not read depths",
    "plot output=x": "`plot` does not read output",
    "report what=depth": "`report` does not read what",
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
def test_what_fails_later_is_a_sentence_and_leaves_no_record(words, tiny_dataset, tmp_path, capfd):
    filled = words.format(tiny=tiny_dataset, empty=tmp_path).split()
    places = [f"results_dir={tmp_path}/r", f"cache_dir={tmp_path}/c", "reference=null"]
    assert main(["run", *filled, *places]) in (1, 2)
    errors = capfd.readouterr().err
    assert FAILING[words] in errors and "Traceback" not in errors
    assert not list(tmp_path.glob("r/records/*"))


@pytest.mark.parametrize("command", ["run", "geometry", "bench"])
def test_a_place_that_cannot_be_written_is_found_before_any_work(command, tmp_path, capsys):
    (tmp_path / "file").touch()
    words = ["model=demo", "suite=demo", f"cache_dir={tmp_path}/c", f"results_dir={tmp_path}/file/results"]
    assert main([command, *words]) in (1, 2)
    found = capsys.readouterr().err
    assert f"{tmp_path}/file" in found and "Traceback" not in found and not list((tmp_path / "c").rglob("*.npz"))


def test_advise_looks_at_all_models_that_are_named(tmp_path, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(status, "progress", lambda cells: seen.extend(cells) or [])
    places = [f"cache_dir={tmp_path}/c", f"results_dir={tmp_path}/r"]
    assert main(["advise", "model=lateon,demo", "dataset=scifact,nfcorpus", *places]) == 2
    assert {(cell.model.name, cell.dataset.name) for cell in seen} == {
        *product(("lateon", "demo"), ("scifact", "nfcorpus"))
    }


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
    assert main(["--help"]) == 0
    page = capsys.readouterr().out
    assert "python -m harness COMMAND" in page and all(f"\n  {name} " in page for name in COMMANDS)
    assert main([]) == 2
    assert capsys.readouterr().out == page and main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("late-interaction-harness ")


EVERY = {**COMMANDS, **{part.name: part for one in COMMANDS.values() for part in one.parts.values()}}


@pytest.mark.parametrize("name", EVERY)
def test_every_command_has_a_page_of_the_options_it_reads(name, capsys):
    for flag in ("--help", "-h"):
        assert main([*name.split(), "model=lateon", flag]) == 0
        found = capsys.readouterr()
        page = found.out
        assert page.startswith(f"usage: python -m harness {name} ") and not found.err
        assert page.count(f"\n  python -m harness {name.split()[0]}") == 2 and max(map(len, page.split("\n"))) <= 120
    for option in EVERY[name].reads:
        assert f"\n  {option.rstrip('=') if option != 'hydra' else 'hydra/launcher'}" in page


def test_pages_show_the_defaults_and_comments_of_conf(capsys):
    def page(*words):
        assert main([*words, "--help"]) == 0
        return " ".join(capsys.readouterr().out.split())

    assert "memory_mb=512 what a block of documents may take while it is encoded and searched progress" in page("run")
    assert "grid | plaid | scale | gpu; null: the first six (with device=cuda: gpu) runs" in page("bench")
    assert "what=null depth | spectrum | cosines | buckets | overlap | agreement | budget; null: all" in page("plot")
    assert "train.batch_size=32 queries, each with a positive" in page("train") and "older=" not in page("run")
    assert "data_dir=$HARNESS_DATA folder with data sets" in page("geometry")
    assert "format=markdown markdown | csv flags:" in page("cache", "ls")


def test_every_option_is_documented_and_read_by_a_command():
    known = documented.documented()
    assert {name for name, option in known.items() if not option.comments} == set()
    assert {name for name in known if not any(command.does_read(name) for command in EVERY.values())} == set()


def test_help_imports_nothing_slow():
    code = "import sys; from harness.cli import main; main(['run', '--help']); main(['ls']); print(sorted(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=entries.ROOT)
    modules = ast.literal_eval(found.stdout.splitlines()[-1])
    assert not {"torch", "matplotlib", "pandas", "pylate", "ranx", "numba"} & set(modules)


WRITTEN = re.compile(r"(?:python|\$\(PY\)) -m harness ([^`#\n\"]*)")
FILES = ["Makefile", "results/README.md", "results/GEOMETRY.md", "harness/models/shipped/README.md"]
FILES += [path.relative_to(entries.ROOT).as_posix() for path in sorted(entries.CONF_DIR.glob("*/*.yaml"))]


def commands_of_documents():
    for name in FILES:
        text = (entries.ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
        for line in WRITTEN.findall(text):
            words = line.split("  ")[0].split(" (")[0].replace("...", "").split()
            if words and words[0] in COMMANDS:
                yield pytest.param(words, id=f"{name}: {line.strip()[:60]}")
    for command in EVERY.values():
        for example in command.examples:
            yield pytest.param(example.split(), id=example)


@pytest.mark.parametrize("words", list(commands_of_documents()))
def test_every_command_in_the_documents_is_accepted(words):
    command, rest = COMMANDS[words[0]], [word for word in words[1:] if word not in ("...",)]
    if rest and rest[0] in command.parts:
        command, rest = command.parts[rest[0]], rest[1:]
    command.check(rest)
    if command.sweeps:
        flags, overrides = arguments.split(rest)
        chosen = [word for word in overrides if not word.startswith("hydra")]
        assert compose.composed(chosen) and sweeps.cells(chosen, bool(flags))


SWEEPS = [
    ("-m model=lateon,demo method=smve,muvera", list(product(("lateon", "demo"), ("smve", "muvera")))),
    ("experiment=card method=smve", [(model, "smve") for model in ("lateon", "lateon_reg") for _ in range(2)]),
    ("-m model=demo method=glob([*v*,exact],exclude=e*)", [("demo", "muvera"), ("demo", "smve")]),
    ("-m model=demo method=smve method.keep=range(1,4)", [("demo", "smve")] * 3),
    ("-m experiment=beir3,card", [("answerai_colbert_small", "smve"), ("demo", "smve")]),
    ("-m model=demo method=smve", [("demo", "smve")]),
    ("model=demo hydra.mode=MULTIRUN", [("demo", "smve")]),
]


@pytest.mark.parametrize(("words", "expected"), SWEEPS)
def test_cells_of_a_sweep_are_the_product_in_order(words, expected, tmp_path):
    flags, overrides = arguments.split(words.split())
    found, failures = arguments.cells(flags, [*overrides, f"cache_dir={tmp_path}"], lambda options: None)
    assert [(options.model.name, options.method.name) for options in found] == expected and not failures


def test_a_cell_that_cannot_be_composed_does_not_stop_the_others(tmp_path, capsys):
    words = ["model=demo", "method=muvera,smve", "method.bits=3", f"cache_dir={tmp_path}"]
    found, failures = arguments.cells(["-m"], words, lambda options: None)
    assert [options.method.name for options in found] == ["muvera"] and len(failures) == 1
    assert "Could not override 'method.bits'" in failures[0]


def test_the_options_of_a_run_are_printed(capsys):
    assert main(["run", "model=lateon", "method=muvera", "method.bits=3", "--cfg", "job"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["method"] == {**entries.entry("method", "muvera"), "bits": 3} and "hydra" not in printed


def test_an_interrupted_run_says_what_is_kept(lateon_like, tiny_dataset, tmp_path):
    """A real Ctrl-C, as soon as the first document is encoded."""
    places = [f"cache_dir={tmp_path / 'c'}", f"results_dir={tmp_path / 'r'}"]
    words = ["run", "-m", f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", "method=exact,smve", *places]
    code = (
        "import os, signal, sys; from harness import __main__; from harness.vectors import build\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a process in the background ignores it
        "write = build.write_arrays\n"
        "def interrupt(*arguments, **arrays): write(*arguments, **arrays); os.kill(os.getpid(), signal.SIGINT)\n"
        "build.write_arrays = interrupt\n"
        "sys.exit(__main__.process())"
    )
    found = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=entries.ROOT)
    assert found.returncode == 130 and "Traceback" not in found.stderr
    last = found.stderr.splitlines()[-1]
    assert last == (
        "interrupted: finished cells are kept in results_dir and finished steps in cache_dir: the same command goes on "
        "from there."
    )
    assert main([*words, "reference=null", "depths=[0,5]"]) == 0
