"""Checkpoints that would run code when they are loaded: they are refused before anything loads them."""

from __future__ import annotations

import re
from pathlib import Path, PureWindowsPath
from typing import Any

from harness.system import strict_json
from harness.system.errors import HarnessError
from harness.system.files import read_bytes

NOT_READ = {"onnx", "openvino", "training_args.bin"}
"""Exports and leftovers beside a checkpoint, neither downloaded nor hashed."""
READ_FILES = ("*.json", "*.txt", "*.model", "*.safetensors", "*.bin", "artifact.metadata")
"""Patterns of the files that a checkpoint consists of."""
_MODULE = re.compile(r"(sentence_transformers|pylate)\.([A-Za-z_]+\.)*(Transformer|Pooling|Normalize|Dense)")
_ACTIVATION = re.compile(r"torch\.nn\.(modules\.(activation|linear)\.)?[A-Z][A-Za-z]*")
_TRANSFORMER_OPTIONS = {"max_seq_length", "do_lower_case"}


def refuse_code(folder: Path) -> None:
    """Refuse a checkpoint that refers to code, to a pickle, or to a file outside its folder.

    Loading such a checkpoint would use them. Even without `trust_remote_code`, sentence-transformers imports the class
    of a module from the checkpoint's folder. It calls the activation function that a dense layer names, and passes
    ``model_args`` to transformers, where ``use_safetensors`` and ``weights_only`` could be turned off.

    Raises
    ------
    HarnessError
        At the first such reference.
    """
    for module in read_json(folder / "modules.json", []):
        kind, place = str(module.get("type")), str(module.get("path"))
        if not _MODULE.fullmatch(kind):
            raise _refused(folder / "modules.json", f"the module {kind!r}", "a Transformer and Dense layers of PyLate")
        if PureWindowsPath(place).anchor or ".." in PureWindowsPath(place).parts:  # both kinds of separators
            raise _refused(folder / "modules.json", f"the folder {place!r}", "folders inside the checkpoint")
        if kind.endswith("Dense"):
            layer = folder / place / "config.json"
            if not layer.is_file():
                raise HarnessError(
                    f"{folder} has no {place}/config.json, which its modules.json names, expected a complete copy of a "
                    "checkpoint: copy the whole folder again."
                )
            function = str(read_json(layer, {}).get("activation_function"))
            if not _ACTIVATION.fullmatch(function):
                raise _refused(layer, f"the activation function {function!r}", "one of torch.nn")
    for path in folder.rglob("sentence_*_config.json"):
        options = read_json(path, {})
        if unknown := sorted(key for key, value in options.items() if value and key not in _TRANSFORMER_OPTIONS):
            raise _refused(path, f"the options {', '.join(unknown)}", f"only {', '.join(sorted(_TRANSFORMER_OPTIONS))}")
    for path in folder.rglob("*.safetensors.index.json"):
        _refuse_files(path, [str(name) for name in (read_json(path, {}).get("weight_map") or {}).values()])
    if named := read_json(folder / "config.json", {}).get("transformers_weights"):
        _refuse_files(folder / "config.json", [str(named)])
    if (folder / "adapter_config.json").exists():
        raise _refused(
            folder / "adapter_config.json", "an adapter for another model", "one complete model: merge the two"
        )
    for path in folder.rglob("pytorch_model*.bin"):
        if not any((path.parent / f"model.safetensors{end}").exists() for end in ("", ".index.json")):
            raise _refused(path, "weights as a pickle, which can run code", "model.safetensors: convert them")


def _refuse_files(path: Path, names: list[str]) -> None:
    for name in names:
        if PureWindowsPath(name).name != name or not name.endswith((".safetensors", ".safetensors.index.json")):
            raise _refused(path, f"the weights {name!r}", "*.safetensors beside it")


def _refused(path: Path, found: str, expected: str) -> HarnessError:
    return HarnessError(f"{path} has {found}, expected {expected}; nothing of this model was loaded.")


def read_json(path: Path, empty: Any) -> Any:
    """The JSON of a file, of the same type as `empty` (a list must hold objects); `empty` if there is no file."""
    try:
        found = strict_json.loads(read_bytes(path).decode("utf-8")) if path.exists() else empty
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, ValueError) else type(error).__name__
        raise HarnessError(f"cannot read {path} ({reason}): fetch the model again.") from error
    if type(found) is not type(empty) or (
        isinstance(found, list) and not all(isinstance(entry, dict) for entry in found)
    ):
        expected = "a list of objects" if isinstance(empty, list) else "an object"
        raise HarnessError(f"cannot read {path} (expected {expected}): fetch the model again.")
    return found
