"""Heads: the projection of a ColBERT model, in a file of its own.

A ColBERT model consists of a transformer (the backbone) and a projection of its token vectors (the head: one or more
dense layers). Models that differ in the head alone share the backbone, so that texts pass through it only once
(`harness.vectors.encode`). A trained head is a small file:

    NAME.safetensors   the parameters of all modules after the first, under PyLate's names (``1.linear.weight``, ...)

Its metadata name what was trained, where that is more than the head:

    trained=adapter    the first two modules are an adapter (`harness.models.adapter`) that the checkpoint lacks
    trained=layers:N   it also has the transformer's last N layers (`harness.models.layers`)

``model.head=FILE`` replaces the checkpoint's own by it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from harness.models import adapter
from harness.models.layers import LastLayers
from harness.system.errors import HarnessError
from harness.system.files import replacing
from harness.system.paths import user_path

if TYPE_CHECKING:
    from pylate.models import ColBERT

SHIPPED = Path(__file__).resolve().parent / "shipped"
HEAD, ADAPTER = "head", "adapter"
TRAINED = re.compile(r"head|adapter|layers:([1-9]\d?)")
"""What a file of a head can hold."""
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


def trained(path: Path) -> str:
    """What a file holds: ``head``, ``adapter`` or ``layers:N``.

    Raises
    ------
    HarnessError
        If the file is damaged, or its metadata name something else.
    """
    try:
        with safe_open(path, "pt") as file:
            found = (file.metadata() or {}).get("trained", HEAD)
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error
    if not TRAINED.fullmatch(found):
        raise HarnessError(
            f"the head {path} says that {found[:60]!r} was trained, expected head, adapter or layers:N: set model.head "
            "to a file that this version of `train` wrote."
        )
    return found


def layers(what: str) -> int:
    """The number of the transformer's layers among what was trained: N of ``layers:N``, else 0."""
    found = TRAINED.fullmatch(what)
    return int(found[1] or 0) if found else 0


def parameters(model: ColBERT, what: str = HEAD) -> dict[str, torch.Tensor]:
    """The parameters of what is trained of a model, by name: of its head, and of its last layers for ``layers:N``."""
    count = layers(what)
    above = set(LastLayers(model, count).names(model)) if count else set()
    return {name: value for name, value in model.state_dict().items() if name in above or name[:2] != _BACKBONE}


def write(model: ColBERT, path: Path, what: str = HEAD) -> None:
    """Write what was trained of a model to a file, all of it or nothing."""
    tensors = {name: value.detach().float().cpu().contiguous() for name, value in parameters(model, what).items()}
    with replacing(path) as file:
        file.write(save(tensors, None if what == HEAD else {"trained": what}))


def put(model: ColBERT, path: Path) -> None:
    """Replace the head of a model by the one in a file, and put in what else the file has.

    Raises
    ------
    HarnessError
        If the file is damaged, or the head belongs to a model with other shapes.
    """
    what = trained(path)
    try:
        found = load_file(path)
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error
    if what == ADAPTER:
        adapter.insert(model, 0)
    shapes = {name: tuple(value.shape) for name, value in found.items()}
    expected = {name: tuple(value.shape) for name, value in parameters(model, what).items()}
    if shapes != expected:
        raise HarnessError(
            f"head {path} has tensors {_shown(shapes, expected)}, but this model needs {_shown(expected, shapes)}: it "
            "belongs to a different model; set model.head to another file."
        )
    model.load_state_dict(found, strict=False)


def _shown(shapes: dict[str, tuple[int, ...]], other: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """The shapes that differ, the first three of them."""
    return dict([item for item in shapes.items() if other.get(item[0]) != item[1]][:3])


def _unreadable(path: Path, error: Exception) -> HarnessError:
    return HarnessError(f"cannot read the head {path} ({error}), expected a *.safetensors file: copy it again.")


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
