"""The model of this study, and what it takes from the first one, studies/ste."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "ste"))

from claim import not_worse, rises  # noqa: E402
from settings import MUVERA, MUVERA_OPTIONS, SMVE, SMVE_MAIN, changed  # noqa: E402

__all__ = ["MODEL", "MUVERA", "MUVERA_OPTIONS", "SMVE", "SMVE_MAIN", "changed", "not_worse", "rises"]

MODEL = ["model=answerai_colbert_small", "model.dtype=float32"]
"""As the other studies of this model: what they encoded is the untrained model's, and any CPU multiplies it."""
