"""`ls`: the entries of the groups of options."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from harness.commands.command import Command
from harness.config import entries
from harness.system.errors import unknown


def ls(words: Sequence[str]) -> int:
    """List the entries of a group."""
    irregular = {"train_data": "train_data", "index": "indexes"}
    plurals = [irregular.get(group, f"{group}s") for group in entries.LISTED]
    groups = dict(zip(plurals, entries.LISTED, strict=True)) | {group: group for group in entries.LISTED}
    names = list(words) or plurals
    for name in names:
        if name not in groups:
            raise unknown("group", name, plurals)
        if len(names) > 1:
            sys.stdout.write(f"{name}:\n")
        names_of_group = entries.choices(groups[name])
        width = max(map(len, names_of_group))
        for entry in names_of_group:
            sys.stdout.write(f"{entry:{width}}  {entries.describe(groups[name], entry)}\n")
    return 0


COMMAND = Command(
    name="ls",
    words="[GROUP ...]",
    about="""List the models, data sets and other entries of conf/. The groups are models, datasets, suites, centers,
    methods, indexes, objectives, train_data, experiments and encoders (for method.model=); without a group all are
    listed.""",
    reads=(),
    examples=("ls", "ls models datasets"),
    run=ls,
)
