"""The files of conf/: one YAML file per model, data set, suite, centering, method, encoder, objective and experiment.

A file may extend others of its folder, named under ``defaults`` as Hydra reads it. A name that starts with ``_`` is
only there to be extended: it is no entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from harness.system.errors import HarnessError, unknown

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parent
IS_CHECKOUT = (ROOT / "pyproject.toml").is_file() and (ROOT / "conf" / "config.yaml").is_file()
"""Whether the code runs from a checkout; an installed wheel has conf/ and results/expected/ inside the package."""
CONF_DIR = ROOT / "conf" if IS_CHECKOUT else PACKAGE / "conf"
EXPECTED_DIR = ROOT / "results" / "expected" if IS_CHECKOUT else PACKAGE / "expected"
GROUPS = ("model", "dataset", "suite", "center", "method", "index", "objective", "train_data", "experiment")
"""The groups that a word chooses from, as in `method=muvera`."""
LISTED = (*GROUPS, "encoder")
"""The groups that `ls` lists: single-vector models are chosen by `method.model`."""


VECTORS = "vectors"
"""The entry of conf/model for token vectors that the user made, and the value of its option ``kind``."""


def default_results() -> Path:
    """Where results go if no option says so: ``results`` of the checkout, or of the current folder."""
    return ROOT / "results" if IS_CHECKOUT else Path.cwd() / "results"


def choices(group: str) -> list[str]:
    """The entries of a group."""
    return list(_listed(CONF_DIR / group))


def entry(group: str, name: str) -> dict[str, Any]:
    """One entry of a group, with what it extends."""
    if name not in choices(group):
        raise unknown(group, name, choices(group))
    return deepcopy(_read(CONF_DIR / group, name))


@cache  # a table asks for them thousands of times
def _listed(folder: Path) -> tuple[str, ...]:
    """The entries in a folder."""
    if not folder.is_dir():
        raise HarnessError(f"the options folder {folder} is missing: install the harness again.")
    return tuple(sorted(path.stem for path in folder.glob("*.yaml") if not path.stem.startswith("_")))


@cache
def _read(folder: Path, name: str) -> dict[str, Any]:
    """A file of a group over the files that it extends."""
    content = dict(yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8")))
    extended = [base for base in content.pop("defaults", []) if isinstance(base, str) and base != "_self_"]
    if not extended:
        return content
    merged: Any = OmegaConf.to_container(OmegaConf.merge(*(_read(folder, base) for base in extended), content))
    return dict(merged)


def entry_of_folder(options: Mapping[str, Any]) -> str:
    """The entry that the options of a model or data set in a folder are based on."""
    return VECTORS if options.get("kind") == VECTORS else "local"


def describe(group: str, name: str) -> str:
    """The first comment of an entry that is not Hydra's."""
    lines = (CONF_DIR / group / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    return next((line[1:].strip() for line in lines if line.startswith("#") and "@package" not in line), "")
