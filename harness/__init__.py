"""Can MUVERA or SMVE replace PLAID for *your* late-interaction model? A benchmark and evaluation harness.

From Python: `evaluate`, and the encoders `Muvera`, `Smve` and `Centering`. They are imported when they are first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api.encoders import Centering, Muvera, Smve
    from harness.api.evaluate import evaluate

__version__ = "0.2.0.dev0"
__all__ = ["Centering", "Muvera", "Smve", "evaluate"]


def __getattr__(name: str) -> Any:
    if name == "evaluate":
        from harness.api.evaluate import evaluate

        return evaluate
    if name in __all__:
        from harness.api import encoders

        return getattr(encoders, name)
    raise AttributeError(f"module 'harness' has no attribute {name!r}")
