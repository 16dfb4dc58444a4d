"""The metrics of ranx, without the rest of it.

`import ranx` also imports scipy.stats, matplotlib and ir_datasets, for tests, plots and data sets that are not used
here: half of the time in which a run starts. The metrics need numba alone.
"""

from __future__ import annotations

import numba

from harness.system.later import import_later

numba.config.THREADING_LAYER = "workqueue"  # type: ignore[attr-defined]  # as ranx sets it
import_later("ranx", its_modules_now=True)

from ranx.metrics import average_precision, ndcg, recall, reciprocal_rank  # noqa: E402

__all__ = ["average_precision", "ndcg", "recall", "reciprocal_rank"]
