"""Checkpoints: the files of a model's folder, their sha256, and PyLate's ColBERT loaded from them.

A checkpoint is untrusted input: its folder is checked before anything is loaded from it (`refuse_code`), and weights
must be safetensors.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from harness.models import heads, places
from harness.models.inspection import Inspection, inspect
from harness.models.untrusted import NOT_READ, READ_FILES, refuse_code
from harness.system.errors import HarnessError
from harness.system.files import digest, known_digest

if TYPE_CHECKING:
    from pylate.models import ColBERT


@dataclass(frozen=True)
class Checkpoint:
    """A folder with a model, and the sha256 of everything that is read from it.

    Attributes
    ----------
    sha256 : hash of the folder's files and of the head
    head : file with a projection that replaces the folder's (`harness.models.heads`); None: the folder's own
    backbone : hash of the folder's files alone
    trained : what the file of the head holds (`harness.models.heads.trained`)
    inspection : what the folder says about the model
    """

    folder: Path
    sha256: str
    head: Path | None
    backbone: str
    inspection: Inspection = field(compare=False, repr=False)
    trained: str = heads.HEAD


def locate(model: dict[str, Any], models_dir: str | None) -> Checkpoint:
    """Find the folder of a model (an entry of conf/model) and hash it.

    Raises
    ------
    HarnessError
        If there is no such folder, it is no complete checkpoint, or a file's sha256 differs from the configured one.
    """
    folder = places.folder(model, models_dir)
    if not folder.is_dir():
        raise HarnessError(f"the model folder {folder} does not exist: install the package again.")
    refuse_code(folder)
    matching = {path for pattern in READ_FILES for path in folder.rglob(pattern) if path.is_file()}
    files = sorted(path for path in matching if not {*path.relative_to(folder).parts} & NOT_READ)
    weights = digest({str(path.relative_to(folder)): _digest(path) for path in files})
    inspection = _inspected(folder, weights)
    for name, expected in (model.get("files") or {}).items():
        found = _digest(folder / name) if (folder / name).is_file() else "nothing"
        if found != expected:
            raise HarnessError(
                f"{folder / name} has sha256 {found[:12]}, expected {expected[:12]}: the weights are damaged or from "
                "another version; install them again."
            )
    if not model.get("head"):
        return Checkpoint(folder, weights, None, weights, inspection)
    head = heads.find(model["head"])
    return Checkpoint(folder, digest([weights, _digest(head)]), head, weights, inspection, heads.trained(head))


@lru_cache(maxsize=8)
def _inspected(folder: Path, _sha256: str) -> Inspection:
    """What a folder says about its model, read once for the same files: it takes a large vocabulary's reading."""
    return inspect(folder)


def load(model: dict[str, Any], checkpoint: Checkpoint, device: torch.device, query_length: int | None) -> ColBERT:
    """PyLate's ColBERT in float32, with the configured lengths, query expansion and attention implementation.

    PyLate gives a checkpoint without a projection a random one. For this, torch is seeded with ``model.seed``;
    afterwards its global random state is restored.

    Raises
    ------
    HarnessError
        If the folder has no model that can be loaded.
    """
    from pylate.models import ColBERT  # seconds to import, and needed for encoding only

    # The weights stay in float32; ``model.dtype`` is the type of products (`harness.vectors.forward`).
    options = {"attn_implementation": model.get("attention"), "dtype": torch.float32}
    try:
        with torch.random.fork_rng(devices=[]), quiet():
            torch.manual_seed(model.get("seed") or 0)
            loaded = ColBERT(
                str(checkpoint.folder),
                device=str(device),
                query_length=query_length,
                document_length=model.get("document_length"),
                do_query_expansion=model.get("query_expansion"),
                model_kwargs={name: value for name, value in options.items() if value is not None},
                trust_remote_code=False,
                local_files_only=True,
            )
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise HarnessError(
            f"cannot load a ColBERT model from {checkpoint.folder} ({type(error).__name__}: {reason}): expected an "
            "undamaged folder saved by PyLate: set model.path to one."
        ) from error
    except Exception as error:  # safetensors raises its own SafetensorError, derived from Exception alone
        raise HarnessError(
            f"cannot read the weights in {checkpoint.folder} ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:300]}): fetch them again."
        ) from error
    if checkpoint.head:
        heads.put(loaded, checkpoint.head)
    return loaded


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers while it loads: `harness.models.untrained` says which weights are missing."""
    from transformers.utils import logging as transformers_logging

    logger = logging.getLogger("transformers")
    handlers, propagates = logger.handlers, logger.propagate
    transformers_logging.disable_progress_bar()
    logger.handlers, logger.propagate = [logging.NullHandler()], False
    try:
        yield
    finally:
        logger.handlers, logger.propagate = handlers, propagates
        transformers_logging.enable_progress_bar()


def weights_note(model: dict[str, Any], sha256: str) -> str | None:
    """The configured remark on weights with this sha256 (for instance that they were rounded), if there is one."""
    return next((known["note"] for known in model.get("known_weights") or () if known["sha256"] == sha256), None)


def _digest(path: Path) -> str:
    """sha256 of a file."""
    try:
        return known_digest(path)
    except OSError as error:
        raise HarnessError(f"cannot read {path} ({error.strerror}): make it readable, or set model.path.") from error
