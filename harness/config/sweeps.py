"""Sweeps: options with several values become one list of words for each combination of them.

The values are a list (``center=none,own``), ``range(...)`` or ``glob(...)``, or stand in an experiment's
``hydra.sweeper.params``, which the words of the command line replace. The last option varies fastest.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from hydra.core.utils import configure_log

from harness.config import compose
from harness.config.texts import is_text
from harness.system.errors import HarnessError


def cells(words: Sequence[str], is_sweep: bool) -> list[list[str]]:
    """The words of each cell, in the order of the product; for a single run, the words themselves.

    Messages go to stderr from here on, as conf/config.yaml has it.

    Parameters
    ----------
    is_sweep
        Whether -m was given; an experiment may ask for a sweep by itself (``hydra.mode``).

    Raises
    ------
    HarnessError
        If an option has several values and there is no sweep, or none.
    """
    parsed = compose.parse(words)
    swept = [override for override in parsed if override.is_sweep_override()]
    # Values of a swept experiment differ from cell to cell, so none of them decides what all cells are.
    common = [override for override in parsed if override not in swept or override.key_or_group != "experiment"]
    hydra = compose.hydra_options([compose.words_of(override)[0] for override in common])
    configure_log(hydra.job_logging, hydra.verbose)
    if not is_sweep and str(hydra.mode).rpartition(".")[2] != "MULTIRUN":
        if swept:
            word = swept[0].input_line
            whole = ", or check the path, if it is one: no file has the whole name" if is_text(str(word)) else ""
            raise HarnessError(f"{word} names several values, which is a sweep: add -m{whole}.")
        return [list(words)]
    prepared = compose.parse([f"{option}={values}" for option, values in (hydra.sweeper.params or {}).items()])
    by_option = {override.get_key_element(): compose.words_of(override) for override in [*prepared, *parsed]}
    return [list(cell) for cell in product(*by_option.values())]
