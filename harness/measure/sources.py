"""What the testbeds of a sweep share: data sets that are read once, a model that is loaded once."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from harness.data import loading
from harness.data.dataset import Dataset
from harness.models.checkpoint import Checkpoint
from harness.ranking.resources import Resources
from harness.vectors.encode import Encoder


@lru_cache(maxsize=4)
def read_dataset(options: str, data_dir: str | None, cache: Path, show: bool) -> Dataset:
    """A data set by its options in JSON, read once."""
    return loading.load(json.loads(options), data_dir, cache, show)


@lru_cache(maxsize=1)
def encoder(model: str, checkpoint: Checkpoint, resources: Resources, batch_tokens: int | None) -> Encoder:
    """An encoder by the model's options in JSON, loaded once."""
    return Encoder(json.loads(model), checkpoint, resources.cache, resources.device, batch_tokens, resources.show)
