"""`reproduce`: measure the cells of records again and compare."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.commands.command import VECTORS, Command, option_of
from harness.system.errors import HarnessError
from harness.system.files import check_writable
from harness.system.paths import user_path

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from harness.records import Record

SAME, DIFFERENT, FAILED = 0, 1, 2
"""Exit codes."""


def reproduce(words: Sequence[str]) -> int:
    """Measure the cell of each record again, and compare; 0 if all scores are the same, or nearly."""
    paths = [word for word in words if not option_of(word)]
    if not paths:
        raise HarnessError("reproduce needs a record first, such as results/records/scifact/MODEL/corpus/smve.json.")
    overrides = [word for word in words if word not in paths]
    from harness.reproduce import rerun

    # All records are read before the first is measured, so that a wrong path costs no time.
    found = [(path, rerun.read(user_path(path))) for path in paths]
    planned = [(path, then, rerun.configuration(then, overrides)) for path, then in found]
    codes = set()
    for path, then, configured in planned:
        if len(planned) > 1:
            sys.stdout.write(f"{path}\n")
        codes.add(_repeat(then, configured))
        if len(planned) > 1:
            sys.stdout.write("\n")
    return DIFFERENT if DIFFERENT in codes else max(codes)


def _repeat(then: Record, configured: DictConfig) -> int:
    """Measure one cell again and print the comparison; the exit code."""
    from harness.reproduce import rerun, verdict

    check_writable("cache_dir", user_path(configured.cache_dir))
    found = rerun.repeat(configured)
    if found is None:
        return FAILED  # the sentence was printed
    compared = verdict.compare(then, found.record)
    cached = ", ".join(found.cached)
    source = f"from the cache ({cached}); with an empty cache_dir they are computed again" if cached else "computed"
    sys.stdout.write(f"{verdict.text(compared, source)}\n")
    return DIFFERENT if compared.verdict == verdict.DIFFERENT else SAME


COMMAND = Command(
    name="reproduce",
    words="RECORD.json ... [OPTION=VALUE ...]",
    about="""Measure the cells of records again and compare the scores. The exit code is 1 if any is different. The
    record says what is measured; folders, device and single options of the model, data set, centering and method can
    be set.""",
    reads=(
        *("model.", *VECTORS, "dataset.", "center.", "method.", "index."),
        *("device", "threads", "batch_tokens", "memory_mb", "progress"),
        *("data_dir", "models_dir", "cache_dir"),
    ),
    examples=(
        "reproduce results/records/scifact/answerai_colbert_small/corpus/muvera.json",
        "reproduce results/records/scifact/*/corpus/*.json device=cpu cache_dir=/tmp/empty",
    ),
    run=reproduce,
    own=VECTORS,
    kept="the records stay as they are, and finished steps are kept in cache_dir: the same command uses them again.",
)
