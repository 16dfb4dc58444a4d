"""`cache`: what cache_dir holds, what of it is damaged, and what may go."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from harness.config import compose
from harness.system.errors import HarnessError, unknown

if TYPE_CHECKING:
    from harness.cache.inventory import CacheEntry


def cache(words: Sequence[str]) -> int:
    """List, verify or prune what is in cache_dir."""
    actions = {"ls": _list_cache, "verify": _verify_cache, "prune": _prune_cache}
    if not words:
        raise HarnessError("cache needs a word: ls, verify or prune.")
    if words[0] not in actions:
        raise unknown("word after cache", words[0], actions)
    options = compose.composed(words[1:])
    from harness.cache.inventory import stages

    folder = Path(options.cache_dir).expanduser()
    return actions[words[0]](options, folder, stages(folder))


def _list_cache(options: DictConfig, folder: Path, found: list[CacheEntry]) -> int:
    from harness.cache import tables

    if options.format == "latex":
        raise HarnessError("format=latex: `cache ls` knows markdown and csv.")
    text = tables.csv(found) if options.format == "csv" else f"{tables.listing(found)}\n\n{folder}\n"
    sys.stdout.write(text)
    return 0


def _verify_cache(options: DictConfig, folder: Path, found: list[CacheEntry]) -> int:
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


def _prune_cache(options: DictConfig, folder: Path, found: list[CacheEntry]) -> int:
    from harness.cache import pruning, tables

    chosen = pruning.prunable(found, folder, options.older)
    gone = [stage for stage in chosen if pruning.delete(stage, folder)] if options.delete else chosen
    if gone:
        sys.stdout.write(f"{tables.listing(gone)}\n\n")
    what, end = ("deleted", "") if options.delete else ("would be deleted", "; delete=true deletes them")
    sys.stdout.write(f"{len(gone)} {what}, {tables.total(gone)} bytes{end if gone else ''}. {folder}\n")
    return 0
