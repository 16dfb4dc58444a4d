"""Values that no run can use: found before any work, named with what was expected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from harness.config import shards
from harness.system.errors import HarnessError

ONE_OF = {"device": ("auto", "cpu", "cuda"), "format": ("markdown", "csv", "latex"), "reference": (None, "plaid")}
WHOLE = {  # option -> whether null is allowed
    "batch_tokens": True,
    "memory_mb": False,
    "threads": True,
    "geometry.documents": False,
    "geometry.queries": False,
}
SWITCHES = (
    "overwrite",
    "save_runs",
    "progress",
    "strict",
    "significance",
    "cost",
    "per_query",
    "delete",
    "train.save_model",
)
LENGTHS = ("query_length", "document_length")
ATTENTION = ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")
"""Kinds that transformers has: any other name is of a package on the hub, whose code it would fetch and run."""
PATHS = (
    "model.path model.head dataset.path train_data.path data_dir models_dir cache_dir results_dir figures_dir".split()
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DEEPEST = 2**31
OBJECTIVES = ("contrastive", "ste_muvera", "ste_smve")
CENTERS = ("none", "corpus", "own")
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
    rising = all(_whole(depth, 0) and depth < _DEEPEST for depth in listed) and all(
        a < b for a, b in zip(listed, listed[1:], strict=False)
    )
    expected = "whole numbers from 0 up, increasing, such as [0,50,100]"
    _expect(bool(listed) and rising, "depths", depths, expected)
    for name, allowed in ONE_OF.items():
        _expect(config[name] in allowed, name, config[name], "one of " + ", ".join(_shown(value) for value in allowed))
    for name, optional in WHOLE.items():
        found = OmegaConf.select(config, name)
        _expect(_whole(found, 1) or (optional and found is None), name, found, "a whole number of at least 1")
    shards.parse(config.shard)
    for name in SWITCHES:
        found = OmegaConf.select(config, name)
        _expect(isinstance(found, bool), name, found, "true or false")
    alone = config.format != "latex" and not config.significance and not config.cost
    _expect(alone or not config.per_query, "per_query", True, "no format=latex, significance or cost beside it")
    _expect(bool(config.cache_dir), "cache_dir", config.cache_dir, "a folder")
    older = config.older
    _expect(older is None or _number(older, 0), "older", older, "a number of days from 0 up, or null")
    file = config.output is None or (bool(config.output) and _is_path(config.output))
    _expect(file, "output", config.output, "a file, or null")
    for group, entry in shipped.items():
        for key, default in entry.items():
            _check_option(group, key, config[group][key], default)
    model, center = config.model, config.center
    for key in LENGTHS:
        _expect(model[key] is None or _whole(model[key], 4), f"model.{key}", model[key], "at least 4 tokens, or null")
    switch = model.query_expansion
    _expect(switch is None or isinstance(switch, bool), "model.query_expansion", switch, "true, false or null")
    _expect(model.dtype in DTYPES, "model.dtype", model.dtype, "float32, bfloat16 or float16")
    known = model.attention is None or model.attention in ATTENTION
    _expect(known, "model.attention", model.attention, "one of " + ", ".join(ATTENTION))
    for key, pattern, expected in (
        ("hub", r"([A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*", "a hub id such as lightonai/LateOn, or null"),
        ("revision", r"\w+([./-]\w+)*", "a branch, tag or commit, or null"),
    ):
        found = model[key]
        _expect(found is None or bool(re.fullmatch(pattern, str(found))), f"model.{key}", found, expected)
    if center.name == "none":
        _expect(not center.renormalize, "center.renormalize", True, "false where nothing is subtracted (center=none)")
    _check_training(config)
    _check_train_data(config.train_data)
    if center.name == "own":
        _expect(_whole(center.max_queries, 1), "center.max_queries", center.max_queries, "at least 1")


def check_paths(config: DictConfig) -> None:
    """The paths of a resolved configuration, before anything looks at one.

    Raises
    ------
    HarnessError
        For the first that no file can have.
    """
    for name in PATHS:
        found = OmegaConf.select(config, name)
        if found is not None:
            _expect(_is_path(found), name, found, "a path without control characters, each part at most 255 bytes")


def _is_path(found: Any) -> bool:
    if not isinstance(found, str) or _CONTROL.search(found):
        return False
    try:
        return all(len(part.encode()) <= 255 for part in Path(found).expanduser().parts)
    except (RuntimeError, UnicodeError):  # the home of a user that there is not; half a character
        return False


def _check_training(config: DictConfig) -> None:
    """Options of `train`."""
    alpha, train, objective = config.alpha, config.train, config.objective
    share = "a number from 0 to 1"
    _expect(alpha is None or _number(alpha, 0, 1), "alpha", alpha, f"{share}, or null")
    _expect(_number(objective.alpha, 0, 1), "objective.alpha", objective.alpha, share)
    _expect(objective.name in OBJECTIVES, "objective.name", objective.name, "one of " + ", ".join(OBJECTIVES))
    weight = objective.alpha if alpha is None else alpha
    no_codes = objective.name == "contrastive" and weight
    _expect(not no_codes, "alpha", weight, "0 with objective=contrastive, which has no codes")
    _expect(train.trainable in ("head", "all"), "train.trainable", train.trainable, "head or all")
    if train.trainable == "all":
        _expect(train.save_model, "train.save_model", False, "true where all weights are trained")
        dtype = config.model.dtype
        _expect(dtype != "float16", "model.dtype", dtype, "float32 or bfloat16 where all weights are trained")
    _expect(train.output is None or _is_path(train.output), "train.output", train.output, "a folder, or null")
    for name in ("batch_size", "validate_every", "save_every", "log_every"):
        _expect(_whole(train[name], 1), f"train.{name}", train[name], "a whole number of at least 1")
    for name in ("warmup", "seed"):
        _expect(_whole(train[name], 0), f"train.{name}", train[name], "a whole number from 0 up")
    steps = train.max_steps
    _expect(steps is None or _whole(steps, 1), "train.max_steps", steps, "at least 1 step, or null")
    for group, name in (
        (train, "epochs"),
        (train, "learning_rate"),
        (train, "temperature"),
        (objective, "temperature"),
    ):
        key = f"{'train' if group is train else 'objective'}.{name}"
        _expect(_number(group[name], 0) and group[name] > 0, key, group[name], "a number above 0")
    slope = objective.slope
    _expect(slope is None or _number(slope, 0), "objective.slope", slope, "a number from 0 up, or null for hard")
    _expect(objective.center in CENTERS, "objective.center", objective.center, "one of " + ", ".join(CENTERS))
    _expect(_number(objective.momentum, 0, 1), "objective.momentum", objective.momentum, share)


def _check_train_data(data: DictConfig) -> None:
    """An entry of conf/train_data."""
    _expect(_whole(data.seed, 0), "train_data.seed", data.seed, "a whole number from 0 up")
    _expect(_number(data.validation_share, 0, 1), "train_data.validation_share", data.validation_share, "0 to 1")
    for name in ("validation_queries", "validation_documents"):
        _expect(_whole(data[name], 1), f"train_data.{name}", data[name], "a whole number of at least 1")
    listed = isinstance(data.exclude, ListConfig)
    _expect(listed, "train_data.exclude", data.exclude, "a list of data sets, such as [scifact,nfcorpus], or []")
    for name, source in (data.sources or {}).items():
        right = (
            isinstance(source, DictConfig) and isinstance(source.get("split"), str) and _whole(source.get("pairs"), 1)
        )
        _expect(
            right,
            f"train_data.sources.{name}",
            source,
            "a split and a number of pairs, such as {split: train, pairs: 100}",
        )


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
        shown = _CONTROL.sub(lambda one: ascii(one[0])[1:-1], _shown(found))
        raise HarnessError(f"{name}={shown}: expected {expected}.")


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _number(value: Any, least: float | int, most: float | int = float("inf")) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most


def _shown(value: Any) -> str:
    if isinstance(value, (ListConfig, list)):
        return str(list(value))
    return {None: "null", True: "true", False: "false"}.get(value, str(value)) if _plain(value) else str(value)


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, bool)
