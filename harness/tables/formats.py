"""Numbers and lines of strings as text: Markdown, LaTeX, signs, sizes."""

from __future__ import annotations

import math

import pandas as pd

from harness.tables.titles import MISSING


def pipes(lines: pd.DataFrame) -> str:
    """A Markdown table of strings."""
    head, *body = ["| " + " | ".join(cells) + " |" for cells in [list(lines.columns), *lines.to_numpy().tolist()]]
    return "\n".join([head, "|" + "---|" * len(lines.columns), *body])


def tabular(lines: pd.DataFrame, columns: str | None = None) -> str:
    """A LaTeX tabular (booktabs) of strings; `columns` None: all to the left."""

    def escaped(text: object) -> str:
        return str(text).replace("_", r"\_").replace("%", r"\%").replace("–", "--")

    style = lines.map(escaped).rename(columns=escaped).style.hide(axis="index")
    return style.to_latex(hrules=True, column_format=columns or "l" * len(lines.columns))


def signed(delta: float) -> str:
    """One decimal and a sign; +0.0 for what rounds to nothing."""
    return f"{round(delta, 1) + 0.0:+.1f}"


UNITS = ("bytes", "kB", "MB", "GB", "TB")


def size(count: float) -> str:
    """Bytes in units of a thousand, one decimal."""
    if math.isnan(count):
        return MISSING
    power = min(len(UNITS) - 1, int(math.log10(max(count, 1)) / 3))
    return f"{count:.0f} bytes" if power == 0 else f"{count / 1000**power:.1f} {UNITS[power]}"


def decimals(value: float, digits: int) -> str:
    """A number, or what stands for one that is missing."""
    return MISSING if math.isnan(value) else f"{value:.{digits}f}"
