"""What makes scores on a data set meaningless is refused; what makes them doubtful becomes a note."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.data.dataset import Dataset
from harness.data.lines import shown
from harness.data.texts import Texts
from harness.system.errors import HarnessError

_MANY = 0.1
"""The share of documents or judgements above which an oddity is worth a note."""


@dataclass(frozen=True)
class Counts:
    """Oddities of a data set, counted.

    Attributes
    ----------
    empty_documents : documents without a text
    relevant_judgements : those with a score of at least 1
    relevant_not_in_corpus : those of them whose document is not in the corpus, and cannot be found
    relevant_self_matches : those of them whose document has the query's own id
    queries_without_relevant : queries that have none, and count as 0
    """

    empty_documents: int
    relevant_judgements: int
    relevant_not_in_corpus: int
    relevant_self_matches: int
    queries_without_relevant: int


def counted(dataset: Dataset) -> Counts:
    """The counts of a data set."""
    relevant = {query: [doc for doc, score in judged.items() if score >= 1] for query, judged in dataset.qrels.items()}
    pairs = [(query, doc) for query, docs in relevant.items() for doc in docs]
    return Counts(
        empty_documents=sum(not text for text in dataset.docs.values()),
        relevant_judgements=len(pairs),
        relevant_not_in_corpus=sum(doc not in dataset.docs for _, doc in pairs),
        relevant_self_matches=sum(query == doc and doc in dataset.docs for query, doc in pairs),
        queries_without_relevant=sum(not docs for docs in relevant.values()),
    )


def refuse_texts(corpus: Path, docs: Texts, queries_file: Path, queries: Texts, judged: set[str]) -> None:
    """Refuse a corpus without a text, and judged queries that are missing or have no text.

    Raises
    ------
    HarnessError
        With the ids or the fields that were found.
    """
    if not docs.texts:
        raise HarnessError(f"{corpus} is empty, expected at least one document: fetch it again.")
    if not any(docs.texts.values()):
        raise HarnessError(
            f"no document of {corpus} has a text: 'text' and 'title' are missing, null or empty in all objects, whose "
            f"fields are {_fields(docs)}; expected texts: write them under 'text'."
        )
    if not judged:
        return
    missing = [query for query in judged if query not in queries.texts]
    if missing:
        first = f", such as {shown(next(iter(queries.texts)))}" if queries.texts else ""
        raise HarnessError(
            f"{len(missing)} of {len(judged)} judged queries, first {shown(min(missing))}, are not in {queries_file}, "
            f"which has {len(queries.texts)} ids{first}; expected each judged query: fetch the data set again, or "
            "write the ids alike."
        )
    empty = [query for query in judged if not queries.texts[query]]
    if empty:
        raise HarnessError(
            f"{len(empty)} of {len(judged)} judged queries in {queries_file}, first {shown(min(empty))}, have no text: "
            f"'text' is missing, null or empty in objects with the fields {_fields(queries)}; expected texts: write "
            "them under 'text', or remove the judgements of these queries."
        )


def refuse_judgements(qrels: Path, judged: dict[str, dict[str, int]], docs: dict[str, str]) -> None:
    """Refuse judgements by which every score is 0.

    Raises
    ------
    HarnessError
        If there are none, none is above 0, or no relevant document is in the corpus.
    """
    if not judged:
        raise HarnessError(f"no query is judged in {qrels}, expected at least one judgement: fetch the data set again.")
    relevant = [doc for one in judged.values() for doc, score in one.items() if score >= 1]
    if not relevant:
        raise HarnessError(
            f"no score in {qrels} is above 0, expected at least one relevant document: fetch the data set again, or "
            "judge some documents above 0."
        )
    if not any(doc in docs for doc in relevant):
        raise HarnessError(
            f"the {len(set(relevant))} relevant documents of {qrels}, such as {shown(min(relevant))}, are not in the "
            f"corpus, whose ids are such as {shown(min(docs))}; expected ids of the corpus: write the ids alike, or "
            "fetch the data set again."
        )


def notes(found: Counts, dataset: Dataset) -> list[str]:
    """What a reader of a score must know, a line for each."""
    lines, all_relevant = [], f"{found.relevant_judgements} relevant judgements are of"
    if found.relevant_self_matches and not dataset.keep_self_matches:
        lines.append(
            f"{found.relevant_self_matches} of {all_relevant} the document with the query's own id, which is never "
            "retrieved; set dataset.keep_self_matches=true if it is another text"
        )
    if found.relevant_not_in_corpus > _MANY * found.relevant_judgements:
        lines.append(
            f"{found.relevant_not_in_corpus} of {all_relevant} documents that are not in the corpus, and cannot be "
            "found"
        )
    if found.empty_documents > _MANY * len(dataset.docs):
        lines.append(f"{found.empty_documents} of {len(dataset.docs)} documents have no text")
    if found.queries_without_relevant > _MANY * len(dataset.queries):
        lines.append(
            f"{found.queries_without_relevant} of {len(dataset.queries)} queries have no relevant document, and count "
            "as 0"
        )
    return lines


def _fields(found: Texts) -> str:
    return ", ".join(map(shown, found.fields[:8])) or "(none)"
