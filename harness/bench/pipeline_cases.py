"""Cases for steps of the pipeline: encoding texts, and measuring a grid of cells."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from harness.bench.timing import Case, Row, Work, row
from harness.config.entries import entry
from harness.measure.cells import Request
from harness.measure.testbed import Testbed, testbed_of
from harness.models.checkpoint import load as load_model
from harness.models.checkpoint import locate
from harness.run import measure
from harness.vectors.forward import vectors

TEXTS = 96
DRAWS = 10


def encoding(testbed: Testbed) -> Iterator[Case]:
    """Encoding documents: ours in float32 and bfloat16, compared with PyLate's own `encode` in float32."""
    texts = list(testbed.dataset.docs.values())[:TEXTS]
    device = testbed.resources.device
    options = testbed.options
    model = load_model(
        options.model.given, locate(options.model.given, options.models_dir), device, testbed.source.query_length
    )
    batch_tokens = testbed.options.batch_tokens or (65_536 if device.type == "cuda" else 2048)

    def pylate() -> Any:
        return model.encode(texts, is_query=False, batch_size=32, show_progress_bar=False)

    def agree(mine: list[np.ndarray], theirs: list[np.ndarray]) -> None:
        for a, b in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-3)

    peer = ("pylate", "ColBERT.encode, float32, batches of 32")
    for dtype, check in ((torch.float32, agree), (torch.bfloat16, None)):

        def work(dtype=dtype) -> list[np.ndarray]:  # type: ignore[no-untyped-def]
            return vectors(model, texts, False, batch_tokens, dtype)

        tokens = sum(map(len, work()))
        name = str(dtype).removeprefix("torch.")
        case = f"{len(texts)} documents of {testbed.dataset_name} ({tokens} tokens), {testbed.model_name}, {name}"
        yield Case("encode", case, work, peer, pylate, _linear_layers(model, tokens, dtype), check)


def grid(testbed: Testbed, width: int, keep: int, runs: int) -> Iterator[Row]:
    """MUVERA and SMVE under three centerings at all depths, and exact search, compared with exact search alone.

    Once with one draw of their random numbers, and once with `DRAWS`.
    """
    exact = Request.of(entry("method", "exact"), entry("center", "none"), asked=True)
    methods = [entry("method", "muvera"), {**entry("method", "smve"), "width": width, "keep": keep}]
    centers = [entry("center", name) for name in ("none", "corpus", "own")]
    grids = {
        draws: [Request.of({**method, "seeds": draws}, center, asked=True) for method in methods for center in centers]
        for draws in (1, DRAWS)
    }
    measured = {0: [exact], **{draws: [exact, *requests] for draws, requests in grids.items()}}
    seconds: dict[int, list[float]] = {draws: [] for draws in measured}
    for turn in range(runs + 1):
        for name, chosen in measured.items():
            with tempfile.TemporaryDirectory() as folder:
                config = {**testbed.options.given, "results_dir": folder, "save_runs": False, "overwrite": True}
                fresh = testbed_of(config, testbed.options.dataset)
                _ = fresh.docs, fresh.queries  # not timed: encoded before the clock starts
                began = time.perf_counter()
                measure(fresh, chosen)
                if fresh.failures.sentences:
                    raise RuntimeError("; ".join(fresh.failures.sentences))
                if turn:  # the first turn warms up
                    seconds[name].append(time.perf_counter() - began)
    peer = statistics.median(seconds[0])
    for draws in grids:
        times = f" x {draws} draws" if draws > 1 else ""
        what = f"{testbed.dataset_name}: 2 methods x 3 centerings x 6 depths{times} + exact, SMVE w={width} k={keep}"
        case = Case("grid", what, lambda: None, ("late-interaction-harness", "one exact MaxSim pass"))
        yield row(case, statistics.median(seconds[draws]), peer, peer, seconds[draws])


def _linear_layers(model: Any, tokens: int, dtype: torch.dtype) -> Work:
    """The plain products of all linear layers for the same number of tokens, which no implementation can avoid."""
    weights = [module.weight.detach().to(dtype) for module in model.modules() if isinstance(module, torch.nn.Linear)]
    inputs = {
        width: torch.ones(512, width, dtype=dtype, device=model.device) for width in {w.shape[1] for w in weights}
    }

    def products() -> None:
        for _ in range(-(-tokens // 512)):
            for weight in weights:
                inputs[weight.shape[1]] @ weight.T

    return products
