"""Titles of models, centerings and methods, as tables and figures print them."""

from __future__ import annotations

from harness.config.entries import choices, entry
from harness.methods.registry import title as method_title
from harness.vectors.centering import label as center_label

__all__ = ["center_label", "method_title", "title"]


def title(model: str) -> str:
    """A model's title, followed by the options of a variant."""
    base, *options = model.split("+")
    shipped = entry("model", base).get("title") if base in choices("model") else None
    return " ".join([shipped or base, *options])
