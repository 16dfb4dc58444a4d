"""What the testbeds of a sweep share: data sets that are read once, a model that is loaded once, given vectors."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from harness.config.options import ModelOptions, RunOptions
from harness.data import loading
from harness.data.dataset import Dataset
from harness.measure.model_source import ModelSource
from harness.models.checkpoint import Checkpoint, locate
from harness.ranking.resources import Resources
from harness.system.errors import HarnessError
from harness.system.paths import user_path
from harness.vectors.encode import Encoder
from harness.vectors.given import GivenVectors
from harness.vectors.source import TokenSource


@lru_cache(maxsize=4)
def read_dataset(options: str, data_dir: str | None, cache: Path, show: bool) -> Dataset:
    """A data set by its options in JSON, read once."""
    return loading.load(json.loads(options), data_dir, cache, show)


@lru_cache(maxsize=1)
def encoder(model: str, checkpoint: Checkpoint, resources: Resources, batch_tokens: int | None) -> Encoder:
    """An encoder by the model's options in JSON, loaded once."""
    return Encoder(json.loads(model), checkpoint, resources.cache, resources.device, batch_tokens, resources.show)


def token_source(options: RunOptions, dataset: Dataset, resources: Resources) -> TokenSource:
    """Where the token vectors of a testbed come from.

    Raises
    ------
    HarnessError
        If the model or the folder of given vectors cannot be used, or does not belong to the data set.
    """
    model = options.model
    if model.is_given:
        source: TokenSource = given_vectors(model, resources.cache, resources.show)
    else:
        checkpoint = locate(model.given, options.models_dir)
        loaded = encoder(json.dumps(model.given), checkpoint, resources, options.batch_tokens)
        source = ModelSource(model, loaded, model.query_length or dataset.query_length)
    source.refuse(dataset)
    return source


def given_vectors(model: ModelOptions, cache: Path, show: bool) -> GivenVectors:
    """The folder that ``vectors=FOLDER`` names, as far as its files can be checked at once.

    Raises
    ------
    HarnessError
        If it is not complete, or has another dimension than expected.
    """
    if not model.given["path"]:
        raise HarnessError(f"the token vectors of '{model.name}' are in no folder: set vectors=FOLDER.")
    found = GivenVectors.open(user_path(model.given["path"]), model.name, cache, show)
    if model.given["dim"] not in (None, found.documents.dim):
        raise HarnessError(
            f"{found.documents.label} has token vectors of dimension {found.documents.dim}, expected "
            f"{model.given['dim']}: set model.dim to it, or give other vectors."
        )
    return found
