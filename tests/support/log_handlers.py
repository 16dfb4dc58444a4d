"""Handlers that Hydra adds to the root logger."""

from __future__ import annotations

import logging


def forget() -> None:
    """Take them away: they write to the stream that was in place when they were made. Those of pytest stay."""
    root = logging.getLogger()
    root.handlers = [one for one in root.handlers if type(one) is not logging.StreamHandler]
