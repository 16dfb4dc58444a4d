"""Values that no run can use: found before any work, and named with what was expected."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from harness.config import measures, seeds, shards, texts
from harness.config.entries import VECTORS, choices
from harness.system.errors import HarnessError
from harness.system.paths import user_path

Kind = tuple[Callable[[Any], bool], str]
"""Whether a value is right, and what is expected, in words."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DEEPEST = 2**31


def _shown(value: Any) -> str:
    """A value as it is written on the command line."""
    if isinstance(value, (ListConfig, list)):
        return str(list(value))
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _number(value: Any, least: float | int, most: float | int = float("inf")) -> bool:
    return _real(value) and least <= value <= most


def _is_path(found: Any) -> bool:
    if not isinstance(found, str) or _CONTROL.search(found):
        return False
    try:
        return all(len(part.encode()) <= 255 for part in user_path(found).parts)
    except UnicodeError:  # half a character
        return False


def _is_depths(found: Any) -> bool:
    listed = list(found) if isinstance(found, ListConfig) else []
    right = all(_whole(depth, 0) and depth < _DEEPEST for depth in listed)
    return bool(listed) and right and all(a < b for a, b in zip(listed, listed[1:], strict=False))


def _are_metrics(found: Any) -> bool:
    listed = list(found) if isinstance(found, ListConfig) else []
    return bool(listed) and all(map(measures.is_name, listed)) and len({*listed}) == len(listed)


def _are_seeds(found: Any, inside: bool = False) -> bool:
    """Whether a value can be the option ``method.seeds``; `inside`: for one of several methods."""
    if isinstance(found, Mapping):
        return not inside and all(name in choices("method") and _are_seeds(one, True) for name, one in found.items())
    if isinstance(found, Sequence) and not isinstance(found, str):
        right = all(map(_is_seed, found))
        return right and 1 <= len(found) <= seeds.MOST and len({*found}) == len(found)
    return found is None or (_whole(found, 1) and found <= seeds.MOST)


def _is_seed(value: Any) -> bool:
    return _whole(value, 0) and value < seeds.BELOW


