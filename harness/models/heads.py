"""Heads: the projection of a ColBERT model, in a file of its own.

A ColBERT model consists of a transformer (the backbone) and a projection of its token vectors (the head: one or more
dense layers). Models that differ in the head alone share the backbone, so that texts pass through it only once
(`harness.vectors.encode`). A trained head is a small file:

    NAME.safetensors   the parameters of all modules after the first, under PyLate's names (``1.linear.weight``, ...)

``model.head=FILE`` replaces the checkpoint's own projection by it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from harness.system.errors import HarnessError
from harness.system.files import replacing
from harness.system.paths import user_path

if TYPE_CHECKING:
    from pylate.models import ColBERT

SHIPPED = Path(__file__).resolve().parent / "shipped"
_BACKBONE = "0."


def find(name: str) -> Path:
    """The file of a head, from a path or the name of a shipped head.

    Raises
    ------
    HarnessError
        If the file does not exist.
    """
    path = SHIPPED / f"{name}.safetensors" if name in shipped() else user_path(name)
    if not path.is_file():
        known = ", ".join(shipped()) or "none"
        raise HarnessError(
            f"the head {path} does not exist: set model.head to a *.safetensors file or a shipped head ({known})."
        )
    return path


def shipped() -> list[str]:
    """The names of the heads that are part of the harness."""
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors"))


def parameters(model: ColBERT) -> dict[str, torch.Tensor]:
    """The parameters of a model's head, by name."""
    return {name: value for name, value in model.state_dict().items() if not name.startswith(_BACKBONE)}


def write(model: ColBERT, path: Path) -> None:
    """Write the head of a model to a file, all of it or nothing."""
    tensors = {name: value.detach().float().cpu().contiguous() for name, value in parameters(model).items()}
    with replacing(path) as file:
        file.write(save(tensors))


def put(model: ColBERT, path: Path) -> None:
    """Replace the head of a model by the one in a file.

    Raises
    ------
    HarnessError
        If the file is damaged, or the head belongs to a model with other shapes.
    """
    try:
        found = load_file(path)
    except (SafetensorError, OSError) as error:
        raise HarnessError(
            f"cannot read the head {path} ({error}), expected a *.safetensors file: copy it again."
        ) from error
    shapes = {name: tuple(value.shape) for name, value in found.items()}
    expected = {name: tuple(value.shape) for name, value in parameters(model).items()}
    if shapes != expected:
        raise HarnessError(
            f"head {path} has tensors {shapes}, but this model needs {expected}: it belongs to a different model; set "
            "model.head to another file."
        )
    model.load_state_dict(found, strict=False)


def forward(model: ColBERT, tokens: torch.Tensor) -> torch.Tensor:
    """Pass the backbone's vectors through the head: [..., hidden] to [..., dim], not of unit length."""
    features = {"token_embeddings": tokens}
    for module in list(model)[1:]:
        features = module(features)
    return features["token_embeddings"]


def project(model: ColBERT, tokens: Float[np.ndarray, "tokens hidden"]) -> Float[np.ndarray, "tokens dim"]:
    """Unit token vectors, from the backbone's by the head."""
    with torch.inference_mode():
        projected = forward(model, torch.from_numpy(tokens).to(model.device))
        return torch.nn.functional.normalize(projected.float(), dim=-1).cpu().numpy()
