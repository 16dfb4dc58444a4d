"""Files of a model's folder that would run code when they are loaded: all are refused before anything loads them."""

from __future__ import annotations

import json
import re
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

from harness.system.errors import HarnessError

if TYPE_CHECKING:
    pass


_NOT_READ = {"onnx", "openvino", "training_args.bin"}


_READ_FILES = ("*.json", "*.txt", "*.model", "*.safetensors", "*.bin", "artifact.metadata")
"""What a checkpoint is made of; ONNX and other exports beside it are neither downloaded nor hashed."""


_MODULE = re.compile(r"(sentence_transformers|pylate)\.([A-Za-z_]+\.)*(Transformer|Pooling|Normalize|Dense)")


_ACTIVATION = re.compile(r"torch\.nn\.(modules\.(activation|linear)\.)?[A-Z][A-Za-z]*")


_TRANSFORMER_OPTIONS = {"max_seq_length", "do_lower_case"}


def refuse_code(folder: Path) -> None:
    """Refuse a checkpoint that names code, a pickle, or a file outside its folder: loading it would use them.

    sentence-transformers imports a module's class from the checkpoint's own folder even without `trust_remote_code`,
    calls the activation function that a dense layer names, and passes a transformer's ``model_args`` on to
    transformers, which has ``use_safetensors`` and ``weights_only`` among them.

    Raises
    ------
    HarnessError
        For the first such thing.
    """
    for module in _json(folder / "modules.json", []):
        kind, place = str(module.get("type")), str(module.get("path"))
        if not _MODULE.fullmatch(kind):
            raise _refused(folder / "modules.json", f"the module {kind!r}", "a Transformer and Dense layers of PyLate")
        if PureWindowsPath(place).anchor or ".." in PureWindowsPath(place).parts:  # both kinds of separators
            raise _refused(folder / "modules.json", f"the folder {place!r}", "folders inside the checkpoint")
        if kind.endswith("Dense"):
            layer = folder / place / "config.json"
            function = str(_json(layer, {}).get("activation_function"))
            if not _ACTIVATION.fullmatch(function):
                raise _refused(layer, f"the activation function {function!r}", "one of torch.nn")
    for path in folder.rglob("sentence_*_config.json"):
        if unknown := sorted(
            key for key, value in _json(path, {}).items() if value and key not in _TRANSFORMER_OPTIONS
        ):
            raise _refused(path, f"the options {', '.join(unknown)}", f"only {', '.join(sorted(_TRANSFORMER_OPTIONS))}")
    for path in folder.rglob("*.safetensors.index.json"):
        _refuse_files(path, [str(name) for name in (_json(path, {}).get("weight_map") or {}).values()])
    if named := _json(folder / "config.json", {}).get("transformers_weights"):
        _refuse_files(folder / "config.json", [str(named)])
    if (folder / "adapter_config.json").exists():
        raise _refused(folder / "adapter_config.json", "an adapter of another model", "one whole model: merge them")
    for path in folder.rglob("pytorch_model*.bin"):
        if not any((path.parent / f"model.safetensors{end}").exists() for end in ("", ".index.json")):
            raise _refused(path, "weights as a pickle, which can run code", "model.safetensors: convert it")


def _refuse_files(path: Path, names: list[str]) -> None:
    for name in names:
        if PureWindowsPath(name).name != name or not name.endswith((".safetensors", ".safetensors.index.json")):
            raise _refused(path, f"the weights {name!r}", "*.safetensors beside it")


def _refused(path: Path, found: str, expected: str) -> HarnessError:
    return HarnessError(f"{path} has {found}, expected {expected}; nothing of this model was loaded.")


def _json(path: Path, empty: Any) -> Any:
    """A file's JSON, of the type of `empty` (of a list: objects); without the file, `empty`."""
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else empty
    except (OSError, ValueError, RecursionError) as error:
        raise HarnessError(f"cannot read {path} ({type(error).__name__}): fetch the model again.") from error
    if type(found) is not type(empty) or (isinstance(found, list) and not all(isinstance(one, dict) for one in found)):
        raise HarnessError(f"cannot read {path} (it is not of the expected form): fetch the model again.")
    return found
