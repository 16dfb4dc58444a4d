"""Heads: the projection of a ColBERT model, as a file of its own.

A ColBERT model is a transformer (the backbone) and a projection of each of its token vectors (the head: one dense
layer, or several). Models that differ in the head alone share everything before it, so that their texts pass through
the backbone once (`harness.vectors.encode`), and a trained head is a small file:

    NAME.safetensors   the parameters of all modules after the first, under PyLate's names (``1.linear.weight``, ...)

``model.head=FILE`` puts one in place of the checkpoint's own projection.
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

if TYPE_CHECKING:
    from pylate.models import ColBERT

SHIPPED = Path(__file__).resolve().parent / "shipped"
_BACKBONE = "0."


def find(name: str) -> Path:
    """The file of a head: a path, or the name of a shipped one.

    Raises
    ------
    HarnessError
        If there is neither.
    """
    path = SHIPPED / f"{name}.safetensors" if name in shipped() else Path(name).expanduser()
    if not path.is_file():
        known = ", ".join(shipped()) or "none"
        raise HarnessError(
            f"the head {path} does not exist: set model.head to a *.safetensors file (shipped: {known})."
        )
    return path


def shipped() -> list[str]:
    """The names of the heads that come with the harness."""
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors"))


def parameters(model: ColBERT) -> dict[str, torch.Tensor]:
    """The parameters of a model's head."""
    return {name: value for name, value in model.state_dict().items() if not name.startswith(_BACKBONE)}


def write(model: ColBERT, path: Path) -> None:
    """Write the head of a model, whole or not at all."""
    tensors = {name: value.detach().float().cpu().contiguous() for name, value in parameters(model).items()}
    with replacing(path) as file:
        file.write(save(tensors))


def put(model: ColBERT, path: Path) -> None:
    """Replace the head of a model by the one in a file.

    Raises
    ------
    HarnessError
        If the file is damaged, or is the head of a model of another shape.
    """
    try:
        found = load_file(path)
    except (SafetensorError, OSError) as error:
        raise HarnessError(
            f"cannot read the head {path} ({error}): expected a *.safetensors file; copy it again."
        ) from error
    shapes = {name: tuple(value.shape) for name, value in found.items()}
    expected = {name: tuple(value.shape) for name, value in parameters(model).items()}
    if shapes != expected:
        raise HarnessError(f"the head {path} has {shapes}, expected {expected}: it is another model's.")
    model.load_state_dict(found, strict=False)


def forward(model: ColBERT, tokens: torch.Tensor) -> torch.Tensor:
    """What the modules after the backbone make of its vectors, [..., hidden] to [..., dim], not of unit length."""
    features = {"token_embeddings": tokens}
    for module in list(model)[1:]:
        features = module(features)
    return features["token_embeddings"]


def project(model: ColBERT, tokens: Float[np.ndarray, "tokens hidden"]) -> Float[np.ndarray, "tokens dim"]:
    """Unit token vectors from the backbone's, by the head alone."""
    with torch.inference_mode():
        projected = forward(model, torch.from_numpy(tokens).to(model.device))
        return torch.nn.functional.normalize(projected.float(), dim=-1).cpu().numpy()
