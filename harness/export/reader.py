"""Codes of an exported first stage, with numpy and safetensors alone: the score is `document(d) @ query(q)`."""

import hashlib
import json
import pathlib

import numpy as np
from safetensors.numpy import load_file


class Reader:
    """Makes the codes, float32 [size], of one text's token vectors, float32 [tokens, dim]."""

    def __init__(self, folder: str | pathlib.Path) -> None:
        self.options = json.loads((pathlib.Path(folder) / "encoder.json").read_text())
        content = pathlib.Path(folder) / "arrays.safetensors"
        if hashlib.sha256(content.read_bytes()).hexdigest() != self.options["sha256"]:
            raise ValueError(f"{content} is not the file that encoder.json describes: export it again.")
        self.arrays, self._encode = load_file(content), getattr(self, "_" + self.options["method"])

    def document(self, tokens: np.ndarray) -> np.ndarray:
        """A document's code."""
        return np.ravel(self._encode(self._centered(tokens, "document"), True))

    def query(self, tokens: np.ndarray) -> np.ndarray:
        """A query's code; `query_tokens` of encoder.json says which of its tokens belong in it."""
        return np.ravel(self._encode(self._centered(tokens, "query"), False))

    def _centered(self, x: np.ndarray, side: str) -> np.ndarray:
        share, mean = np.float32(self.options["center"][side]), self.arrays.get(f"{side}_mean", np.float32(0))
        x = x - ((share * x.mean(axis=0) if len(x) else 0) + (1 - share) * mean)
        norms = np.linalg.norm(x, axis=1, keepdims=True) if self.options["center"]["renormalize"] else np.float32(1)
        return x / np.where(norms > 0, norms, np.float32(1))

    def _muvera(self, x: np.ndarray, is_document: bool) -> np.ndarray:
        (repetitions, k, _), powers = self.arrays["planes"].shape, 1 << np.arange(self.options["bits"])
        code = np.zeros((repetitions, 1 << k, self.arrays["projections"].shape[1]), np.float32)
        for r, own in enumerate(code):
            signs, values = x @ self.arrays["planes"][r].T > 0, x @ self.arrays["projections"][r].T
            np.add.at(own, signs @ powers, values)
            if is_document and len(x):  # means; an empty bucket takes the token whose signs are nearest
                held = np.bincount(signs @ powers, minlength=1 << k)[:, None]
                far = (signs[:, None] != (np.arange(1 << k)[:, None] & powers > 0)).sum(axis=2)
                own[:] = np.where(held > 0, own / np.maximum(held, 1), values[far.argmin(axis=0)])
        return code

    def _smve(self, x: np.ndarray, is_document: bool) -> np.ndarray:
        code, held = np.zeros((2, *self.arrays["anchors"].shape[:2]), np.float32)
        for r, anchors in enumerate(self.arrays["anchors"]):
            projections, keep = x @ anchors.T, self.options["keep"]
            kept = np.argpartition(-projections, keep - 1, axis=1)[:, :keep]
            np.add.at(code[r], kept, np.take_along_axis(projections, kept, axis=1))
            np.add.at(held[r], kept, 1)
        return code / np.maximum(held, 1) if is_document else code
