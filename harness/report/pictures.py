"""The figures as SVG elements of the page: without styles, and without ids or links that lead outside the figure."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness import figures
from harness.figures import Inputs, style
from harness.tables.titles import title

_NARROW = 300  # points: half the width of a page, which fits on a phone
_XLINK = "{http://www.w3.org/1999/xlink}"
_SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes
    ----------
    name : the name of the file that `plot` would write
    group : model and data set for a figure of a geometry; "" for a figure of records
    caption : what the figure shows
    svg : an <svg> element
    wide : whether it needs the full width of a page
    """

    name: str
    group: str
    caption: str
    svg: Markup
    wide: bool


def drawn(inputs: Inputs, notes: list[str]) -> Iterator[Picture]:
    """All figures of the records and geometries; a note on each that is left out is appended to `notes`."""
    groups = {
        f"{geometry['dataset']}-{geometry['model']}": f"{title(geometry['model'])} on {geometry['dataset']}"
        for geometry in inputs.geometries
    }
    with style.used():
        drawings = ((kind, *named) for kind in figures.KINDS for named in figures.KINDS[kind].figures(inputs, notes))
        for i, (kind, name, figure) in enumerate(drawings):
            yield Picture(
                name,
                groups.get(name.removeprefix(f"{kind}-"), ""),
                figures.KINDS[kind].caption,
                inline(figure, f"figure{i}"),
                bool(figure.get_figwidth() * 72 > _NARROW),
            )


def inline(figure: Figure, prefix: str) -> Markup:
    """A figure as an <svg> element whose ids begin with `prefix`, described in words."""
    style.settle(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())
    _strip(root)
    for element in root.iter():
        _plain(element, prefix)
    joins = {"stroke-linejoin": "round", "stroke-linecap": "butt"}  # the content of the removed style sheet
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": described(figure), **joins}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _strip(root: ElementTree.Element) -> None:
    """Remove the metadata, and the style sheet, which would apply to the whole page."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{_SVG}metadata", f"{_SVG}style"):
                parent.remove(child)


def _plain(element: ElementTree.Element, prefix: str) -> None:
    """Tags without namespaces, styles as attributes (the page allows no others), ids that begin with `prefix`."""
    element.tag = element.tag.removeprefix(_SVG)
    element.text = element.tail = None  # only line breaks: letters are drawn as paths
    attributes: dict[str, str] = {}
    for key, value in element.attrib.items():
        key = key.removeprefix(_XLINK)
        if key == "style":
            attributes |= {part.split(":")[0].strip(): part.split(":")[1].strip() for part in value.split(";") if part}
        elif key == "id":
            attributes["id"] = f"{prefix}-{value}"
        elif key == "href":
            attributes["href"] = f"#{prefix}-{value[1:]}"
        else:
            attributes[key] = value.replace("url(#", f"url(#{prefix}-") if "url(#" in value else " ".join(value.split())
    element.attrib = attributes


def described(figure: Figure) -> str:
    """A description of a figure in words: the axes of each panel, and where each line begins and ends."""
    title = figure.get_suptitle()
    return " ".join([*([f"{title}."] if title else []), *(_panel(axes) for axes in figure.axes if axes.axison)])


def _panel(axes: Axes) -> str:
    names = [axes.get_title(), f"{axes.get_ylabel()} against {axes.get_xlabel()}"]
    words = ", ".join(" ".join(name.split()) for name in names if name)
    lines = [_ends(line) for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
    return f"{words}: {'; '.join(lines)}." if lines else f"{words}."


def _ends(line: Line2D) -> str:
    heights = np.asarray(line.get_ydata(), float)
    ends = [f"{value:.3g}" for value in heights[np.isfinite(heights)][[0, -1]]] if np.isfinite(heights).any() else []
    return f"{line.get_label()} {' to '.join(dict.fromkeys(ends))}".strip()
