"""Where a model's folder is. The first of these that applies is taken:

model.path              if it is set
the package's folder    for a model that is part of an installed package
models_dir/NAME         if it exists; NAME is the last part of the hub id
the hub's snapshot      of the pinned revision, downloaded once
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

from harness.config.entries import VECTORS, choices, entry
from harness.models.untrusted import NOT_READ, READ_FILES
from harness.system.errors import HarnessError
from harness.system.paths import user_path

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def folder(model: dict[str, Any], models_dir: str | None) -> Path:
    """The folder of a model (an entry of conf/model), downloaded if it is only on the hub.

    Raises
    ------
    HarnessError
        If there is no such folder.
    """
    return local(model, models_dir) or _snapshot(model["hub"], model.get("revision"))


def local(model: dict[str, Any], models_dir: str | None) -> Path | None:
    """The folder of a model on this machine; None for a model that is only on the hub.

    Raises
    ------
    HarnessError
        If the model has a folder, and it does not exist.
    """
    if model.get("kind") == VECTORS:
        raise HarnessError(
            f"the model '{model['name']}' is token vectors, expected a checkpoint, which can encode texts."
        )
    if model.get("path"):
        return _at(model["path"])
    if model.get("package"):
        return _in_package(model)
    if not model.get("hub"):
        raise HarnessError(
            f"the model '{model['name']}' has no released checkpoint: set model.path to a folder with one."
        )
    copy = user_path(models_dir) / model["hub"].split("/")[-1] if models_dir else None
    return copy if copy and copy.is_dir() else None


def _at(path: str) -> Path:
    """The folder that ``model.path`` names."""
    found = user_path(path)
    if found.is_dir():
        return found
    if found.exists():
        raise HarnessError(f"model.path={path} is a file, expected a folder with a ColBERT model: name its folder.")
    action = "set model.path to a folder with a ColBERT model"
    if _HUB_ID.fullmatch(path):
        known = [name for name in choices("model") if entry("model", name).get("hub") == path]
        words = f"model={known[0]}" if known else f"model=local model.hub={path} model.name={path.split('/')[1]}"
        action = f"for the model of this id on the hub, write {words}"
    raise HarnessError(f"the model folder {found} does not exist: {action}.")


def _in_package(model: dict[str, Any]) -> Path:
    # For a name with a dot, find_spec would import the part before the dot.
    found = importlib.util.find_spec(model["package"]) if str(model["package"]).isidentifier() else None
    if found is None or not found.submodule_search_locations:
        raise HarnessError(
            f"the package '{model['package']}', which has the weights of '{model['name']}', is not installed: "
            "pip install -e '.[demo]'."
        )
    return Path(found.submodule_search_locations[0]) / model["folder"]


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
