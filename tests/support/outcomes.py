"""How a command ended, and what is wrong with that."""

from __future__ import annotations

import contextlib
import io
import json
import re
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import log_handlers
from meanings import Meaning
from scores import Interval
from time_limit import no_longer_than

import harness
from harness.cli import main

LONGEST = 2_000  # letters of a sentence that can be read
SECONDS = 120


@dataclass(frozen=True)
class Outcome:
    """Exit code and all that was printed; `raised`: an exception that came out of `main`."""

    words: list[str]
    code: int | None
    out: str
    err: str
    raised: str

    @property
    def kind(self) -> str:
        if self.code == 0:
            return "score and warning" if "warning:" in self.err else "score"
        return f"refused ({self.code})"


@dataclass(frozen=True)
class Expected:
    """What an edit may lead to.

    Attributes
    ----------
    names : a refusal has to name one of them
    is_read : whether a refusal is wrong
    scores : the right score of each query
    or_warned : whether any score may be shown together with a warning
    is_partial : whether no record is written yet
    """

    names: set[str]
    is_read: bool
    meaning: Meaning
    scores: Callable[[], dict[str, Interval]] = field(repr=False)
    or_warned: bool = False
    is_partial: bool = False


class TooLong(BaseException):
    """What stops a command that has no end."""


def run(words: Sequence[str]) -> Outcome:
    """`python -m harness` with some words, in this process."""
    out, err, code, raised = io.StringIO(), io.StringIO(), None, ""
    log_handlers.forget()
    with warnings.catch_warnings(record=True) as warned, contextlib.redirect_stdout(out):
        warnings.simplefilter("always")
        with contextlib.redirect_stderr(err), no_longer_than(SECONDS, TooLong):
            try:
                code = main(list(words))
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else 1
            except (Exception, TooLong):
                raised = traceback.format_exc()
    log_handlers.forget()
    root = Path(harness.__file__).parent
    for one in warned:
        if Path(one.filename).is_relative_to(root):
            raised += f"Python's warning in {Path(one.filename).name}:{one.lineno}: {one.message}"
    return Outcome(list(words), code, out.getvalue(), err.getvalue(), raised)


def faults_of(outcome: Outcome, wanted: Expected, records: Sequence[Path]) -> list[str]:
    """What is wrong with the end of a run that may have written some records."""
    if outcome.raised:
        return [f"raised: {outcome.raised[-1500:]}"]
    if outcome.code != 0:
        faults = faults_of_refusal(outcome, wanted.names)
        faults += ["a record was written in spite of the refusal"] * bool(records)
        return faults + ["this must be read, and was refused"] * wanted.is_read * (not wanted.meaning.wrong)
    faults = ["a traceback"] if "Traceback" in outcome.out + outcome.err else []
    warned = [line for line in outcome.err.splitlines() if line.startswith("warning:")]
    if wanted.or_warned and warned:
        return faults
    if wanted.meaning.wrong:
        return [*faults, f"no score can be right: {wanted.meaning.wrong}"]
    doubts = [] if wanted.meaning.keeps_self_matches else wanted.meaning.doubts
    for doubt in doubts:
        if not any(re.search(doubt, line) for line in warned):
            faults.append(f"no warning: {doubt}")
    if wanted.is_partial and not records:
        return faults
    if len(records) != 1:
        return [*faults, f"{len(records)} records, expected one"]
    return faults + _faults_of_record(outcome, wanted, json.loads(records[0].read_text(encoding="utf-8")))


def _faults_of_record(outcome: Outcome, wanted: Expected, record: dict) -> list[str]:
    queries, means = record["per_query"]["queries"], record["ndcg10"]
    right, faults = wanted.scores(), []
    if sorted(queries) != sorted(right):
        return [f"the queries {sorted(queries)!r:.200}, expected {sorted(right)!r:.200}"]
    for depth, mean in means.items():
        values = record["per_query"][depth]
        if abs(sum(values) / len(values) - mean) > 1e-9:
            faults.append(f"the mean at {depth} is not that of the queries")
        if record["method"].startswith("plaid"):
            exact = sum(one.high for one in right.values()) / len(right)
            faults += [f"PLAID has {mean:.3f}, exact search {exact:.3f}"] * (abs(exact - mean) > 0.35)
        elif depth == "final" or int(depth) >= 50:
            wrong = [
                f"query {query!r:.40} has {value:.4f} at {depth}, expected {right[query]}"
                for query, value in zip(queries, values, strict=True)
                if not right[query].has(value)
            ]
            faults += wrong[:3]
        if (depth == "final" or "0" in means) and f"{100 * mean:.2f}" not in outcome.out + outcome.err:
            faults.append(f"the mean {100 * mean:.2f} at {depth} is not shown")
    return faults


def faults_of_refusal(outcome: Outcome, names: set[str]) -> list[str]:
    """What is wrong with the sentence of a refusal."""
    faults, lines = [], outcome.err.split("\n")
    errors = [line for line in lines if line.startswith("error:")]
    if outcome.code not in (1, 2):
        faults.append(f"the exit code {outcome.code}")
    if "Traceback" in outcome.out + outcome.err:
        faults.append("a traceback")
    if len(errors) != 1:
        return [*faults, f"{len(errors)} sentences, expected one"]
    others = [line for line in lines if line and not line.startswith(("error:", "warning:", "note:"))]
    faults += [f"a line that is no sentence: {line!r:.200}" for line in others[:1]]
    faults += [f"the sentence does not end in a period: {errors[0][-80:]!r}"] * (not errors[0].endswith("."))
    faults += [f"the sentence has {len(errors[0])} letters"] * (len(errors[0]) > LONGEST)
    faults += ["the sentence has letters that cannot be printed"] * (not errors[0].isprintable())
    if names and not any(name in errors[0] for name in names):
        faults.append(f"the sentence names none of {sorted(names)!r:.300}")
    return faults


def faults_of_table(outcome: Outcome, records: Sequence[Path], names: set[str] | None = None) -> list[str]:
    """What is wrong with a table or page of some records; `names`: what a refusal may name."""
    if outcome.raised:
        return [f"raised: {outcome.raised[-1500:]}"]
    if outcome.code != 0:
        return faults_of_refusal(outcome, names) if names else [f"refused: {outcome.err}"]
    faults = ["a traceback"] if "Traceback" in outcome.out + outcome.err else []
    if outcome.words[0] != "table" or "per_query=true" in outcome.words:
        return faults
    for path in records:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))["ndcg10"].items()
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            faults.append(f"{path.name} is no record, and is passed over without a word")
            continue
        shown = outcome.out.replace("\\", "")
        for depth, mean in found:
            wanted = f"{100 * mean:.2f}" if "format=csv" not in outcome.words else f"{100 * mean:.2f}"[:-1]
            if depth in ("final", "0", "50") and wanted not in shown:
                faults.append(f"{path.name}: the mean {wanted} at {depth} is not in the table")
    return faults
