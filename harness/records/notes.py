"""Notes of a record: what a reader of its scores must know. A note's first words say what it is about.

data: ...      the data set
pair: ...      the model on this data set
mu_Q: ...      the queries whose mean a centering subtracts
...            the model
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

from harness.records.record import Record

DATA, PAIR, MEAN = "data: ", "pair: ", "mu_Q: "


def sentences(records: Iterable[Record], title: Callable[[str], str], center: Callable[[str], str]) -> list[str]:
    """The notes of some records as sentences below a table: of models, of data sets, of pairs, and of mu_Q.

    Parameters
    ----------
    title, center
        Give the name of a model and of a centering in tables.
    """
    title = cache(title)  # it may read files, and many notes are of one model
    found = {_placed(record, note, title, center) for record in records for note in record.notes}
    return [line for _, line in sorted(found)]


def _placed(record: Record, note: str, title: Callable[[str], str], center: Callable[[str], str]) -> tuple[int, str]:
    """A note's place among the notes, and its sentence."""
    if note.startswith(MEAN):
        return 3, f"{record.dataset}, center {center(record.center)}: {note}."
    if note.startswith(PAIR):
        return 2, f"{title(record.model)}, {record.dataset}: {note.removeprefix(PAIR)}."
    if note.startswith(DATA):
        return 1, f"{record.dataset}: {note.removeprefix(DATA)}."
    return 0, f"{title(record.model)}: {note}."
