"""A folder of given token vectors, as a user writes it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np


def write_side(folder: Path, texts: Mapping[str, np.ndarray], dtype: str = "<f2", **masks: np.ndarray) -> Path:
    """One side: tokens.npy, lengths.npy, ids.json, and masks by their names."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    np.save(folder / "tokens.npy", np.concatenate(list(texts.values())).astype(dtype))
    np.save(folder / "lengths.npy", np.array([len(text) for text in texts.values()]))
    (folder / "ids.json").write_text(json.dumps(list(texts)))
    for name, mask in masks.items():
        np.save(folder / f"{name}.npy", mask)
    return folder


def read_side(folder: Path) -> dict[str, np.ndarray]:
    """Id -> token vectors [tokens, dim], by a loop over the files."""
    tokens, lengths = np.load(folder / "tokens.npy"), np.load(folder / "lengths.npy")
    found, start = {}, 0
    for name, length in zip(json.loads((folder / "ids.json").read_text()), lengths, strict=True):
        found[name] = tokens[start : start + length]
        start += length
    return found
