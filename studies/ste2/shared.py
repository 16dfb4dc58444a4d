"""What this study takes from the first one, studies/ste."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "ste"))

import own_head  # noqa: E402
from claim import not_worse, rises  # noqa: E402
from settings import MODEL, MUVERA, MUVERA_OPTIONS, SMVE, SMVE_MAIN, SMVE_OPTIONS, changed  # noqa: E402

__all__ = [
    "MODEL",
    "MUVERA",
    "MUVERA_OPTIONS",
    "SMVE",
    "SMVE_MAIN",
    "SMVE_OPTIONS",
    "changed",
    "not_worse",
    "own_head",
    "rises",
]
