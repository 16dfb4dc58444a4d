"""One style for all figures: sizes of a paper, looks that survive grey and colour blindness, bytes that do not change.

What is told apart by colour differs in lightness as well, and in line style or marker: methods by colour and marker,
centerings by line style and by how a marker is filled, and where there are centerings alone, by colour and marker too.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.geometry.measure import SPACES
from harness.system.errors import HarnessError
from harness.system.files import replacing

WIDTH, COLUMN = 6.9, 3.4  # inches, of a page and of one of its two columns
SUFFIXES = ("svg", "png")
INK = "#000000"
_RC = {
    "font.size": 8,
    "axes.titlesize": 8,
    "figure.titlesize": 8.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 2.8,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "savefig.dpi": 200,
    "svg.hashsalt": "late-interaction-harness",  # names of the file's parts: else random
}


@dataclass(frozen=True)
class Look:
    """Colour, line style and marker of what a figure shows."""

    color: str
    line: str
    marker: str


METHODS = {
    "plaid": Look(INK, "-", ""),
    "exact": Look(INK, "-.", ""),
    "muvera": Look("#0072b2", "-", "o"),
    "smve": Look("#e69f00", "--", "s"),
}
CENTERS = {
    "raw": Look("#3b0f70", ":", "o"),
    "centered": Look("#b63679", "-", "s"),
    "own": Look("#fba35f", "--", "^"),
}
OTHER = Look("#8c8c8c", "-.", "D")
NAMES = {"raw": "raw", "centered": "centered", "own": "own mean"}  # of centerings, in legends
FILLS = {"raw": "none", "centered": "full", "own": "left"}


def method_look(method: str) -> Look:
    """The look of a method or of a variant of it."""
    return METHODS.get(method.split("+")[0], OTHER)


def of_cell(method: str, center: str) -> dict[str, Any]:
    """Options of a line for a method under a centering (a record's): both are seen, in grey as well."""
    space = SPACES[center.split("+")[0]]
    look, line = method_look(method), CENTERS[space].line
    return {"color": look.color, "linestyle": line, "marker": look.marker, "fillstyle": FILLS[space]}


def of_space(space: str, points: int = 0) -> dict[str, Any]:
    """Options of a line for a centering alone (a geometry's: raw, centered, own).

    Of many points, about eight are marked, and others in each line: marks then do not hide those of a line below.
    """
    look, every = CENTERS[space], max(1, points // 8)
    first = list(CENTERS).index(space) * every // len(CENTERS)
    marked = {"markevery": (first, every)} if points else {}
    return {"color": look.color, "linestyle": look.line, "marker": look.marker, **marked}


def center_name(center: str) -> str:
    """`raw`, `centered` or `own mean`, with the options of a variant behind it."""
    base, *rest = center.split("+")
    return " ".join([NAMES[SPACES[base]], *rest])


def panels(rows: int, columns: int, width: float, height: float, **share: Any) -> tuple[Figure, list[Axes]]:
    """A figure of rows x columns panels (width of the whole, height of a row, in inches), row by row."""
    figure = Figure(figsize=(width, rows * height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **share).flat)


def legend_below(axes: Axes, below: float = -0.27, **options: Any) -> None:
    """A panel's legend under its axis, where it covers nothing; `below` in heights of the panel."""
    axes.legend(loc="upper left", bbox_to_anchor=(0, below), borderaxespad=0, **options)


def legend_under(figure: Figure, axes: Sequence[Axes], columns: int = 4) -> None:
    """One legend for all panels, under them, with each label once."""
    handles = {
        label: handle for panel in axes for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=columns)


def wrapped(text: str, inches: float) -> str:
    """A title broken into lines that fit."""
    return textwrap.fill(text, max(12, int(inches * 14)), break_long_words=True)


@contextmanager
def used() -> Iterator[None]:
    """Draw and save in this style, whatever matplotlibrc says."""
    with matplotlib.style.context(["default", _RC]):
        yield


def settle(figure: Figure) -> None:
    """Lay a figure out: ticks follow from the layout, and the layout from their labels, which two rounds settle."""
    for _ in range(2):
        figure.draw_without_rendering()


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as SVG and PNG: the same figure gives the same bytes.

    Raises
    ------
    HarnessError
        If the folder cannot be written.
    """
    settle(figure)
    paths = [folder / f"{name}.{suffix}" for suffix in SUFFIXES]
    for path, metadata in zip(paths, ({"Date": None}, {"Software": None}), strict=True):
        try:
            with replacing(path) as file:
                figure.savefig(file, format=path.suffix[1:], metadata=metadata)
        except OSError as error:
            raise HarnessError(
                f"cannot write the figure {path} ({error.strerror}): set figures_dir to a folder that can be written."
            ) from error
    return paths
