"""Failures: what goes wrong in one part of a run is noted for its cells and does not stop the others."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from harness.config.options import RunOptions
from harness.measure.cells import Request
from harness.measure.grouping import keys_of
from harness.records import CellKey, failures
from harness.system.errors import HarnessError

log = logging.getLogger(__name__)


class Failures:
    """What went wrong so far.

    Attributes
    ----------
    sentences : one for each failure
    """

    def __init__(self) -> None:
        self.sentences: list[str] = []

    @contextmanager
    def collect(self, results: Path, keys: Sequence[CellKey], title: str) -> Iterator[None]:
        """Note an error of the block for each of its cells (`harness.records.failures`), and go on after the block."""
        try:
            yield
        except Exception as error:
            if not isinstance(error, HarnessError):
                log.exception("unexpected %s", type(error).__name__)
            sentence = f"{title}: {error}"
            if sentence not in self.sentences:  # the draws of a cell may all fail for one reason
                self.sentences.append(sentence)
                log.error("error: %s", sentence)
            for key in keys:
                failures.note(results, key, str(error))

    def collect_all(self, options: RunOptions, requests: Sequence[Request]) -> AbstractContextManager[None]:
        """Note an error of the block for each cell of the requests on a testbed."""
        return self.collect(options.results, keys_of(options, requests), options.title)
