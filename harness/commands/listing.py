"""`ls`: the entries of the groups of options."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from harness import config
from harness.errors import unknown


def ls(words: Sequence[str]) -> int:
    """List the entries of a group."""
    plurals = [group if group == "train_data" else f"{group}s" for group in config.GROUPS]
    groups = dict(zip(plurals, config.GROUPS, strict=True)) | {group: group for group in config.GROUPS}
    names = list(words) or plurals
    for name in names:
        if name not in groups:
            raise unknown("group", name, plurals)
        if len(names) > 1:
            sys.stdout.write(f"{name}:\n")
        entries = config.choices(groups[name])
        width = max(map(len, entries))
        for entry in entries:
            sys.stdout.write(f"{entry:{width}}  {config.describe(groups[name], entry)}\n")
    return 0
