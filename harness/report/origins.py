"""Provenance: for each model and data set, the cells with their dates, versions and inputs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.records import Record
from harness.records.notes import DATA, PAIR
from harness.tables import Row, row_of, titles


@dataclass(frozen=True)
class Origin:
    """The provenance of one model on one data set.

    Attributes
    ----------
    model, dataset : title of the model, name of the data set
    facts : (name, values) of inputs, sizes, versions, hosts and commits; several values where the cells differ
    notes : the notes of the records, each once
    cells : one line for each cell: its options (seeds among them), when it was started, and the commit
    """

    model: str
    dataset: str
    facts: list[tuple[str, list[str]]]
    notes: list[str]
    cells: pd.DataFrame


def collected(records: Sequence[Record], rows: Sequence[Row], datasets: Sequence[str]) -> Iterator[Origin]:
    """The provenance of the records that the table shows, model by model."""
    place = {row: i for i, row in enumerate(rows)}
    shown = [record for record in records if row_of(record) in place]
    for model in dict.fromkeys(row.model for row in rows):
        for dataset in datasets:
            chosen = [record for record in shown if (record.model, record.dataset) == (model, dataset)]
            if chosen:
                chosen.sort(key=lambda record: place[row_of(record)])
                lines = dict.fromkeys(note for record in chosen for note in record.notes)
                yield Origin(
                    titles.title(model),
                    dataset,
                    _facts(chosen),
                    [line.removeprefix(DATA).removeprefix(PAIR) for line in lines],
                    pd.DataFrame([_cell(record) for record in chosen]),
                )


def _facts(records: Sequence[Record]) -> list[tuple[str, list[str]]]:
    inputs = {"weights": "Weights, sha256", "vectors": "Given token vectors, sha256"}
    inputs |= {"dataset": "Data (texts, queries, judgements), sha256"}
    facts = [(title, _distinct(record.identity.get(key, "") for record in records)) for key, title in inputs.items()]
    sizes = [("Documents", "documents"), ("Document tokens", "document_tokens")]
    facts += [(title, _distinct(_count(record.details.get(key)) for record in records)) for title, key in sizes]
    facts += [
        ("Queries", _distinct(_count(len(record.per_query.get("queries", []))) for record in records)),
        ("Model options", _distinct(_words(record.identity.get("model", {})) for record in records)),
        ("Versions", _distinct(_words(record.versions, " ") for record in records)),
        ("Host", _distinct(_words(record.host) for record in records)),
        ("Commit", _distinct(record.commit for record in records)),
    ]
    return [(title, values) for title, values in facts if values]


def _distinct(values: Iterable[Any]) -> list[str]:
    """The distinct values as text, without empty ones."""
    return list(dict.fromkeys(str(value) for value in values if value))


def _count(number: int | None) -> str:
    return f"{number:,}" if number else ""


def _cell(record: Record) -> dict[str, str]:
    centering = record.identity.get("center", {})
    return {
        "Center": titles.center_label(record.center),
        "Method": titles.method_title(record.method),
        "Options of the method": _words(record.identity.get("method", {})),
        "Options of the centering": _words({key: value for key, value in centering.items() if value is not None}),
        "Begun": record.started,
        "Commit": record.commit[:10],
    }


def _words(options: Mapping[str, Any], between: str = "=") -> str:
    """Options as text, without the name of their entry, which has a column of its own."""
    return ", ".join(f"{key}{between}{_value(value)}" for key, value in options.items() if key != "name")


def _value(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
