"""Places for what libraries write when they are imported, where the user's home cannot be written.

numba refuses to compile without a place for its results, and the whole of ranx imports a package that makes a folder in
the home. In a container with a read-only home and a read-only installation both would end in a traceback.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from harness.system.paths import user_path

VARIABLES = {"NUMBA_CACHE_DIR": "numba", "IR_DATASETS_HOME": "ir_datasets", "MPLCONFIGDIR": "matplotlib"}
"""Variable by which a library is told its place -> the folder that it gets."""


def place(folders: Iterable[str | None]) -> None:
    """Tell libraries to write below the first folder that can be, if the home cannot.

    If none can be, they write to a temporary folder of this user alone, as numba runs what it finds there, which ends
    with this process. A place has an effect only before a library is imported; one that the user has set stays.
    """
    home = Path(os.path.expanduser("~"))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    if (_is_writable(home) and _is_writable(cache)) or all(map(os.environ.get, VARIABLES)):
        return
    chosen = next((path for path in (user_path(one) for one in folders if one) if _is_writable(path)), None)
    if chosen is None:
        chosen = Path(tempfile.mkdtemp(prefix="late-interaction-harness-"))
        atexit.register(shutil.rmtree, chosen, ignore_errors=True)
    for variable, name in VARIABLES.items():
        os.environ.setdefault(variable, str(chosen.absolute() / name))


def _is_writable(folder: Path) -> bool:
    """Whether the folder, or the nearest one above it that exists, can be written."""
    existing = next((path for path in (folder, *folder.absolute().parents) if path.exists()), None)
    return existing is not None and existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
