"""Suites: data sets that are measured and averaged together.

A suite may name another one among its data sets. The data sets of that one are a group, which counts as one data set:
its score is the mean over its own. CQADupStack is such a group, of twelve forums.
"""

from __future__ import annotations

from harness.config.entries import choices, entry

Units = dict[str, list[str]]
"""What a mean is over: the name of a data set or of a group -> its data sets; a data set has itself alone."""


def units(suite: str) -> Units:
    """The units of an entry of conf/suite, in its order."""
    return {name: members(name) for name in entry("suite", suite)["datasets"]}


def members(unit: str) -> list[str]:
    """The data sets of a unit that a suite names."""
    return list(entry("suite", unit)["datasets"]) if is_group(unit) else [unit]


def is_group(unit: str) -> bool:
    """Whether a unit that a suite names is another suite."""
    return unit in choices("suite") and unit not in choices("dataset")


def flat(found: Units) -> list[str]:
    """The data sets of some units, each once."""
    return list(dict.fromkeys(name for own in found.values() for name in own))
