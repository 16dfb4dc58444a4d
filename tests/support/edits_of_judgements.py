"""Edits of judgements, which know what they mean: grades, rows, the header."""

from __future__ import annotations

import numpy as np
from edits import DataEdit, Folder, one_of
from oddities import ODD_GRADES


def judge_own(folder: Folder, rng: np.random.Generator) -> str:
    """A relevant document with the query's own id."""
    folder.rows = [row for row in folder.rows if row[:2] != ["d9", "d9"]] + [["d9", "d9", "1"]]
    return "the document with a query's own id is relevant"


def odd_grade(folder: Folder, rng: np.random.Generator) -> str:
    grade, everywhere = one_of(rng, ODD_GRADES), rng.random() < 0.3
    place = int(rng.integers(len(folder.rows)))
    for row in folder.rows if everywhere else [folder.rows[place]]:
        row[2] = grade
    folder.file("judgements")
    folder.is_read = False
    return f"judgements: the grade {grade!r} in {'all rows' if everywhere else f'row {place}'}"


def repeat_judgement(folder: Folder, rng: np.random.Generator) -> str:
    place, same = int(rng.integers(len(folder.rows))), rng.random() < 0.5
    row = list(folder.rows[place])
    row[2] = row[2] if same else "5"
    folder.rows.insert(int(rng.integers(len(folder.rows) + 1)), row)
    folder.file("judgements")
    folder.is_read &= same
    return f"judgements: row {place} stands there twice, {'alike' if same else 'with another grade'}"


def odd_row(folder: Folder, rng: np.random.Generator) -> str:
    """A row of ids that are in one file only, or the rows of a query gone."""
    kind = one_of(rng, ("a document of no text", "a query of no text", "the rows of a query removed", "grades all 0"))
    queries = sorted({row[0] for row in folder.rows})
    query = one_of(rng, queries)
    if kind == "a document of no text":
        folder.rows.append([query, one_of(rng, ("gone", "D1", "d1 ", " d1", "d01")), "1"])
    elif kind == "a query of no text":
        folder.rows.append([one_of(rng, ("gone", "Q1", "q1 ", " q1")), "d1", "1"])
        folder.is_read = False
    elif kind == "the rows of a query removed":
        folder.rows = [row for row in folder.rows if row[0] != query]
    else:
        for row in folder.rows:
            row[2] = "0" if row[0] == query else row[2]
    folder.file("judgements"), folder.file("queries")
    return f"judgements: {kind}"


def odd_header(folder: Folder, rng: np.random.Generator) -> str:
    header = one_of(rng, (None, ("query", "doc", "rel"), ("q1", "d1", "x"), ("a", "b"), ("a",), ("# judged",), ()))
    folder.header = header or None
    folder.file("judgements")
    folder.is_read &= header in (None, ("query", "doc", "rel"), ())
    return f"judgements: the header is {header!r}"


EDITS: tuple[DataEdit, ...] = (judge_own, odd_grade, odd_grade, repeat_judgement, odd_row, odd_header)
