"""Helpers of the scripts in this folder: where results are, the output of a command, and tables put into pages."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from harness import cli
from harness.system.files import write_text

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
MODEL = "answerai_colbert_small"


def printed(*words: str, results: Path = RESULTS) -> str:
    """The output of a command of the harness.

    Raises
    ------
    SystemExit
        If the command fails.
    """
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        if cli.main([*words, f"results_dir={results}"]) != 0:
            raise SystemExit(f"`python -m harness {' '.join(words)}` failed: {errors.getvalue().strip()}")
    return out.getvalue()


def splice(path: Path, name: str, text: str) -> None:
    """Put `text` between ``<!-- begin NAME -->`` and ``<!-- end NAME -->`` of a file.

    Raises
    ------
    SystemExit
        If the file does not have each of these marks once.
    """
    content = path.read_text(encoding="utf-8")
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
    if (content.count(begin), content.count(end)) != (1, 1):
        raise SystemExit(f"{path} has no place for the table {name}, or several: expected one.")
    before, rest = content.split(begin)
    write_text(path, before + begin + "\n" + text.strip() + "\n\n" + end + rest.split(end, 1)[1])
