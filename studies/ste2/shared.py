"""The model of this study, and what it takes from the first one, studies/ste."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "ste"))

from claim import not_worse, rises  # noqa: E402
from settings import MUVERA, MUVERA_OPTIONS, SMVE, SMVE_MAIN, changed  # noqa: E402

__all__ = ["MODEL", "take", "MUVERA", "MUVERA_OPTIONS", "SMVE", "SMVE_MAIN", "changed", "not_worse", "rises"]

MODEL = ["model=answerai_colbert_small", "model.dtype=float32"]
"""As in the other studies of this model: the untrained model's vectors are shared, and float32 runs on any CPU."""


def take(options: Sequence[str]) -> None:
    """Give options of the harness, such as ``device=cuda``, to everything that this process trains and measures."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("harness").setLevel(logging.INFO)
    MODEL.extend(options)
