"""Checkpoints of the tests as the harness loads and encodes with them, and texts for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from harness.config import entries
from harness.models import checkpoint
from harness.vectors.encode import Encoder

TEXTS = {"a": "wing flow heat.", "b": "drag", "c": "jet wave nose cone tube bend beam load skin rib wing flow"}


def options(path: Path, **changes: Any) -> dict[str, Any]:
    """The options of a checkpoint in a folder, which is named tiny."""
    return {**entries.entry("model", "local"), "name": "tiny", "path": str(path), **changes}


def load(path: Path, query_length: int | None = None, **changes: Any) -> Any:
    """PyLate's model of a checkpoint."""
    model = options(path, **changes)
    return checkpoint.load(model, checkpoint.locate(model, None), torch.device("cpu"), query_length)


def encoder(path: Path, cache: Path, **changes: Any) -> Encoder:
    """What encodes with a checkpoint, with a cache in a folder."""
    model = options(path, **changes)
    return Encoder(model, checkpoint.locate(model, None), cache, torch.device("cpu"))