def _real(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _amount(value: Any) -> bool:
    return _real(value) and value >= 0


def _at_least(least: int, expected: str) -> Kind:
    return lambda found: _whole(found, least), expected


def _or_null(kind: Kind) -> Kind:
    return lambda found: found is None or kind[0](found), kind[1]


def _one_of(*values: Any, expected: str = "") -> Kind:
    return lambda found: found in values, expected or "one of " + ", ".join(map(_shown, values))


def _matching(pattern: str, expected: str) -> Kind:
    return _or_null((lambda found: bool(re.fullmatch(pattern, str(found))), expected))


TEXT: Kind = (lambda found: not isinstance(found, str) or not _CONTROL.search(found), "no control characters")
COUNT = _at_least(1, "a whole number of at least 1")
FROM_0 = _at_least(0, "a whole number from 0 up")
POSITIVE: Kind = (lambda found: _number(found, 0) and found > 0, "a number above 0")
SHARE: Kind = (lambda found: _number(found, 0, 1), "a number from 0 to 1")
SWITCH: Kind = (lambda found: isinstance(found, bool), "true or false")
PATH: Kind = _or_null((_is_path, "a path without control characters, each part at most 255 bytes"))
LENGTH = _or_null(_at_least(4, "at least 4 tokens, or null"))
ATTENTION = ("eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")
"""Kinds that transformers has: for any other name it would fetch a package from the hub and run its code."""

RULES: dict[str, Kind] = {
    "depths": (_is_depths, "whole numbers from 0 up, increasing, such as [0,50,100]"),
    "metrics": (_are_metrics, measures.EXPECTED),
    "device": _one_of("auto", "cpu", "cuda"),
    "format": _one_of("markdown", "csv", "latex", "json", "mteb"),
    "loss": (_amount, "a number of points from 0 up"),
    **dict.fromkeys(("bytes", "ms"), (lambda found: found is None or _amount(found), "a number from 0 up, or null")),
    "reference": _one_of(None, "plaid"),
    "by": _one_of(None, "query_length", "judged", "relevant"),
    **dict.fromkeys(("memory_mb", "geometry.documents", "geometry.queries"), COUNT),
    **dict.fromkeys(("batch_tokens", "threads"), _or_null(COUNT)),
    **dict.fromkeys(("overwrite", "save_runs", "progress", "strict", "agreement"), SWITCH),
    **dict.fromkeys(("significance", "cost", "per_query", "delete", "train.save_model", "train.dropout"), SWITCH),
    "cache_dir": (bool, "a folder"),
    "older": (lambda found: found is None or _number(found, 0), "a number of days from 0 up, or null"),
    "output": (lambda found: found is None or (bool(found) and _is_path(found)), "a file, or null"),
}
"""Options of all commands, by their names."""
RULES_OF_ENTRIES: dict[str, Kind] = {
    **dict.fromkeys(("model.query_length", "model.document_length", "dataset.query_length"), LENGTH),
    **dict.fromkeys(("model.dim", "dataset.docs", "dataset.queries", "dataset.qrels"), _or_null(COUNT)),
    "dataset.keep_self_matches": _or_null(SWITCH),
    "dataset.split": _or_null((lambda found: isinstance(found, str), "the name of a split, such as test")),
    "model.kind": _one_of(None, VECTORS),
    "model.pool": _one_of(None, "hierarchical"),
    "model.pool_factor": _at_least(2, "a whole number of at least 2"),
    "model.query_expansion": _or_null((SWITCH[0], "true, false or null")),
    "model.dtype": _one_of("float32", "bfloat16", "float16", expected="float32, bfloat16 or float16"),
    "model.attention": _or_null(_one_of(*ATTENTION)),
    "model.hub": _matching(r"([A-Za-z0-9][\w.-]*/)?[A-Za-z0-9][\w.-]*", "a hub id such as lightonai/LateOn, or null"),
    "model.revision": _matching(r"\w+([./-]\w+)*", "a branch, tag or commit, or null"),
    "method.seeds": (_are_seeds, seeds.EXPECTED),
    "center.query_tokens": _one_of(None, "all", "real", "words", expected="all, real or words"),
    "center.mean_of": _one_of(None, "queries", "pseudo_queries", expected="queries or pseudo_queries"),
    **dict.fromkeys(("center.share", "center.document_share"), _or_null(SHARE)),
    "alpha": (lambda found: found is None or SHARE[0](found), f"{SHARE[1]}, or null"),
    "objective.name": _one_of("contrastive", "ste_muvera", "ste_smve"),
    "objective.center": _one_of("none", "corpus", "own"),
    **dict.fromkeys(("objective.alpha", "objective.momentum"), SHARE),
    "objective.slope": _or_null((lambda found: _number(found, 0), "a number from 0 up, or null for hard")),
    "train.trainable": (
        lambda found: bool(re.fullmatch(r"head|adapter|layers:[1-9]\d?|all", str(found))),
        "head, adapter, layers:N or all",
    ),
    "objective.query_tokens": _one_of("all", "real", "words"),
    "train.output": _or_null((_is_path, "a folder, or null")),
    **dict.fromkeys(("train.batch_size", "train.validate_every", "train.save_every", "train.log_every"), COUNT),
    **dict.fromkeys(("train.warmup", "train.seed", "train_data.seed"), FROM_0),
    "train.max_steps": _or_null(_at_least(1, "at least 1 step, or null")),
    **dict.fromkeys(("train.epochs", "train.learning_rate", "train.temperature", "objective.temperature"), POSITIVE),
    "train_data.validation_share": (SHARE[0], "0 to 1"),
    **dict.fromkeys(
        ("train_data.negatives", "train_data.validation_queries", "train_data.validation_documents"), COUNT
    ),
    "train_data.exclude": (
        lambda found: isinstance(found, ListConfig),
        "a list of data sets, such as [scifact,nfcorpus], or []",
    ),
}
"""Options of entries and of training, checked after the kind of each entry's value."""
MAY_BE_NULL = {"method.projection", "method.stemmer", "method.stopwords", "index.nlist", "index.d_out"}
"""Options of methods, centerings and indexes that null turns off."""
PATHS = tuple(
    "model.path model.head method.model dataset.path train_data.path data_dir models_dir cache_dir results_dir "
    "figures_dir".split()
)


def check(config: DictConfig, shipped: Mapping[str, dict[str, Any]]) -> None:
    """Check a resolved configuration; a whole number becomes a real one where the option takes real numbers.

    Parameters
    ----------
    shipped
        For model, center, method and index: the entry of conf/ that the options came from, whose values show what kind
        of value each option takes.

    Raises
    ------
    HarnessError
        For the first value that is not of the expected kind.
    """
    _check_each(config, RULES)
    shards.parse(config.shard)
    for group, entry in shipped.items():
        for key, default in entry.items():
            _check_like(group, key, config[group][key], default)
            if isinstance(default, float) and isinstance(config[group][key], int):
                config[group][key] = float(config[group][key])  # 1 and 1.0 are one value, and have one name
    factor, shipped_factor = config.model.get("pool_factor"), shipped["model"].get("pool_factor")
    is_used = bool(config.model.get("pool")) or factor == shipped_factor
    _expect(is_used, "model.pool_factor", factor, "pool=hierarchical beside it")
    _check_each(config, RULES_OF_ENTRIES)
    _check_each(config, dict.fromkeys(texts.SINGLE | texts.SWEPT - texts.GROUPS, TEXT))
    _check_together(config)


def check_paths(config: DictConfig) -> None:
    """The paths of a resolved configuration, before anything looks at one.

    Raises
    ------
    HarnessError
        For the first that no file can have.
    """
    _check_each(config, dict.fromkeys(PATHS, PATH))


def _check_each(config: DictConfig, rules: Mapping[str, Kind]) -> None:
    for name, (accepts, expected) in rules.items():
        group, _, option = name.partition(".")
        if group == "model" and option not in config.model.keys():  # noqa: SIM118  as `in` takes ??? for absent
            continue  # given token vectors have no options of an encoder
        found = OmegaConf.select(config, name)
        _expect(accepts(found), name, found, expected)


def _check_together(config: DictConfig) -> None:
    """Options that exclude each other, and those that only some entries have."""
    alone = config.format != "latex" and not config.significance and not config.cost
    _expect(not config.by or not (config.per_query or config.cost), "by", config.by, "no per_query or cost beside it")
    _expect(alone or not config.per_query, "per_query", True, "no format=latex, significance or cost beside it")
    drawn = seeds.chosen(config.method.name, config.method.get("seed"), config.method.get("seeds"))
    _expect((drawn[-1] or 0) < seeds.BELOW, "method.seeds", config.method.get("seeds"), f"seeds below {seeds.BELOW}")
    center, objective = config.center, config.objective
    if center.name == "none":
        _expect(not center.renormalize, "center.renormalize", True, "false where nothing is subtracted (center=none)")
    if "max_queries" in center:
        _expect(_whole(center.max_queries, 1), "center.max_queries", center.max_queries, "at least 1")
    weight = objective.alpha if config.alpha is None else config.alpha
    no_codes = objective.name == "contrastive" and weight
    _expect(not no_codes, "alpha", weight, "0 with objective=contrastive, which has no codes")
    if config.train.trainable == "all":
        _expect(config.train.save_model, "train.save_model", False, "true where all weights are trained")
        dtype = config.model.dtype
        _expect(dtype != "float16", "model.dtype", dtype, "float32 or bfloat16 where all weights are trained")
    expected = "a split and a number of pairs, such as {split: train, pairs: 100}"
    for name, source in (config.train_data.sources or {}).items():
        right = isinstance(source, DictConfig) and isinstance(source.get("split"), str)
        _expect(right and _whole(source.get("pairs"), 1), f"train_data.sources.{name}", source, expected)
        length = source.get("query_length")
        _expect(LENGTH[0](length), f"train_data.sources.{name}.query_length", length, LENGTH[1])


def _check_like(group: str, key: str, found: Any, default: Any) -> None:
    """An option has the kind of its shipped value."""
    name = f"{group}.{key}"
    if key == "seed":
        _expect(_is_seed(found), name, found, f"a whole number from 0 to {seeds.BELOW - 1}")
    if default in (None, "???") or isinstance(default, dict):
        return
    if found is None and (group in ("model", "dataset") or name in MAY_BE_NULL):
        return
    if isinstance(default, list):
        _expect(isinstance(found, ListConfig), name, found, f"a list, such as [{','.join(map(str, default))}]")
        return
    kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a name"}
    right = _real(found) if isinstance(default, float) else type(found) is type(default)
    _expect(right, name, found, f"{kinds[type(default)]}, such as {_shown(default)}")


def _expect(right: bool, name: str, found: Any, expected: str) -> None:
    if not right:
        shown = _CONTROL.sub(lambda one: ascii(one[0])[1:-1], _shown(found))
        raise HarnessError(f"{name}={shown}: expected {expected}.")
