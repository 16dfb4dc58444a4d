"""What must not change when code moves: entries, names of variants, tables and a report, to the byte.

The files in tests/golden were written by the code before it was moved into rooms.
`python tests/unit/test_golden.py` writes them again; a commit that does so says why the change is wanted.
"""

import contextlib
import hashlib
import io
import json
import tempfile
from pathlib import Path

import pytest

from harness.cli import main
from harness.config import entries
from harness.config.entries import ROOT, entry
from harness.config.names import model_name, variant
from harness.config.options import MethodOptions

GOLDEN = Path(__file__).parents[1] / "golden"
RESULTS = f"results_dir={ROOT / 'results'}"


def printed(*words: str) -> str:
    """What a command that succeeds writes to stdout."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        assert main(list(words)) == 0
    return out.getvalue()


def all_entries() -> str:
    """All entries of all groups that are options of a run, as the harness reads them."""
    found = {group: {name: entry(group, name) for name in entries.choices(group)} for group in entries.GROUPS[:-1]}
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def report() -> str:
    """The sha256 of a report's bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        printed("report", "suite=beir3", RESULTS, f"output={path}")
        return hashlib.sha256(path.read_bytes()).hexdigest() + "\n"


MAKERS = {
    "entries.json": all_entries,
    "ls.txt": lambda: printed("ls"),
    "table-beir3.md": lambda: printed("table", "suite=beir3", RESULTS, "significance=true", "cost=true"),
    "table-beir3.csv": lambda: printed("table", "suite=beir3", RESULTS, "format=csv"),
    "table-beir3.tex": lambda: printed("table", "suite=beir3", RESULTS, "format=latex"),
    "report-beir3.sha256": report,
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.pipeline) if "report" in name else name for name in MAKERS]
)
def test_is_as_before(name: str) -> None:
    found, before = MAKERS[name](), (GOLDEN / name).read_text(encoding="utf-8")
    assert found == before, f"{name} has changed: if that is right, run `python tests/unit/test_golden.py`"


def test_committed_records_have_the_names_that_their_options_give() -> None:
    paths = sorted((ROOT / "results").glob("**/records/*/*/*/*.json"))
    assert len(paths) > 300
    for path in paths:
        options = json.loads(path.read_text(encoding="utf-8"))["config"]
        method, center = MethodOptions.of(options["method"]).variant, variant("center", options["center"])
        assert (path.parts[-2], path.stem) == (center, method), path
        if not options["model"].get("head"):  # its record keeps the head's file without the folder that names it
            assert path.parts[-3] == model_name(options["model"]), path


if __name__ == "__main__":
    for file, make in MAKERS.items():
        (GOLDEN / file).write_text(make(), encoding="utf-8")
