"""The metrics of ranx, without the rest of it.

`import ranx` also imports scipy.stats, matplotlib and ir_datasets, for tests, plots and data sets that are not used
here: half of the time in which a run starts. The metrics need numba alone. So ranx is imported as a package that runs
its own ``__init__`` when somebody asks for more.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

import numba

numba.config.THREADING_LAYER = "workqueue"  # type: ignore[attr-defined]  # as `import ranx` sets it


class _Rest(ModuleType):
    """A package whose ``__init__`` runs at the first question for a name that it has not."""

    __spec__: ModuleSpec

    def __getattr__(self, name: str) -> Any:
        self.__class__ = ModuleType  # type: ignore[assignment]  # it is an ordinary package from here on
        if self.__spec__.loader:
            self.__spec__.loader.exec_module(self)
        return getattr(self, name)


_spec = find_spec("ranx")
if _spec and "ranx" not in sys.modules:
    sys.modules["ranx"] = module_from_spec(_spec)
    sys.modules["ranx"].__class__ = _Rest

from ranx.metrics import average_precision, ndcg, recall, reciprocal_rank  # noqa: E402

__all__ = ["average_precision", "ndcg", "recall", "reciprocal_rank"]
