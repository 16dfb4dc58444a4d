"""Names of cells: what a record's file is called, from the options that it was made with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Any
from unicodedata import normalize

from harness.config.entries import choices, entry, entry_of_folder
from harness.system.errors import HarnessError
from harness.system.paths import user_path

_UNSAFE = re.compile(r"[^A-Za-z0-9._=+-]+")  # with commas, which separate names in words
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=,+-]*")


LONGEST, _LONGEST_VARIANT = 80, 160
"""Characters of a name, so that a file named by a model, a data set, digests and a shard has at most 255."""


def variant(group: str, options: dict[str, Any], ignored: Sequence[str] = ()) -> str:
    """The name of a cell's model, centering or method: the entry's own, plus every option that differs from it.

    For instance ``smve+keep=16``: a result of other options can neither hide nor overwrite one of the shipped ones.
    """
    name = safe_name(group, options["name"])
    if name not in choices(group) and group != "model":
        return name  # another engine's run: nothing to differ from
    shipped = entry(group, name if name in choices(group) else entry_of_folder(options))
    changed = {key: value for key, value in options.items() if key not in ignored and value != shipped.get(key)}
    if changed.get("head"):
        changed["head"] = _head_title(changed["head"])
    if changed.get("model"):
        changed["model"] = encoder_name(changed["model"])
    return safe_name(group, "+".join([name, *(f"{key}={_plain(value)}" for key, value in sorted(changed.items()))]))


def encoder_name(model: str) -> str:
    """The name of a method's own model (``method.model``): an entry of conf/encoder, or its folder's."""
    return model if model in choices("encoder") else plain_name(user_path(model).resolve().name, "encoder")


def _head_title(name: str) -> str:
    """A head's file without its ending; its folder where the file is just head.safetensors, as `train` calls it."""
    path = user_path(name)
    return plain_name(path.resolve().parent.name if path.stem == "head" else path.stem, "head")


def plain_name(text: str, kind: str) -> str:
    """The name of a file or folder, as far as it can be part of other files' names.

    A digest keeps names apart that differ in letters beyond ASCII alone.

    Parameters
    ----------
    kind
        What stands before a digest of the name, if the name cannot be used.
    """
    ascii_letters = normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = _UNSAFE.sub("-", ascii_letters).strip("-.")
    usable = name not in ("", "null")
    if usable and text.isascii():
        return name
    return f"{name if usable else kind}-{sha256(text.encode()).hexdigest()[:8]}"


def safe_name(what: str, name: Any, longest: int = _LONGEST_VARIANT) -> str:
    """`name`, if it can be a file's name on any system: no folders, nothing hidden, not too long."""
    if not isinstance(name, str) or not _SAFE_NAME.fullmatch(name) or len(name) > longest:
        todo = f"set {what}.name" if what in ("model", "dataset") else "change fewer options at once"
        raise HarnessError(
            f"the {what} name {str(name)[:longest]!r} cannot be a file name: expected letters, digits and . _ = , + -, "
            f"at most {longest} ({todo})."
        )
    return name


def _plain(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(_plain, value))
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


NOT_IN_NAME = ("name", "title", "path", "hub", "revision", "known_weights")
"""Model options that are not part of a variant's name: the weights' sha256 stands for them."""


def model_name(model: dict[str, Any]) -> str:
    """The name of a model's results: the entry's, and every option that differs from it."""
    return variant("model", model, ignored=NOT_IN_NAME)
