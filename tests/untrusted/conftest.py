"""Fixtures of attacks: the mark that a payload leaves, and code that would leave it."""

from __future__ import annotations

import sys

import pytest


@pytest.fixture
def marker(tmp_path):
    """The file that a payload makes; it must not be there when the test ends."""
    path = tmp_path / "the-code-has-run"
    yield path
    assert not path.exists()


@pytest.fixture
def evil(marker, tmp_path, monkeypatch):
    """A module on the path whose import, call or instance makes the marker; its source."""
    text = (
        f"open({str(marker)!r}, 'w').close()\nclass Module:\n    pass\nclass Dense(Module):\n    pass\nrun = Module\n"
    )
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield text
    assert sys.modules.pop("evil", None) is None
