"""Pseudo-queries: snippets of the indexed corpus that stand in for queries, where their mean token vector is needed.

Each is a run of words from one document, as long (in words) as one of the evaluated queries. Only the lengths of those
queries are used, never their words. Documents, places and lengths are drawn by sha256, so that the same corpus gives
the same snippets everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.system.draws import number


def snippets(docs: Mapping[str, str], lengths: Sequence[int], count: int) -> dict[str, str]:
    """At most `count` snippets, from as many documents: id -> text.

    Parameters
    ----------
    docs
        Document id -> text; a document without words is left out.
    lengths
        Numbers of words. One is drawn for each snippet. A document with fewer words gives all of them.
    """
    drawn = sorted(docs, key=lambda name: number("document", name))
    found: dict[str, str] = {}
    for name in drawn:
        if len(found) == count:
            break
        words = docs[name].split()
        if words:
            wanted = max(1, lengths[number("length", name) % len(lengths)])
            start = number("start", name) % max(1, len(words) - wanted + 1)
            found[f"snippet of {name}"] = " ".join(words[start : start + wanted])
    return found
