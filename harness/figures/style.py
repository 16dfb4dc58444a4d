"""One style for all figures: sizes for a paper, looks that survive grey and colour blindness, reproducible bytes.

No two things differ in colour alone: they differ in lightness as well, and in line style or marker. Methods differ in
colour and marker, centerings in line style and in how a marker is filled; in figures without methods, centerings differ
in colour and marker too. A method or centering that is not listed here takes its look from a cycle.
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

from harness.config import recommended
from harness.methods.registry import all_methods, base_name, is_known
from harness.system.errors import HarnessError
from harness.system.files import replacing
from harness.vectors.centering import KINDS, constant_kinds

WIDTH, COLUMN = 6.9, 3.4  # inches: a page, and one of its two columns
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
    "svg.hashsalt": "late-interaction-harness",  # ids in the file would be random without it
}


@dataclass(frozen=True)
class Look:
    """How a line is drawn: colour, line style, marker, and how the marker is filled (matplotlib's words)."""

    color: str
    line: str | tuple[int, tuple[int, ...]]
    marker: str
    fill: str = "full"


METHODS = {
    "plaid": Look(INK, "-", ""),
    "exact": Look(INK, "-.", ""),
    "muvera": Look("#0072b2", "-", "o"),
    "smve": Look("#e69f00", "--", "s"),
}
_FURTHER_METHODS = {
    "lemur": Look("#009e73", ":", "^"),
    "binary": Look("#cc79a7", "-.", "v"),
    "bm25": Look("#56b4e9", "-", "P"),
    "dense": Look("#8c510a", "--", "X"),
}
CENTERS = {
    "none": Look("#3b0f70", ":", "o", "none"),
    "corpus": Look("#b63679", "-", "s", "full"),
    "own": Look("#fba35f", "--", "^", "left"),
}
_FURTHER_CENTERS = {
    "text": Look("#2166ac", (0, (5, 1)), "P", "top"),
    "shrunk": Look("#8c510a", (0, (3, 1, 1, 1)), "X", "bottom"),
}
RECOMMENDED = Look(INK, "-.", "", "right")
"""The look of the centering that is recommended for a method; its lines have the method's colour and marker."""
OTHER = Look("#8c8c8c", "-.", "D")
"""The look of a method or centering that this installation does not have."""
_MORE_METHODS = (
    Look("#999933", ":", "h"),
    Look("#882255", "-", "*"),
    Look("#44aa99", "--", "<"),
)
_MORE_CENTERS = (
    Look("#5e4fa2", (0, (1, 1)), "d", "full"),
    Look("#666666", (0, (5, 2, 1, 2)), "p", "full"),
)
"""The looks of added methods and centerings: those of the others stay, as figures of different days are compared."""


def method_look(method: str) -> Look:
    """The look of a method or of a variant of it."""
    base, fixed = base_name(method), METHODS | _FURTHER_METHODS
    if base in fixed or not is_known(base):
        return fixed.get(base, OTHER)
    others = [name for name in all_methods() if name not in fixed]
    return _MORE_METHODS[others.index(base) % len(_MORE_METHODS)]


def center_look(center: str) -> Look:
    """The look of a centering or of a variant of it."""
    base, fixed = base_name(center), CENTERS | _FURTHER_CENTERS
    if base in fixed:
        return fixed[base]
    others = [name for name in KINDS if name not in fixed]
    return _MORE_CENTERS[others.index(base) % len(_MORE_CENTERS)] if base in others else OTHER


def of_cell(method: str, center: str) -> dict[str, Any]:
    """Options of a line for a method under a centering, or under the recommended one; both can be told in grey, too."""
    look, centered = method_look(method), RECOMMENDED if center == recommended.NAME else center_look(center)
    return {"color": look.color, "linestyle": centered.line, "marker": look.marker, "fillstyle": centered.fill}


def of_center(center: str, points: int = 0) -> dict[str, Any]:
    """Options of a line for a centering without a method.

    A line with many points has about eight markers, at other points than the other lines, so that no marker hides
    another one.
    """
    look, step = center_look(center), max(1, points // 8)
    known = list(constant_kinds())
    first = known.index(center) * step // len(known)
    marked = {"markevery": (first, step)} if points else {}
    return {"color": look.color, "linestyle": look.line, "marker": look.marker, **marked}


def center_name(center: str) -> str:
    """The label of a centering in legends, followed by the options of a variant."""
    base, *options = center.split("+")
    kind = KINDS.get(base)
    return " ".join([(kind.legend or kind.space) if kind else base, *options])


def panels(rows: int, columns: int, width: float, height: float, **share: Any) -> tuple[Figure, list[Axes]]:
    """A figure and its rows x columns panels, row by row.

    Parameters
    ----------
    width, height
        Width of the figure and height of a row, in inches.
    share
        Options of `Figure.subplots`, such as ``sharey``.
    """
    figure = Figure(figsize=(width, rows * height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **share).flat)


def legend_below(axes: Axes) -> None:
    """Put a panel's legend under its axis, where it covers nothing."""
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.27), borderaxespad=0)  # 0.27 of the panel's height


def legend_under(figure: Figure, axes: Sequence[Axes], columns: int = 4) -> None:
    """Put one legend for all panels under them, with each label once."""
    handles = {
        label: handle for panel in axes for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=columns)


def wrapped(text: str, inches: float) -> str:
    """A title broken into lines that fit a width in inches."""
    return textwrap.fill(text, max(12, int(inches * 14)), break_long_words=True)


@contextmanager
def used() -> Iterator[None]:
    """Draw and save in this style, whatever matplotlibrc says."""
    with matplotlib.style.context(["default", _RC]):
        yield


def settle(figure: Figure) -> None:
    """Lay a figure out. Ticks depend on the layout, and the layout on the ticks' labels: two rounds settle both."""
    for _ in range(2):
        figure.draw_without_rendering()


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write a figure as SVG and PNG, and return both paths; the same figure gives the same bytes.

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
