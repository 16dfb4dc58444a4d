"""The figures as SVG that stands in the page itself: no styles, no names and no addresses beyond it."""

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

CAPTIONS = {
    "depth": "Mean NDCG@10 by rerank depth, for each method and centering, with PLAID's line (exact search's where "
    "PLAID was not measured). The numbers are those of the table.",
    "spectrum": "Share of each eigenvalue of the token vectors: the steeper, the fewer directions they fill.",
    "cosines": "Pairwise cosines of token vectors: mass far from zero is a narrow cone, where projections see little.",
    "buckets": "How evenly tokens fall into MUVERA's buckets and on SMVE's anchors; what is crowded separates nothing.",
    "overlap": "How often two tokens share no anchor of SMVE, by their cosine.",
    "agreement": "How well each first stage follows MaxSim: share of the exact top among its first k.",
    "budget": "Quality by the size of the index and by the first stage's time, with each method's Pareto front.",
}
_NARROW = 300  # points: half a page's width, which a telephone shows whole
_XLINK = "{http://www.w3.org/1999/xlink}"
_SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes
    ----------
    name : that of its file, as `plot` calls it
    group : the data set and model of a geometry; "" of what is made from records
    wide : whether it needs a page's whole width
    """

    name: str
    group: str
    caption: str
    svg: Markup
    wide: bool


def drawn(inputs: Inputs, notes: list[str]) -> Iterator[Picture]:
    """Every figure that the records and geometries allow; `notes` says what is left out."""
    groups = {
        f"{one['dataset']}-{one['model']}": f"{title(one['model'])} on {one['dataset']}" for one in inputs.geometries
    }
    with style.used():
        every = ((kind, *one) for kind in CAPTIONS for one in figures.KINDS[kind].figures(inputs, notes))
        for i, (kind, name, figure) in enumerate(every):
            yield Picture(
                name,
                groups.get(name.removeprefix(f"{kind}-"), ""),
                CAPTIONS[kind],
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
    joins = {"stroke-linejoin": "round", "stroke-linecap": "butt"}  # what the style that was taken out said
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": described(figure), **joins}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _strip(root: ElementTree.Element) -> None:
    """Take out what is about the file, and the rule that would hold for the whole page."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{_SVG}metadata", f"{_SVG}style"):
                parent.remove(child)


def _plain(element: ElementTree.Element, prefix: str) -> None:
    """Tags without namespaces, style as attributes (the page allows no style of its own), ids of this figure alone."""
    element.tag = element.tag.removeprefix(_SVG)
    element.text = element.tail = None  # line breaks alone: letters are paths
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
    """What a figure shows, in words: of each panel its axes, and of each line where it begins and ends."""
    title = figure.get_suptitle()
    return " ".join([*([f"{title}."] if title else []), *(_panel(axes) for axes in figure.axes if axes.axison)])


def _panel(axes: Axes) -> str:
    names = [axes.get_title(), f"{axes.get_ylabel()} against {axes.get_xlabel()}"]
    words = ", ".join(" ".join(name.split()) for name in names if name)
    said = [_ends(line) for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
    return f"{words}: {'; '.join(said)}." if said else f"{words}."


def _ends(line: Line2D) -> str:
    heights = np.asarray(line.get_ydata(), float)
    ends = [f"{value:.3g}" for value in heights[np.isfinite(heights)][[0, -1]]] if np.isfinite(heights).any() else []
    return f"{line.get_label()} {' to '.join(dict.fromkeys(ends))}".strip()
