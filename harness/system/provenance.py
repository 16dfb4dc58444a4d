"""What a result was made with: versions of packages, the commit of the code, the host."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

ENCODERS = ("torch", "pylate", "sentence-transformers", "transformers", "tokenizers")
PACKAGES = (*ENCODERS, "fast-plaid", "numpy", "numba", "ranx", "hydra-core")


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Versions of Python, of this harness, and of every package that influences a number."""
    names = ("late-interaction-harness", *PACKAGES)
    return {"python": platform.python_version(), **{name: _version(name) for name in names}}


@lru_cache(maxsize=1)
def encoders() -> dict[str, str]:
    """Versions of the packages that encode texts."""
    return {name: _version(name) for name in ENCODERS}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


@lru_cache(maxsize=1)
def code() -> str:
    """sha256 of the harness's own source files."""
    root = Path(__file__).resolve().parents[1]
    hasher = sha256()
    for path in sorted(root.rglob("*.py")):
        hasher.update(f"{path.relative_to(root).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return hasher.hexdigest()


@lru_cache(maxsize=1)
def commit() -> str:
    """The commit that is checked out, or ``unknown`` outside git.

    A ``+`` follows if the code, the options or the lock file differ from it.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():  # installed, perhaps inside another project's checkout
        return "unknown"
    try:
        found = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--", "harness", "conf", "requirements.lock")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found + ("+" if changed else "")


def host(device: torch.device) -> dict[str, Any]:
    """CPU, GPU and threads."""
    found = {"cpu": _cpu(), "cores": os.cpu_count(), "threads": torch.get_num_threads(), "system": platform.system()}
    if device.type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
    return found


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True).stdout.strip()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
