"""Random edits of data sets, models, command lines and records: each ends with the right score, or with one sentence.

The right score is computed without harness/ (`tests/support/scores.py`), for the data set as the edit means it.
Settings, from the environment:

    HARNESS_EDITS   how many edits (1,000)
    HARNESS_SEED    of all draws (0)
    HARNESS_FIRST   number of the first edit (0): HARNESS_FIRST=17 HARNESS_EDITS=1 repeats edit 17 alone

`make fuzz` runs all of it; a small part is among the usual tests.
"""

from __future__ import annotations

import os
import time

import pytest
from fuzzing import Machine

EDITS, SEED = int(os.environ.get("HARNESS_EDITS", "1000")), int(os.environ.get("HARNESS_SEED", "0"))
FIRST = int(os.environ.get("HARNESS_FIRST", "0"))
FEW = 40


@pytest.fixture
def machine(tmp_path, lateon_like, monkeypatch):
    return Machine.made(tmp_path, lateon_like, monkeypatch)


def check(machine: Machine, numbers: range, capsys) -> None:
    began = time.monotonic()
    findings = [found for number in numbers for found in machine.edit(SEED, number)]
    with capsys.disabled():
        lines = [f"{area:9}{outcome:18}{count:5}" for (area, outcome), count in sorted(machine.counts.items())]
        print(f"\n{len(numbers)} edits of seed {SEED}, {time.monotonic() - began:.0f} s", *lines, sep="\n")  # noqa: T201
    assert not findings, "\n\n".join([f"{len(findings)} findings", *map(str, findings)])


@pytest.mark.fuzz
def test_edits_end_with_the_right_score_or_with_one_sentence(machine, capsys):
    check(machine, range(FIRST, FIRST + EDITS), capsys)


def test_a_few_edits_end_with_the_right_score_or_with_one_sentence(machine, capsys):
    check(machine, range(FEW), capsys)
