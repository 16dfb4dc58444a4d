"""Where the numbers are from: for each model and data set, what was measured, when, with what, from which inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.records import Record
from harness.tables import Row, titles


@dataclass(frozen=True)
class Origin:
    """One model on one data set.

    Attributes
    ----------
    facts : (what, value): inputs, sizes, versions, hosts, commits; a value for each that differs among the cells
    cells : one line for each cell: its options, seeds among them, when it was begun, and of which commit
    """

    model: str
    dataset: str
    facts: list[tuple[str, list[str]]]
    notes: list[str]
    cells: pd.DataFrame


def collected(records: Sequence[Record], rows: Sequence[Row], datasets: Sequence[str]) -> Iterator[Origin]:
    """Of the records that the table shows, model by model."""
    place = {row: i for i, row in enumerate(rows)}
    shown = [record for record in records if _row(record) in place]
    for model in dict.fromkeys(row.model for row in rows):
        for dataset in datasets:
            some = [record for record in shown if (record.model, record.dataset) == (model, dataset)]
            if some:
                some.sort(key=lambda record: place[_row(record)])
                notes = dict.fromkeys(note for record in some for note in record.notes)
                yield Origin(
                    titles.title(model),
                    dataset,
                    _facts(some),
                    list(notes),
                    pd.DataFrame([_cell(record) for record in some]),
                )


def _row(record: Record) -> Row:
    return Row(record.model, record.center, record.method)


def _facts(records: Sequence[Record]) -> list[tuple[str, list[str]]]:
    inputs = {"weights": "Weights, sha256", "dataset": "Data (texts, queries, judgements), sha256"}
    facts = [(title, _each(record.identity.get(key, "") for record in records)) for key, title in inputs.items()]
    sizes = [("Documents", "documents"), ("Document tokens", "document_tokens")]
    facts += [(title, _each(_count(record.details.get(key)) for record in records)) for title, key in sizes]
    facts += [
        ("Queries", _each(_count(len(record.per_query.get("queries", []))) for record in records)),
        ("Model options", _each(_words(record.identity.get("model", {})) for record in records)),
        ("Versions", _each(_words(record.versions, " ") for record in records)),
        ("Host", _each(_words(record.host) for record in records)),
        ("Commit", _each(record.commit for record in records)),
    ]
    return [(title, values) for title, values in facts if values]


def _each(values: Any) -> list[str]:
    """The different values, without empty ones."""
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
    """Options without their entry's name, which is said elsewhere."""
    return ", ".join(f"{key}{between}{_value(value)}" for key, value in options.items() if key != "name")


def _value(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
