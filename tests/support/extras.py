"""Optional packages: a test that needs one is skipped where it is not installed."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


def installed(launcher: str) -> bool:
    """Whether Hydra's plugin for a launcher is there."""
    return find_spec("hydra_plugins") is not None and find_spec(f"hydra_plugins.hydra_{launcher}_launcher") is not None


def needs(launcher: str) -> pytest.MarkDecorator:
    """Skip a test where a launcher is not installed."""
    return pytest.mark.skipif(not installed(launcher), reason=f"`make launchers` installs hydra-{launcher}-launcher")
