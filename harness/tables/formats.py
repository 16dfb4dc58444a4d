"""Numbers and lines of strings as text: Markdown, LaTeX, signs, sizes, times."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

MISSING = "–"
"""Stands for a value that was not measured."""
UNITS = ("bytes", "kB", "MB", "GB", "TB")
DAY = 86_400
"""Seconds."""


def pipes(lines: pd.DataFrame) -> str:
    """A Markdown table of strings."""
    head, *body = ["| " + " | ".join(cells) + " |" for cells in [list(lines.columns), *lines.to_numpy().tolist()]]
    return "\n".join([head, "|" + "---|" * len(lines.columns), *body])


def tabular(lines: pd.DataFrame, columns: str | None = None) -> str:
    """A LaTeX tabular (booktabs) of strings; without `columns`, all columns are aligned to the left."""

    def escaped(text: object) -> str:
        return str(text).replace("_", r"\_").replace("%", r"\%").replace("–", "--").replace("±", r"$\pm$")

    style = lines.map(escaped).rename(columns=escaped).style.hide(axis="index")
    return style.to_latex(hrules=True, column_format=columns or "l" * len(lines.columns))


def signed(delta: float, digits: int = 1) -> str:
    """A number with its sign; +0.0 for one that rounds to zero from either side."""
    return f"{round(delta, digits) + 0.0:+.{digits}f}"


def interval(low: float, high: float) -> str:
    """The ends of an interval in points, where it is known."""
    return MISSING if math.isnan(low) else f"{signed(low, 2)} to {signed(high, 2)}"


def score(value: float, sd: float, delta: float, mark: str = "") -> str:
    """A mean with its standard deviation over draws and its difference to PLAID (NaN: none), and the mark of that."""
    if math.isnan(value):
        return MISSING
    spread = "" if math.isnan(sd) else f" ± {sd:.2f}"
    return f"{value:.2f}{spread}" + ("" if math.isnan(delta) else f" ({signed(delta)}{mark})")


def decimals(value: float, digits: int) -> str:
    """A number with fixed decimals, or `MISSING` for NaN."""
    return MISSING if math.isnan(value) else f"{value:.{digits}f}"


def size(count: float) -> str:
    """Bytes in units of a thousand, one decimal."""
    if math.isnan(count):
        return MISSING
    power = min(len(UNITS) - 1, int(math.log10(max(count, 1)) / 3))
    return f"{count:.0f} bytes" if power == 0 else f"{count / 1000**power:.1f} {UNITS[power]}"


def duration(seconds: float) -> str:
    """Seconds in a unit that suits their number."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def age(seconds: float) -> str:
    """Seconds in the largest unit that gives two or more; "now" below two minutes."""
    units = {"days": DAY, "hours": 3600, "minutes": 60}
    return next((f"{seconds / unit:.0f} {name}" for name, unit in units.items() if seconds >= 2 * unit), "now")


def scope(count: int, datasets: Sequence[str]) -> str:
    """A suffix for the model of a row that covers only some of the data sets; "" if it covers none or all."""
    return f" [{count} of {len(datasets)} sets]" if 0 < count < len(datasets) else ""
