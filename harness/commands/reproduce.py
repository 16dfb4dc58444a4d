"""`reproduce`: measure a record's cell again and compare."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from harness.commands import arguments
from harness.system.errors import HarnessError


def reproduce(words: Sequence[str]) -> int:
    """Measure a record's cell again, and compare; 0 if all scores are the same, or nearly."""
    if not words:
        raise HarnessError("reproduce needs a record first, such as results/records/scifact/MODEL/corpus/smve.json.")
    from harness.reproduce import rerun, verdict

    then = rerun.read(Path(words[0]).expanduser())
    configured = rerun.configuration(then, words[1:])
    arguments.check_writable("cache_dir", Path(configured.cache_dir))
    found = rerun.repeat(configured)
    if found is None:
        return 2  # what failed was said
    compared = verdict.compare(then, found.record)
    cached = ", ".join(found.cached)
    source = f"from the cache ({cached}); cache_dir=FOLDER, an empty one, makes them anew" if cached else "made anew"
    sys.stdout.write(f"{verdict.text(compared, source)}\n")
    return int(compared.verdict == verdict.DIFFERENT)
