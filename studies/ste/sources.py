"""The validation split source by source: each a collection of its own, before and after training (sources.csv)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from omegaconf import OmegaConf
from settings import MODEL, RESULTS, head, trained  # beside this file

from harness.config import compose
from harness.data.dataset import Dataset
from harness.models import heads
from harness.models.checkpoint import locate
from harness.ranking.resources import Resources
from harness.system.files import write_text
from harness.training import pairs
from harness.training.cached import CachedTexts
from harness.training.validate import Stores, Validation, mean_queries
from harness.vectors.encode import Encoder
from harness.vectors.store import StoreInMemory


def measure_sources() -> int:
    """Measure each source of the validation split as a collection of its own, before and after training."""
    lines = []
    for arm, seed in trained():
        if seed == 0:
            options: Any = OmegaConf.to_container(
                compose.composed([*MODEL, f"model.head={head(arm, seed)}", "train_data=offline"])
            )
            lines += [{"trained": arm, **line} for line in _by_source(options)]
    write_text(RESULTS / "sources.csv", pd.DataFrame(lines).to_csv(index=False, float_format="%.4f"))
    return 0


def _by_source(options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    cache = Path(options["cache_dir"]).expanduser()
    data = pairs.load(options["train_data"], options["data_dir"], cache)
    resources = Resources(torch.device("cpu"), options["memory_mb"] << 20, cache)
    checkpoint = locate(options["model"], options["models_dir"])
    encoder = Encoder(options["model"], checkpoint, cache, resources.device, options["batch_tokens"], False)
    model = encoder.pylate(None)

    def projected(texts: CachedTexts, chosen: Iterable[str]) -> StoreInMemory:
        rows = [heads.project(model, texts[text]) for text in chosen]
        return StoreInMemory(np.concatenate(rows), np.array([len(row) for row in rows]))

    def measure(part: Dataset, stores: Stores) -> dict[str, float]:
        return Validation(part, lambda _: stores, resources).measure(model)

    queries, documents = (CachedTexts(encoder, data.texts(side), side, None, data.lengths) for side in (True, False))
    others, whole = projected(queries, mean_queries(data)), data.validation
    for source in sorted({name.split("/")[0] for name in whole.queries}):
        asked = {name: text for name, text in whole.queries.items() if name.startswith(f"{source}/")}
        held = {name: text for name, text in whole.docs.items() if name.startswith(f"{source}/")}
        part = Dataset(source, held, asked, {name: whole.qrels[name] for name in asked})
        found = measure(part, (projected(documents, held.values()), projected(queries, asked.values()), others))
        yield {"source": source, "queries": len(asked), "documents": len(held), **found}
