"""The modules of a checkpoint and PyLate's settings: their kinds, and whether each module fits the one before it.

PyLate reads both without a look, and fails deep inside, in the first product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from harness.models.untrusted import read_json
from harness.system.errors import HarnessError

_SHORTEST = 4  # tokens: two special ones, the word before a text, and one of its own


def _is_length(found: Any) -> bool:
    return isinstance(found, int) and not isinstance(found, bool) and found >= _SHORTEST


def _is_texts(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(one, str) for one in found)


def _is_prompts(found: Any) -> bool:
    return isinstance(found, dict) and all(isinstance(one, str) for pair in found.items() for one in pair)


_TEXT: tuple[Callable[[Any], bool], str] = (lambda found: isinstance(found, str), "a text")
_SWITCH: tuple[Callable[[Any], bool], str] = (lambda found: isinstance(found, bool), "true or false")
_LENGTH: tuple[Callable[[Any], bool], str] = (_is_length, f"a whole number from {_SHORTEST} up")
_SETTINGS = {
    **dict.fromkeys(("query_length", "document_length"), _LENGTH),
    **dict.fromkeys(("query_prefix", "document_prefix", "default_prompt_name"), _TEXT),
    **dict.fromkeys(("do_query_expansion", "attend_to_expansion_tokens"), _SWITCH),
    "skiplist_words": (_is_texts, "a list of texts"),
    "prompts": (_is_prompts, "an object of texts"),
}
"""Settings that PyLate reads: whether a value is right, and what is expected; null is, too."""


def refuse_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Refuse a setting of PyLate's with a value of another kind.

    Parameters
    ----------
    path
        The file of the settings, config_sentence_transformers.json.

    Raises
    ------
    HarnessError
        For the first of them.
    """
    for name, (accepts, expected) in _SETTINGS.items():
        found = settings.get(name)
        if found is not None and not accepts(found):
            raise _wrong(path, f"{name} is {str(found)[:60]}", expected)


def refuse_misfits(folder: Path, modules: Sequence[Mapping[str, Any]], hidden: Any) -> None:
    """Refuse modules that are not one transformer and, after it, dense layers that each fit the one before.

    Parameters
    ----------
    modules
        The entries of modules.json.
    hidden
        The transformer's width, as far as its configuration says.

    Raises
    ------
    HarnessError
        For the first that does not fit.
    """
    names, kinds = folder / "modules.json", [str(module.get("type")).rpartition(".")[2] for module in modules]
    if names.exists() and (kinds[:1] != ["Transformer"] or kinds.count("Transformer") > 1):
        raise _wrong(names, f"its modules are {', '.join(kinds) or 'none'}", "one Transformer, then Dense layers")
    width = hidden if isinstance(hidden, int) else None
    for module, kind in zip(modules, kinds, strict=True):
        if kind == "Dense":
            width = _width_after(folder / str(module.get("path")), width)


def _width_after(folder: Path, before: int | None) -> int:
    """The width of a dense layer's output, after checking its input's and its weights'."""
    config = read_json(folder / "config.json", {})
    shape = (config.get("out_features"), config.get("in_features"))
    if not all(isinstance(one, int) and one > 0 for one in shape):
        raise _wrong(folder / "config.json", "it has no in_features or out_features", "both, as whole numbers")
    if before is not None and shape[1] != before:
        found = f"in_features is {shape[1]}"
        raise _wrong(folder / "config.json", found, f"{before}, the width of the module before it")
    path = folder / "model.safetensors"
    weights = _shape(path) if path.exists() else None
    if weights not in (None, shape):
        raise _wrong(path, f"linear.weight has the shape {list(weights or ())}", f"{list(shape)}, as config.json says")
    return int(str(shape[0]))


def _shape(path: Path) -> tuple[int, ...] | None:
    """The shape of a dense layer's weights; None if they cannot be read, which is reported when they are loaded."""
    try:
        with safe_open(path, "numpy") as weights:
            return tuple(weights.get_slice("linear.weight").get_shape())
    except (SafetensorError, OSError, ValueError):
        return None


def _wrong(path: Path, found: str, expected: str) -> HarnessError:
    return HarnessError(f"{path}: {found}, expected {expected}: copy the whole folder of the model again.")
