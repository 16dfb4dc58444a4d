"""Places for what libraries write when they are imported, where the user's home cannot be written.

numba refuses to compile without a place for its results, and ranx imports a package that makes a folder in the home. In
a container with a read-only home and a read-only installation both would end in a traceback.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from harness.system.errors import HarnessError

VARIABLES = {"NUMBA_CACHE_DIR": "numba", "IR_DATASETS_HOME": "ir_datasets", "MPLCONFIGDIR": "matplotlib"}
"""Variable by which a library is told its place -> the folder that it gets."""


def place(folders: Iterable[str | None]) -> None:
    """Tell libraries to write below the first folder that can be, or the system's temporary one, if the home cannot.

    It has an effect only before they are imported; a place that the user has set stays.

    Raises
    ------
    HarnessError
        If none of the folders can be written.
    """
    home = Path(os.path.expanduser("~"))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    if _is_writable(home) and _is_writable(cache):
        return
    temporary = Path(tempfile.gettempdir()) / f"late-interaction-harness-{os.getuid()}"
    for folder in [*(Path(one) for one in folders if one), temporary]:
        if _is_writable(folder):
            for variable, name in VARIABLES.items():
                os.environ.setdefault(variable, str(folder.absolute() / name))
            return
    raise HarnessError(
        f"neither the home {home} nor cache_dir nor {temporary} can be written, expected a place for compiled "
        "functions: set cache_dir to a folder that can be written."
    )


def _is_writable(folder: Path) -> bool:
    """Whether the folder, or the nearest one above it that exists, can be written."""
    existing = next((path for path in (folder, *folder.absolute().parents) if path.exists()), None)
    return existing is not None and existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
