"""What is refused in a JSON file that somebody else may have written: odd numbers, deep nesting, unsafe names."""

from __future__ import annotations

from typing import Any

from harness.config.measures import Measure
from harness.config.names import safe_name
from harness.system import strict_json
from harness.system.errors import HarnessError

_ROUNDING = 1e-4  # of a mean: a hundredth of a point, less than tables show
_MOST_DIGITS = 20  # of a whole number: those of 64 bits, with a sign


def parsed(text: str) -> Any:
    """The value of a JSON text.

    Raises
    ------
    ValueError
        If the text is not JSON, and also for NaN and infinity (which are not JSON), for whole numbers of more than 64
        bits, for an object with a field twice, and for values nested more deeply than Python can read.
    """
    try:
        return strict_json.loads(text, parse_constant=_refuse_constant, parse_int=_whole_number)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _refuse_constant(text: str) -> None:
    raise ValueError(f"the number {text}")


def _whole_number(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def check_name(what: str, name: Any) -> None:
    """Raise a ValueError for a name that no cell can have."""
    try:
        safe_name(what, name)
    except HarnessError as error:
        raise ValueError(f"{what} is {ascii(name)[:40]}, which is no file name") from error


def check_numbers(content: dict[str, Any]) -> None:
    """Raise a ValueError for numbers that no evaluation gives, or for means that are not those of the queries.

    Parameters
    ----------
    content
        The fields of a record (`harness.records.record.Record`).
    """
    for field in ("ndcg10", "candidate_recall"):
        if not all(isinstance(value, float) and 0 <= value <= 1 for value in content[field].values()):
            raise ValueError(f"{field} is not a number for each depth, from 0 to 1")
    for field in ("seconds", "bytes", "candidates"):
        if not all(map(_is_number, content[field].values())):
            raise ValueError(f"{field} are not numbers")
    scores = content["per_query"]
    _check_measures(content)
    queries = scores.get("queries", [])
    if not isinstance(queries, list) or not all(isinstance(query, str) for query in queries):
        raise ValueError("the queries are not a list of ids")
    for depth, mean in content["ndcg10"].items():
        values = scores.get(depth, [])
        if not isinstance(values, list) or not all(_is_number(value) and 0 <= value <= 1 for value in values):
            raise ValueError(f"the scores at depth {ascii(depth)[:20]} are not a list of numbers from 0 to 1")
        is_whole = values and len(values) == len(queries)
        if is_whole and abs(sum(values) / len(values) - mean) > _ROUNDING:
            raise ValueError(f"ndcg10 at depth {ascii(depth)[:20]} is not the mean of the queries' scores")


def _check_measures(content: dict[str, Any]) -> None:
    """Raise a ValueError for further measures with other names, depths or scores than `run` writes."""
    queries = content["per_query"].get("queries", [])
    for name, by_depth in content["measures"].items():
        Measure.of(name)
        if not isinstance(by_depth, dict) or by_depth.keys() != content["ndcg10"].keys():
            raise ValueError(f"{name} has other depths than ndcg10")
        for values in by_depth.values():
            is_list = isinstance(values, list) and len(values) == len(queries) > 0
            if not is_list or not all(_is_number(value) and 0 <= value <= 1 for value in values):
                raise ValueError(f"{name} is not a number for each query, from 0 to 1")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
