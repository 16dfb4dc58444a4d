"""`check`: measured against expected values."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from harness.commands.command import Command
from harness.config import compose, entries
from harness.config.options import results_dir


def check(words: Sequence[str]) -> int:
    """Compare measured with expected values; 0 if none fails."""
    from harness import records
    from harness.tables import expected, expected_text

    options = compose.composed(["suite=demo", *words])
    results = results_dir(options.results_dir)
    files = sorted(entries.EXPECTED_DIR.glob("*.yaml"))
    found = list(records.read_all(results))
    tables = [list(expected.check_file(path, found)) for path in files]
    sys.stdout.write("".join(f"{expected_text.section(checks)}\n\n" for checks in tables if checks))
    done = [one for checks in tables for one in checks]
    if any(one.verdict == "MISSING" for one in done):
        sys.stdout.write(f"{expected_text.REMARK}\n\n")
    sys.stdout.write(f"{expected.summary(done).to_string()}\n")
    bad = {"FAIL", "MISSING"} if options.strict else {"FAIL"}
    return int(any(one.verdict in bad for one in done) or all(one.verdict == "MISSING" for one in done))


COMMAND = Command(
    name="check",
    words="[OPTION=VALUE ...]",
    about="""Compare what was measured with the expected values of results/expected, table by table, and say what it
    takes to measure what is missing. The exit code is 1 if any value fails or nothing was measured.""",
    reads=("strict", "results_dir"),
    examples=("check", "check strict=true results_dir=my/results"),
    run=check,
)
