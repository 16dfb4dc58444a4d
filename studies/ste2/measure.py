"""What is measured of each model, data set by data set; what was measured is not measured again.

Token vectors and candidates of a trained model are used once. They go to a cache of their own, which keeps only the
vectors of the frozen layers from one model to the next. The untrained model's stay in the usual cache. Each data set
and each cut of the model has such a cache for itself, so that several processes can measure at once.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from arms import DOMAINS, LEFT_OUT, TOP, Arm, runs, weights  # beside this file
from shared import MODEL, MUVERA, MUVERA_OPTIONS, SMVE, SMVE_MAIN, changed

from harness import cli
from harness.config import compose, entries, recommended
from harness.data import loading
from harness.models import heads
from harness.run import run

UNTRAINED = "untrained"
DATASETS: tuple[str, ...] = tuple(entries.entry("suite", "offline8")["datasets"])
IN_DOMAIN = DOMAINS["out"]
"""Data sets whose training pairs the domain ``in`` trains on."""
SMALL_SETS = ("cranfield", "npl", "dbpedia-entity-sample", "nfcorpus")
"""Where all capacities are measured."""
PLAID_SETS = ("scifact", "nfcorpus", "cranfield")
TRANSFER_SETS = ("nfcorpus", "cranfield")
DEPTHS = (0, 50, 100)
DRAWS, SMVE_DRAWS, TRANSFER_DRAWS = 10, 3, 3
RECIPES = ("corpus", recommended.NAME)
CARD = "center=corpus"
_MUVERA = [*MUVERA, f"method.seeds={DRAWS}"]
_SMVE = [*SMVE, *changed(SMVE_MAIN), CARD, f"method.seeds={SMVE_DRAWS}"]


def records() -> Path:
    """Where records are, and geometries."""
    return runs() / "results"


def datasets_of(arm: Arm | None) -> tuple[str, ...]:
    """The data sets on which an arm is measured; None: the untrained model."""
    if arm is None or (arm.capacity, arm.domain) == (TOP, "out"):
        return DATASETS
    return IN_DOMAIN if arm.domain == "in" else SMALL_SETS


def evaluate(arm: Arm | None, dataset: str) -> list[str]:
    """Measure an arm on a data set; None: the untrained model. What failed, in sentences."""
    scratch = _scratch(arm, dataset)
    failures = _measured(_name(arm), [f"dataset={dataset}"], [*_cells(arm, dataset)], records(), scratch)
    failures += geometry(arm, dataset)
    _clear(scratch, arm)
    return failures


def geometry(arm: Arm | None, dataset: str) -> list[str]:
    """Measure how the vectors of an arm lie, if the plan says so; what failed, in sentences."""
    measured = list(records().glob(f"geometry/{dataset}/*{suffix(_name(arm))}.json"))
    if datasets_of(arm) != DATASETS or dataset not in PLAID_SETS or measured:
        return []
    # without method=muvera, SMVE is measured too, which takes a minute and is in no table
    base = _base(_name(arm), _scratch(arm, dataset))
    words = [*base, f"dataset={dataset}", f"results_dir={records()}", CARD, "method=muvera"]
    return [f"{dataset}: the geometry of {_name(arm)} failed"] if cli.main(["geometry", *words]) else []


def on_left_out(name: str) -> list[str]:
    """Measure a model on the sources that choose; what failed, in sentences."""
    failures, scratch = [], runs() / "scratch" / name
    for source in LEFT_OUT:
        options = compose.composed(MODEL)
        path = loading.folder({"name": source, "path": None}, options.data_dir, Path(options.cache_dir).expanduser())
        words = ["dataset=local", f"dataset.path={path}", "dataset.split=train"]
        failures += _measured(name, words, [["method=exact"], [*_MUVERA, CARD]], runs() / "choice", scratch)
    _clear(scratch, None)
    return failures


def _cells(arm: Arm | None, dataset: str) -> Iterator[list[str]]:
    """The overrides of each cell on a data set."""
    yield ["method=exact"]
    for center in RECIPES:
        yield [*_MUVERA, f"center={center}"]
    whole, transfers = datasets_of(arm) == DATASETS, dataset in TRANSFER_SETS
    if whole and dataset in PLAID_SETS and (arm is None or arm.objective != "ste_smve"):
        yield ["method=plaid"]
    if whole and (transfers or arm is None or arm.objective != "ste_muvera"):
        yield _SMVE
    if whole and transfers:
        yield ["method=binary", CARD]
        for options in MUVERA_OPTIONS:
            yield [*MUVERA, *changed(options), CARD, f"method.seeds={TRANSFER_DRAWS}"]


def _name(arm: Arm | None) -> str:
    """What the study calls a model."""
    return arm.name if arm else UNTRAINED


def suffix(name: str) -> str:
    """What the name of a model ends in, in its records."""
    return "answerai_colbert_small" if name == UNTRAINED else f"head={name}"


def _base(name: str, scratch: Path) -> list[str]:
    """The overrides of a model."""
    return [*MODEL] if name == UNTRAINED else [*MODEL, f"model.head={weights(name)}", f"cache_dir={scratch}"]


def _measured(name: str, data: Sequence[str], cells: Sequence[list[str]], results: Path, scratch: Path) -> list[str]:
    depths = f"depths=[{','.join(map(str, DEPTHS))}]"
    base = [*_base(name, scratch), *data, depths, "reference=null", f"results_dir={results}"]
    return run([compose.composed(compose.expand([*base, *cell])) for cell in cells])


def _scratch(arm: Arm | None, dataset: str) -> Path:
    """The cache of an arm on a data set, which arms that are cut at the same place share.

    Below twelve layers, only embeddings are left.
    """
    return runs() / "scratch" / f"{dataset}-{group_of(arm)}"


def group_of(arm: Arm | None) -> str:
    """What arms that share a cache have in common: the place of their cut; of one that shares none, its name."""
    return str(heads.layers(arm.capacity)) if arm and _shares(arm) else _name(arm)


def _shares(arm: Arm | None) -> bool:
    """Whether what lies below an arm's cut is worth keeping for the others."""
    return arm is not None and arm.capacity != TOP


def _clear(scratch: Path, arm: Arm | None) -> None:
    """Delete what is used for one model alone; the outputs below a cut stay, for other arms with the same cut."""
    if not _shares(arm):
        shutil.rmtree(scratch, ignore_errors=True)
        return
    for folder in scratch.glob("*"):
        for path in folder.glob("*") if folder.name == "tokens" else [folder]:
            if not path.name.startswith("backbone-"):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
