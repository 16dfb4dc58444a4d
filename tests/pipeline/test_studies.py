"""The scripts of studies/ find what they import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_study_starts():
    found = subprocess.run([sys.executable, ROOT / "studies" / "ste" / "study.py"], capture_output=True, text=True)
    assert found.returncode == 2 and "studies/ste/study.py pilot" in found.stderr, found.stderr
