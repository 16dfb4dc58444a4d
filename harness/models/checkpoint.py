"""Checkpoints: the folder with a model's weights, their sha256, and PyLate's ColBERT loaded from them.

A model is always loaded from a folder. The first of these that applies is taken:

    model.path              if it is set
    the package's folder    for a model that is part of an installed package
    models_dir/NAME         if it exists; NAME is the last part of the hub id
    the hub's snapshot      of the pinned revision, downloaded once

A checkpoint is untrusted input: its folder is checked before anything is loaded from it (`refuse_code`), and weights
must be safetensors.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from harness.models import heads
from harness.models.untrusted import NOT_READ, READ_FILES, refuse_code
from harness.system.errors import HarnessError
from harness.system.files import digest, file_digest
from harness.system.messages import warn_once

if TYPE_CHECKING:
    from pylate.models import ColBERT

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A folder with a model, and the sha256 of everything that is read from it.

    Attributes
    ----------
    sha256 : hash of the folder's files and of the head
    head : file with a projection that replaces the folder's (`harness.models.heads`); None: the folder's own
    backbone : hash of the folder's files alone
    """

    folder: Path
    sha256: str
    head: Path | None = None
    backbone: str = ""


def locate(model: dict[str, Any], models_dir: str | None) -> Checkpoint:
    """Find the folder of a model (an entry of conf/model) and hash it.

    Raises
    ------
    HarnessError
        If there is no such folder, it has no weights, or a file's sha256 differs from the configured one.
    """
    folder = _folder(model, models_dir)
    if not folder.is_dir():
        raise HarnessError(
            f"the model folder {folder} does not exist: set model.path to a folder with a ColBERT model."
        )
    refuse_code(folder)
    matching = {path for pattern in READ_FILES for path in folder.rglob(pattern) if path.is_file()}
    files = sorted(path for path in matching if not {*path.relative_to(folder).parts} & NOT_READ)
    if not any(path.suffix in (".safetensors", ".bin") for path in files):
        raise HarnessError(
            f"{folder} has no weights (*.safetensors), expected a folder saved by PyLate or sentence-transformers: set "
            "model.path to one."
        )
    for name, expected in (model.get("files") or {}).items():
        found = _digest(folder / name) if (folder / name).is_file() else "nothing"
        if found != expected:
            raise HarnessError(
                f"{folder / name} has sha256 {found[:12]}, expected {expected[:12]}: the weights are damaged or from "
                "another version; install them again."
            )
    names = {str(path.relative_to(folder)): _digest(path) for path in files}
    weights = digest(names)
    if not model.get("head"):
        return Checkpoint(folder, weights, backbone=weights)
    head = heads.find(model["head"])
    return Checkpoint(folder, digest([weights, _digest(head)]), head, weights)


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
        with torch.random.fork_rng(devices=[]), _quiet():
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
def _quiet() -> Iterator[None]:
    """Silence transformers while it loads, except for the warning that weights are missing (and therefore random)."""
    from transformers.utils import logging as transformers_logging

    logger, collected = logging.getLogger("transformers"), _Collected()
    handlers, propagates = logger.handlers, logger.propagate
    transformers_logging.disable_progress_bar()
    logger.handlers, logger.propagate = [collected], False
    try:
        yield
    finally:
        logger.handlers, logger.propagate = handlers, propagates
        transformers_logging.enable_progress_bar()
    for text in collected.texts:
        if "MISSING" in text:
            warn_once(log, "%s", text)


class _Collected(logging.Handler):
    """Collects the texts of what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def weights_note(model: dict[str, Any], sha256: str) -> str | None:
    """The configured remark on weights with this sha256 (for instance that they were rounded), if there is one."""
    return next((known["note"] for known in model.get("known_weights") or () if known["sha256"] == sha256), None)


def _folder(model: dict[str, Any], models_dir: str | None) -> Path:
    if model.get("path"):
        return Path(model["path"]).expanduser()
    if model.get("package"):
        # For a name with a dot, find_spec would import the part before the dot.
        found = importlib.util.find_spec(model["package"]) if str(model["package"]).isidentifier() else None
        if found is None or not found.submodule_search_locations:
            raise HarnessError(
                f"the package '{model['package']}', which has the weights of '{model['name']}', is not installed: "
                "pip install -e '.[demo]'."
            )
        return Path(found.submodule_search_locations[0]) / model["folder"]
    if not model.get("hub"):
        raise HarnessError(
            f"the model '{model['name']}' has no released checkpoint: set model.path to a folder with one."
        )
    if models_dir and (local := Path(models_dir).expanduser() / model["hub"].split("/")[-1]).is_dir():
        return local
    return _snapshot(model["hub"], model.get("revision"))


def _snapshot(hub: str, revision: str | None) -> Path:
    """The folder with the hub's files of one revision, downloaded once."""
    import huggingface_hub
    import requests
    from httpx import HTTPError
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        patterns = [*READ_FILES, *(f"*/{pattern}" for pattern in READ_FILES)]
        ignored = [pattern for name in NOT_READ for pattern in (name, f"{name}/*")]
        return Path(
            huggingface_hub.snapshot_download(hub, revision=revision, allow_patterns=patterns, ignore_patterns=ignored)
        )
    except (
        HTTPError,
        requests.RequestException,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        OSError,
    ) as error:
        reason = " ".join(str(error).split())[:160]
        raise HarnessError(
            f"cannot download {hub} from the hub ({reason}): go online, or set model.path (or models_dir) to a local "
            "copy."
        ) from error


@cache
def _digest_of(path: Path, _size: int, _mtime: int) -> str:
    return file_digest(path)


def _digest(path: Path) -> str:
    """sha256 of a file, computed again only if its size or time of change differs."""
    try:
        found = path.stat()
        return _digest_of(path, found.st_size, found.st_mtime_ns)
    except OSError as error:
        raise HarnessError(f"cannot read {path} ({error.strerror}): make it readable, or set model.path.") from error
