"""The worked example of docs/architecture.md, put where the registry of methods finds it."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import harness.methods
from harness.config import entries

PATH = Path(__file__).parents[1] / "examples" / "own_method.py"


def placed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Do what its docstring says, in a folder of methods and a copy of conf/; returns its options."""
    text = PATH.read_text(encoding="utf-8")
    options = textwrap.dedent(re.search(r"own_method\.yaml:\n\n(.*?)\n\"\"\"", text, re.S)[1])
    (folder / "methods").mkdir()
    shutil.copy(PATH, folder / "methods" / "own_method.py")
    shutil.copytree(entries.CONF_DIR, folder / "conf")
    (folder / "conf" / "method" / "own_method.yaml").write_text(options + "\n", encoding="utf-8")
    monkeypatch.setattr(harness.methods, "__path__", [*harness.methods.__path__, str(folder / "methods")])
    monkeypatch.setattr(entries, "CONF_DIR", folder / "conf")
    return entries.entry("method", "own_method")


def forgotten() -> None:
    """Forget the module, which the next test has in another folder."""
    sys.modules.pop("harness.methods.own_method", None)
