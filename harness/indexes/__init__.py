"""Indexes as deployed: what a method's codes are kept in and searched by, made by other libraries.

An entry of conf/index names one, with its options as the library calls them; ``flat`` is none: the method searches all
of its codes itself, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.indexes.faiss_index import FaissIndex
from harness.indexes.index import Index
from harness.indexes.sindi_index import SindiIndex


def make(options: Mapping[str, Any]) -> Index:
    """The index that an entry of conf/index describes.

    Raises
    ------
    HarnessError
        For options that it cannot have.
    """
    return SindiIndex(**options) if options["name"] == "sindi" else FaissIndex(**options)
