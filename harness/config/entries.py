"""The entries of conf/: one YAML file for each model, data set, suite, centering, method, objective and experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from harness.system.errors import HarnessError, unknown

ROOT = Path(__file__).resolve().parents[2]


CONF_DIR = ROOT / "conf"


GROUPS = ("model", "dataset", "suite", "center", "method", "objective", "train_data", "experiment")


def choices(group: str) -> list[str]:
    """The entries of a group."""
    if not (CONF_DIR / group).is_dir():
        raise HarnessError(f"the options folder {CONF_DIR} is missing: run from a checkout (pip install -e .).")
    return sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml"))


def entry(group: str, name: str) -> dict[str, Any]:
    """One entry of a group, as written."""
    if name not in choices(group):
        raise unknown(group, name, choices(group))
    return dict(yaml.safe_load((CONF_DIR / group / f"{name}.yaml").read_text(encoding="utf-8")))


def describe(group: str, name: str) -> str:
    """The first comment of an entry that is not Hydra's."""
    lines = (CONF_DIR / group / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    return next((line[1:].strip() for line in lines if line.startswith("#") and "@package" not in line), "")
