"""Weights that no training has seen: PyLate and transformers draw at random whatever a checkpoint lacks."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from harness.models.checkpoint import Checkpoint, quiet
from harness.models.inspection import Inspection

_SHOWN = 3
_UNUSED = "pooler"  # a layer behind the token vectors, which ColBERT does not use


def notes(model: dict[str, Any], checkpoint: Checkpoint) -> list[str]:
    """A line for each part of a model (an entry of conf/model) that is random; it loads the transformer once."""
    found = checkpoint.inspection
    lines = of_folder(found, checkpoint.head is not None, model.get("seed") or 0)
    missing, count = missing_weights(found.transformer, checkpoint.backbone)
    if missing:
        names = ", ".join(missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
        lines.append(f"{len(missing)} of {count} tensors of weights are random, as the checkpoint lacks them ({names})")
    return lines


def of_folder(found: Inspection, has_head: bool, seed: int) -> list[str]:
    """The lines on what the checkpoint's folder lacks: a projection, the words before queries and documents."""
    lines = []
    if not found.has_projection and not has_head:
        lines.append(f"the projection is random (model.seed={seed}), as the checkpoint has none")
    vocabulary = found.vocabulary
    new = [name for name in found.prefixes if vocabulary is not None and vocabulary.token_to_id(name) is None]
    if new:
        names = " and ".join(f"'{name}'" for name in new)
        lines.append(f"the vectors of the tokens {names} are untrained, as the checkpoint's vocabulary lacks them")
    return lines


@lru_cache(maxsize=8)
def missing_weights(transformer: Path, _sha256: str) -> tuple[list[str], int]:
    """The names of the weights that the checkpoint lacks and token vectors depend on; how many tensors there are."""
    from transformers import AutoModel

    with quiet():
        model, loaded = AutoModel.from_pretrained(
            transformer, output_loading_info=True, local_files_only=True, trust_remote_code=False, use_safetensors=True
        )
    missing = sorted(name for name in loaded["missing_keys"] if _UNUSED not in name)
    return missing, len(model.state_dict())
