"""The untrained model's own head as a file, so that it goes the same way as the trained ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from settings import MODEL  # beside this file

from harness.config import compose
from harness.models import heads
from harness.models.checkpoint import load, locate


def write(path: Path) -> None:
    """Write it, unless it is there."""
    if path.exists():
        return
    options = compose.composed(MODEL)
    plain: Any = OmegaConf.to_container(options.model)
    checkpoint = locate(plain, options.models_dir)
    heads.write(load(plain, checkpoint, torch.device("cpu"), None), path)
