"""Relevance judgements: who judged what, read from a file of lines.

    query-id <tab> corpus-id <tab> score     BEIR: a header, then judgements; the header may be missing
    query-id 0 corpus-id score               TREC: no header, separated by blanks or tabs

A score is a whole number; 0 is judged and not relevant.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from harness.data import lines

Judgements = dict[str, dict[str, int]]
"""Query id -> document id -> score."""
_LARGEST = 2**31  # scores must fit 32 bits
_SCORE = re.compile(r"[+-]?[0-9]{1,10}")
_LAYOUT = "query id, document id and a whole number as score, separated by tabs (or TREC's four columns)"


def read(path: Path, queries: Collection[str] = ()) -> Judgements:
    """The judgements of a file.

    Parameters
    ----------
    queries
        Known query ids. A first line that names one is a judgement, not a header.

    Raises
    ------
    HarnessError
        If the file cannot be read, has a line of another layout, or judges a pair in two ways.
    """
    judged: Judgements = {}
    columns = 0
    for number, line in lines.read(path):
        tabs = line.split("\t")
        fields = tabs if len(tabs) in (3, 4) else line.split()
        is_first, columns = not columns, columns or len(fields)
        is_known = len(fields) == 4 or len(tabs) == 3
        if len(fields) != columns or not is_known:
            found = f"{lines.shown(line)}, {len(fields)} columns"
            raise lines.wrong(path, number, found, _LAYOUT, "correct the line")
        query, document, score = (fields[0], *fields[-2:])
        if is_first and _is_header(score) and query not in queries:
            continue
        _add(judged, path, number, query, document, _score(path, number, score))
    return judged


def _is_header(score: str) -> bool:
    """Whether the last field of the first line is a word: no number, not even one that is no score."""
    try:
        float(score)
    except ValueError:
        return bool(score.strip())
    return False


def _score(path: Path, number: int, text: str) -> int:
    if not _SCORE.fullmatch(text.strip()) or abs(int(text)) >= _LARGEST:
        expected = "a whole number of at most 32 bits, such as 1"
        raise lines.wrong(path, number, f"the score {lines.shown(text)}", expected, "write it as one")
    return int(text)


def _add(judged: Judgements, path: Path, number: int, query: str, document: str, score: int) -> None:
    """Add a judgement; the same one twice does no harm."""
    before = judged.setdefault(query, {}).setdefault(document, score)
    if before != score:
        pair = f"query {lines.shown(query)} and document {lines.shown(document)}"
        found = f"{pair} are judged {score}, and {before} on a line before"
        raise lines.wrong(path, number, found, "one score for a pair", "delete one of the two lines")
