"""The scripts of examples/ and studies/, as modules."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[2] / "examples"
STUDIES = FOLDER.parent / "studies"


def loaded(name: str) -> ModuleType:
    """A new module from examples/NAME.py."""
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def of_study(monkeypatch: pytest.MonkeyPatch, study: str, *names: str) -> list[ModuleType]:
    """Modules of a study, which finds what lies beside it, until the test ends.

    Other studies and tests/support have modules of the same names: those give way, and come back.
    """
    for path in (STUDIES / study).glob("*.py"):
        monkeypatch.setitem(sys.modules, path.stem, None)
        del sys.modules[path.stem]
    monkeypatch.syspath_prepend(str(STUDIES / study))
    return [importlib.import_module(name) for name in names]
