"""The checks of one expected file as text: what was measured, what is missing, and what it takes to measure that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from harness.config.entries import choices, entry
from harness.methods.method import TEXTS
from harness.methods.registry import traits
from harness.tables import effort, formats
from harness.tables.expected import Check

CAPTION = "What is missing takes, for the encoding of the documents:"
REMARK = (
    "Sizes and rates of these estimates: conf/effort.yaml, docs/scale.md. The rates are of bfloat16; the default, "
    "float32, takes two to three times as long. Texts are encoded once for all tables and methods. PLAID's index comes "
    "on top: 2 cores made it at 1,000 to 2,000 tokens / s (results/README.md)."
)


def section(checks: Sequence[Check]) -> str:
    """The checks of a file: a line for each measured value, one for the missing values of each row, and the effort."""
    missing = [one for one in checks if one.verdict == "MISSING"]
    measured = [str(one) for one in checks if one.verdict != "MISSING"]
    lines = "\n".join([f"{checks[0].file}: {checks[0].source}", *measured, *_rows(missing)])
    table = _table(missing)
    return lines if table.empty else f"{lines}\n\n{CAPTION}\n\n{formats.pipes(table)}"


def _rows(missing: Sequence[Check]) -> Iterator[str]:
    """One line for the missing values of each (model, centering, method)."""
    rows: dict[str, dict[str, list[str]]] = {}
    for one in missing:
        revision = f" (revision {one.revision[:8]})" if one.revision else ""
        row = rows.setdefault(f"{one.model} center={one.center} {one.method}{revision}", {})
        depth = f"rk={one.depth} " if one.depth else ""
        row.setdefault(one.dataset, []).append(f"{depth}{one.expected:.2f}")
    for name, by_dataset in rows.items():
        yield f"MISSING {name}: expected " + "; ".join(f"{key} {', '.join(v)}" for key, v in by_dataset.items())


def _table(missing: Sequence[Check]) -> pd.DataFrame:
    """What it takes to measure each model on the data sets that it lacks; no line where sizes are not known."""
    lacking: dict[str, dict[str, None]] = {}
    for one in missing:
        if model := _encoded_by(one):
            lacking.setdefault(model, {}).update(dict.fromkeys(one.members))
    lines = []
    for model, datasets in lacking.items():
        found = effort.of(model, datasets)
        if found.datasets:
            line = {"Model": model + _untrained(model), "Data sets": str(len(datasets))}
            line |= {"Documents": _short(found.documents), "Tokens, about": _short(found.tokens)}
            lines.append(line | {f"On {name}": formats.duration(s) for name, s in found.seconds.items()})
    return pd.DataFrame(lines)


def _encoded_by(check: Check) -> str | None:
    """The model that encodes the documents: a method that reads texts has one of its own, or none."""
    if traits(check.method).reads != TEXTS:
        return check.model
    base, *options = check.method.split("+")
    given = dict(option.partition("=")[::2] for option in options)
    return given.get("model", entry("method", base).get("model"))


def _untrained(model: str) -> str:
    """A remark on a model of which no checkpoint was released."""
    found = entry("model", model) if model in choices("model") else {"hub": model}
    return "" if found.get("hub") or found.get("package") else " (to be trained first)"


def _short(count: float | int) -> str:
    """A number in thousands, millions or billions."""
    unit, name = next(((unit, name) for unit, name in ((1e9, "G"), (1e6, "M")) if count >= unit), (1e3, "k"))
    return f"{count / unit:.1f} {name}"
