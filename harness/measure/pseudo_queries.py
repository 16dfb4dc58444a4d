"""Pseudo-queries: snippets of the indexed corpus that stand in for queries, where their mean token vector is needed.

They need no query of anyone's: each is a run of words from one document, as long (in words) as one of the evaluated
queries, of which nothing but the lengths is looked at. Documents, places and lengths are drawn by sha256, so that the
same corpus gives the same snippets everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256


def snippets(docs: Mapping[str, str], lengths: Sequence[int], count: int) -> dict[str, str]:
    """At most `count` snippets, from as many documents: id -> text.

    Parameters
    ----------
    docs
        Document id -> text; a document without words is left out.
    lengths
        Numbers of words, of which one is drawn for each snippet; a shorter document is taken whole.
    """
    drawn = sorted(docs, key=lambda name: _number("document", name))
    found: dict[str, str] = {}
    for name in drawn:
        if len(found) == count:
            break
        words = docs[name].split()
        if words:
            wanted = max(1, lengths[_number("length", name) % len(lengths)])
            start = _number("start", name) % max(1, len(words) - wanted + 1)
            found[f"snippet of {name}"] = " ".join(words[start : start + wanted])
    return found


def _number(what: str, name: str) -> int:
    """A number that depends on both words alone."""
    return int.from_bytes(sha256(f"{what}\0{name}".encode()).digest()[:8], "big")
