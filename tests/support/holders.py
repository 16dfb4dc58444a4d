"""Another process that holds something for as long as a test wants."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.config.entries import ROOT

LOCK = "from filelock import FileLock as held; arguments = sys.argv[1:]"
MEASURING = (
    "from pathlib import Path; from harness.system.locks import measuring as held; "
    "arguments = [Path(sys.argv[1]), *sys.argv[2:]]"
)


@contextmanager
def holding(what: str, *arguments: str | Path) -> Iterator[None]:
    """For the time of a block: `LOCK` (its file), or `MEASURING` (cache, data set, model)."""
    code = f"import sys; {what}\nwith held(*arguments):\n    print('held', flush=True)\n    sys.stdin.read()"
    words = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        try:
            yield
        finally:
            process.communicate()
