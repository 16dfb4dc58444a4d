"""`cache`: what cache_dir holds, what of it is damaged, and what may go."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from harness.commands import arguments
from harness.commands.command import Command
from harness.config import compose
from harness.system.errors import HarnessError, unknown
from harness.system.paths import user_path

if TYPE_CHECKING:
    from harness.cache.inventory import CacheEntry


def cache(words: Sequence[str]) -> int:
    """Refuse the words after which no action is known."""
    if not words:
        raise HarnessError("cache needs a word: ls, verify or prune.")
    raise unknown("word after cache", words[0], PARTS)


def _read(words: Sequence[str]) -> tuple[DictConfig, Path, list[CacheEntry]]:
    """The options, cache_dir, and what is in it."""
    options = compose.composed(words)
    from harness.cache.inventory import stages

    folder = user_path(options.cache_dir)
    return options, folder, stages(folder)


def list_cache(words: Sequence[str]) -> int:
    """List what is in cache_dir."""
    options, folder, found = _read(words)
    from harness.cache import tables

    arguments.check_format("cache ls", options, ("markdown", "csv"))
    text = tables.csv(found) if options.format == "csv" else f"{tables.listing(found)}\n\n{folder}\n"
    sys.stdout.write(text)
    return 0


def verify_cache(words: Sequence[str]) -> int:
    """Name what is damaged in cache_dir; 1 if anything is."""
    _, folder, found = _read(words)
    from harness.cache import inventory as caches

    checked = [stage for stage in found if caches.has_checksums(stage)]
    damaged = [text for stage in checked if (text := caches.damage(stage))]
    sys.stdout.write("".join(f"{text}\n" for text in damaged))
    incomplete = sum(not stage.complete for stage in found)
    sys.stdout.write(
        f"{len(checked)} checked, {len(damaged)} damaged; not checked: {incomplete} incomplete, "
        f"{len(found) - len(checked) - incomplete} without checksums. {folder}\n"
    )
    return int(bool(damaged))


def prune_cache(words: Sequence[str]) -> int:
    """List, or delete, what may go."""
    options, folder, found = _read(words)
    from harness.cache import pruning, tables

    chosen = pruning.prunable(found, folder, options.older)
    gone = [stage for stage in chosen if pruning.delete(stage, folder)] if options.delete else chosen
    if gone:
        sys.stdout.write(f"{tables.listing(gone)}\n\n")
    what, end = ("deleted", "") if options.delete else ("would be deleted", "; delete=true deletes them")
    sys.stdout.write(f"{len(gone)} {what}, {tables.total(gone)} bytes{end if gone else ''}. {folder}\n")
    return 0


PARTS = {
    "ls": Command(
        name="cache ls",
        words="[OPTION=VALUE ...]",
        about="List what cache_dir holds: kind, size, age, complete or not.",
        reads=("cache_dir", "format"),
        examples=("cache ls", "cache ls format=csv"),
        run=list_cache,
    ),
    "verify": Command(
        name="cache verify",
        words="[OPTION=VALUE ...]",
        about="Name what is damaged in cache_dir, and what to do about it. The exit code is 1 if anything is.",
        reads=("cache_dir",),
        examples=("cache verify", "cache verify cache_dir=my/cache"),
        run=verify_cache,
    ),
    "prune": Command(
        name="cache prune",
        words="[OPTION=VALUE ...]",
        about="""List what may go: what no run can use again, and with `older` what was last written long ago. It is
        deleted only with delete=true.""",
        reads=("older", "delete", "cache_dir"),
        examples=("cache prune older=30", "cache prune older=30 delete=true"),
        run=prune_cache,
        kept="what was deleted is gone, and nothing is half deleted: the same command goes on from there.",
    ),
}
COMMAND = Command(
    name="cache",
    words="ls|verify|prune [OPTION=VALUE ...]",
    about="List what cache_dir holds, verify it, or prune it.",
    reads=(),
    examples=("cache ls", "cache prune older=30"),
    run=cache,
    parts=PARTS,
)
