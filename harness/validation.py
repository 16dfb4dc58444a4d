"""Values that no run can use: found before any work, named with what was expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, ListConfig

from harness import shards
from harness.errors import HarnessError

ONE_OF = {"device": ("auto", "cpu", "cuda"), "format": ("markdown", "csv", "latex"), "reference": (None, "plaid")}
WHOLE = {"batch_tokens": True, "memory_mb": False, "threads": True}  # option -> whether null is allowed
SWITCHES = ("overwrite", "save_runs", "progress", "strict")
LENGTHS = ("query_length", "document_length")
DTYPES = ("float32", "bfloat16", "float16")


def check(config: DictConfig, shipped: Mapping[str, dict[str, Any]]) -> None:
    """Check a resolved configuration.

    Parameters
    ----------
    shipped
        For model, center and method: the entry of conf/ that the options came from, whose values show what kind of
        value each option takes.

    Raises
    ------
    HarnessError
        For the first value that is not of the expected kind.
    """
    depths = config.depths
    listed = list(depths) if isinstance(depths, ListConfig) else []
    rising = all(_whole(depth, 0) for depth in listed) and all(a < b for a, b in zip(listed, listed[1:], strict=False))
    expected = "whole numbers from 0 up, increasing, such as [0,50,100]"
    _expect(bool(listed) and rising, "depths", depths, expected)
    for name, allowed in ONE_OF.items():
        _expect(config[name] in allowed, name, config[name], "one of " + ", ".join(_shown(value) for value in allowed))
    for name, optional in WHOLE.items():
        found = config[name]
        _expect(_whole(found, 1) or (optional and found is None), name, found, "a whole number of at least 1")
    shards.parse(config.shard)
    for name in SWITCHES:
        _expect(isinstance(config[name], bool), name, config[name], "true or false")
    _expect(bool(config.cache_dir), "cache_dir", config.cache_dir, "a folder")
    for group, entry in shipped.items():
        for key, default in entry.items():
            _check_option(group, key, config[group][key], default)
    model, center = config.model, config.center
    for key in LENGTHS:
        _expect(model[key] is None or _whole(model[key], 4), f"model.{key}", model[key], "at least 4 tokens, or null")
    switch = model.query_expansion
    _expect(switch is None or isinstance(switch, bool), "model.query_expansion", switch, "true, false or null")
    _expect(model.dtype in DTYPES, "model.dtype", model.dtype, "float32, bfloat16 or float16")
    if center.name == "none":
        _expect(not center.renormalize, "center.renormalize", True, "false where nothing is subtracted (center=none)")
    if center.name == "own":
        _expect(_whole(center.max_queries, 1), "center.max_queries", center.max_queries, "at least 1")


def _check_option(group: str, key: str, found: Any, default: Any) -> None:
    """An option is of the kind of its shipped value; a seed is not negative; a method's or center's name is fixed."""
    name = f"{group}.{key}"
    if key == "name" and group in ("method", "center"):
        _expect(found == default, name, found, f"{default}: choose another with {group}=NAME")
    if key == "seed":
        _expect(_whole(found, 0), name, found, "a whole number from 0 up")
    if default in (None, "???") or isinstance(default, dict) or found is None:
        return
    if isinstance(default, list):
        _expect(isinstance(found, ListConfig), name, found, f"a list, such as [{','.join(map(str, default))}]")
        return
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a name"}
    _expect(type(found) is type(default), name, found, f"{kinds[type(default)]}, such as {_shown(default)}")


def _expect(right: bool, name: str, found: Any, expected: str) -> None:
    if not right:
        raise HarnessError(f"{name}={_shown(found)}: expected {expected}.")


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _shown(value: Any) -> str:
    if isinstance(value, (ListConfig, list)):
        return str(list(value))
    return {None: "null", True: "true", False: "false"}.get(value, str(value)) if _plain(value) else str(value)


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, bool)
