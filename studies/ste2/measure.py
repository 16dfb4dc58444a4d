"""What is measured of each model, data set by data set; what was measured is not measured again.

Token vectors, candidates and indexes of a trained model are used once. They go to a cache of their own, which keeps
only the vectors of the frozen layers from one model to the next.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from arms import LEFT_OUT, head, runs  # beside this file
from shared import MODEL, MUVERA, MUVERA_OPTIONS, SMVE, SMVE_MAIN, SMVE_OPTIONS, changed

from harness import cli
from harness.config import compose, entries, recommended
from harness.data import loading
from harness.run import run

DATASETS: tuple[str, ...] = tuple(entries.entry("suite", "offline8")["datasets"])
PLAID_SETS = ("scifact", "nfcorpus", "cranfield")
TRANSFER_SETS = ("nfcorpus", "cranfield")
DEPTHS = (0, 50, 100)
DRAWS = 10
TRANSFER_DRAWS = 3
RECIPES = ("corpus", recommended.NAME)
CARD = "center=corpus"
_SMVE = [*SMVE, *changed(SMVE_MAIN)]


def records() -> Path:
    """Where records are, and geometries."""
    return runs() / "results"


def evaluate(name: str, dataset: str, with_plaid: bool) -> list[str]:
    """Measure a model on a data set, and PLAID on it if that is asked for; what failed, in sentences."""
    failures = _measured(name, [f"dataset={dataset}"], [*_cells(dataset, with_plaid)], records())
    if dataset in PLAID_SETS and not list(records().glob(f"geometry/{dataset}/*head={name}.json")):
        words = [*_base(name), f"dataset={dataset}", f"results_dir={records()}", "center=corpus"]
        if cli.main(["geometry", *words]):
            failures.append(f"{dataset}: the geometry of {name} failed")
    _clear()
    return failures


def on_left_out(name: str) -> list[str]:
    """Measure a model on the sources that choose; what failed, in sentences."""
    failures = []
    for source in LEFT_OUT:
        options = compose.composed(MODEL)
        path = loading.folder({"name": source, "path": None}, options.data_dir, Path(options.cache_dir).expanduser())
        words = ["dataset=local", f"dataset.path={path}", "dataset.split=train"]
        cells = [["method=exact"], [*MUVERA, CARD, f"method.seeds={DRAWS}"], [*_SMVE, CARD, f"method.seeds={DRAWS}"]]
        failures += _measured(name, words, cells, runs() / "choice")
    _clear()
    return failures


def _cells(dataset: str, with_plaid: bool) -> Iterator[list[str]]:
    """The overrides of each cell on a data set."""
    yield ["method=exact"]
    yield ["method=binary"]
    for center in RECIPES:
        for method in (MUVERA, _SMVE):
            yield [*method, f"center={center}", f"method.seeds={DRAWS}"]
    if dataset in TRANSFER_SETS:
        for method, variants in ((MUVERA, MUVERA_OPTIONS), (SMVE, SMVE_OPTIONS)):
            for options in variants:
                yield [*method, *changed(options), CARD, f"method.seeds={TRANSFER_DRAWS}"]
    if with_plaid and dataset in PLAID_SETS:
        yield ["method=plaid"]


def _base(name: str) -> list[str]:
    """The overrides of a model."""
    return [*MODEL, f"model.head={head(name)}", f"cache_dir={_scratch()}"]


def _measured(name: str, data: Sequence[str], cells: Sequence[list[str]], results: Path) -> list[str]:
    if not head(name).exists():
        return [f"{name} is not trained yet"]
    depths = f"depths=[{','.join(map(str, DEPTHS))}]"
    base = [*_base(name), *data, depths, "reference=null", f"results_dir={results}"]
    return run([compose.composed(compose.expand([*base, *cell])) for cell in cells])


def _scratch() -> Path:
    return runs() / "scratch"


def _clear() -> None:
    """Delete what is used for one model alone."""
    for folder in _scratch().glob("*"):
        for path in folder.glob("*") if folder.name == "tokens" else [folder]:
            if not path.name.startswith("backbone-"):
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
