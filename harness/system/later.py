"""Packages that are imported when somebody first asks for a name of theirs.

`import torch` takes seconds. Every method's module imports it, and a table asks methods for their titles alone.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec
from threading import RLock
from types import ModuleType
from typing import Any

_one = RLock()


class _Later(ModuleType):
    """A package whose own code runs at the first question for a name that it does not have yet."""

    def __getattr__(self, name: str) -> Any:
        with _one:
            if type(self) is _Later:
                _run(self)
        return getattr(self, name)


def import_later(name: str, its_modules_now: bool = False) -> None:
    """Make `import name` cost nothing until a name of the package is asked for; nothing changes if it is imported.

    Parameters
    ----------
    its_modules_now
        Whether importing one of its modules leaves the package's own code for later.
    """
    spec = find_spec(name) if name not in sys.modules else None
    if spec is None:
        return
    package = module_from_spec(spec)
    if not its_modules_now:
        del package.__path__  # whoever imports a module of it asks for this
    package.__class__ = _Later
    sys.modules[name] = package


def _run(package: ModuleType) -> None:
    """Run a package's own code."""
    spec = package.__spec__
    package.__class__ = ModuleType
    if spec is None or spec.loader is None or spec.submodule_search_locations is None:
        raise ImportError(f"{package.__name__} is no package that can be imported")
    package.__path__ = spec.submodule_search_locations
    try:
        spec.loader.exec_module(package)
    except BaseException:
        sys.modules.pop(package.__name__, None)
        raise
