"""JSON in which a field stands once: of two fields of one name, Python would take the last without a word."""

from __future__ import annotations

import json
from typing import Any


def loads(text: str, **options: Any) -> Any:
    """The value of a JSON text; `options` of `json.loads`.

    Raises
    ------
    ValueError
        If the text is not JSON, or an object has a field twice.
    RecursionError
        If it is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=_once, **options)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {ascii(twice)[:40]} twice in one object")
    return found
