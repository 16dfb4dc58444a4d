"""Packages that are imported when one of their attributes is first used.

`import torch` takes seconds. Every method's module imports it, and a table asks methods for their titles alone. A
library that looks for a package in `sys.modules` and finds it there may use it: matplotlib and scipy's statistics do.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from threading import RLock
from types import ModuleType
from typing import Any

_one = RLock()
_waiting: dict[str, Loader] = {}  # package whose own code has not run -> what runs it


class _Later(ModuleType):
    """A package whose own code runs when an attribute that it lacks is first accessed."""

    def __getattr__(self, name: str) -> Any:
        with _one:  # other threads wait for the one that runs it
            if self.__name__ in _waiting:
                _run(self)
        if type(self) is _Later:  # its own code is running, and lacks the attribute so far
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(self, name)


def import_later(name: str, its_modules_now: bool = False) -> None:
    """Make `import name` cost nothing until the package is used; nothing changes if it is imported.

    Parameters
    ----------
    its_modules_now
        Whether a module of the package is imported without running the package's own code.
    """
    spec = find_spec(name) if name not in sys.modules else None
    if spec is None or spec.loader is None or spec.submodule_search_locations is None:
        return
    package = module_from_spec(spec)
    package.__class__ = _Later
    sys.modules[name] = package
    _waiting[name] = spec.loader
    if not its_modules_now:
        sys.meta_path.insert(0, _Modules(package))


class _Modules(MetaPathFinder):
    """Runs a package's own code before a module of it is imported, as Python does."""

    def __init__(self, package: ModuleType) -> None:
        self.package = package

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """None, unless the package's own code has just imported the module: then that one, which is not run again."""
        if fullname.rpartition(".")[0] != self.package.__name__:
            return None
        with _one:
            ran_now = self.package.__name__ in _waiting
            if ran_now:
                _run(self.package)
        found = sys.modules.get(fullname)
        return ModuleSpec(fullname, _Found(found)) if ran_now and found else None


class _Found(Loader):
    """Gives a module that was imported before."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__
        module.__spec__ = None  # else importlib would take it from here, and run the module again

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module."""
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        """Leave it as it is."""
        module.__spec__ = self.spec


def _run(package: ModuleType) -> None:
    """Run a package's own code; after a failure it is tried again at the next access."""
    name = package.__name__
    loader = _waiting.pop(name)
    try:
        loader.exec_module(package)
    except BaseException:
        _waiting[name] = loader
        raise
    package.__class__ = ModuleType
