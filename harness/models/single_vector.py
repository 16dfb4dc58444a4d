"""Single-vector models: a checkpoint of sentence-transformers that turns a text into one vector.

Its folder is untrusted input, as a ColBERT's is (`harness.models.checkpoint`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from harness.config.entries import choices, entry
from harness.models.checkpoint import Checkpoint, locate, quiet
from harness.system.errors import HarnessError
from harness.system.paths import user_path

_AT_ONCE = 32  # texts in a batch


@dataclass(frozen=True)
class SingleVectorModel:
    """An entry of conf/encoder, or a folder, and its checkpoint."""

    options: dict[str, Any]
    checkpoint: Checkpoint

    @classmethod
    def find(cls, name: str, models_dir: str | None) -> SingleVectorModel:
        """The model that the option ``method.model`` names.

        Raises
        ------
        HarnessError
            If it is neither an entry nor a folder, or no complete checkpoint.
        """
        if name in choices("encoder"):
            options = entry("encoder", name)
        elif name and user_path(name).is_dir():
            options = {"name": user_path(name).resolve().name, "path": name}
        else:
            known = ", ".join(choices("encoder"))
            raise HarnessError(
                f"method.model={name}: expected one of {known}, or the folder of a sentence-transformers checkpoint."
            )
        return cls(options, locate(options, models_dir))

    def load(self, device: torch.device) -> None:
        """Load the model, so that no time of encoding has it."""
        _loaded(self.checkpoint.folder, str(device), self.options.get("max_length"))

    def encode(
        self,
        texts: Sequence[str],
        is_query: bool,
        device: torch.device,
        tick: Callable[[int], object] = lambda _: None,
    ) -> Float[np.ndarray, "texts dim"]:
        """A unit vector for each text, with the model's prefix in front of it; longer texts are cut."""
        model = _loaded(self.checkpoint.folder, str(device), self.options.get("max_length"))
        prefix = self.options.get("query_prefix" if is_query else "document_prefix") or ""
        found = []
        for first in range(0, len(texts), 16 * _AT_ONCE):
            part = [prefix + text for text in texts[first : first + 16 * _AT_ONCE]]
            found.append(
                model.encode(
                    part,
                    batch_size=_AT_ONCE,
                    prompt="",  # the prefix is ours: a checkpoint's own prompts may have other names
                    normalize_embeddings=True,
                    show_progress_bar=False,
                    convert_to_numpy=True,
                )
            )
            tick(len(part))
        return np.concatenate(found).astype(np.float32)


@lru_cache(maxsize=1)
def _loaded(folder: Path, device: str, max_length: int | None) -> Any:
    from sentence_transformers import SentenceTransformer  # seconds to import

    try:
        with quiet():
            model = SentenceTransformer(
                str(folder),
                device=device,
                trust_remote_code=False,
                local_files_only=True,
                model_kwargs={"dtype": torch.float32},
            )
    except Exception as error:  # safetensors raises its own SafetensorError, derived from Exception alone
        raise HarnessError(
            f"cannot load a single-vector model from {folder} ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:300]}): expected an undamaged checkpoint of sentence-transformers."
        ) from error
    if max_length:
        model.max_seq_length = max_length
    return model
