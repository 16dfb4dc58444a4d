"""Data sets in the BEIR layout, read from a folder.

    NAME/corpus.jsonl (or corpus.jsonl.gz), NAME/queries.jsonl, NAME/qrels/SPLIT.tsv

Documents are sorted by id, *descending*. From here on a document is known by its row number, and the lower row wins a
tie (trec_eval's rule, `harness.ranking`). Queries are those that have a judgement, even if none is positive, in the
order of the file.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.data import judgements, plausible, texts
from harness.data.dataset import Dataset, plain
from harness.data.download import refuse_path
from harness.data.texts import Texts
from harness.system.errors import HarnessError


def read_folder(
    name: str,
    path: Path,
    split: str,
    query_length: int | None,
    keep_self_matches: bool = False,
    option: str = "dataset",
) -> Dataset:
    """One split of the data set in a folder.

    Parameters
    ----------
    option
        Start of the options that named the folder and the split, for messages.

    Raises
    ------
    HarnessError
        If the folder or a file is missing or damaged, or if scores on this data set would mean nothing
        (`harness.data.plausible`).
    """
    corpus, queries_file, qrels = files(path, split, option)
    docs = texts.read(corpus, ("title", "text"))
    asked = texts.read(queries_file, ("text",))
    judged = judgements.read(qrels, asked.texts)
    plausible.refuse_texts(corpus, docs, queries_file, asked, set(judged))
    plausible.refuse_judgements(qrels, judged, docs.texts)
    queries = {query: text for query, text in asked.texts.items() if query in judged}
    other = next((o for o in ("train", "dev") if o != split and (path / "qrels" / f"{o}.tsv").exists()), None)
    dataset = Dataset(
        name,
        dict(sorted(docs.texts.items(), reverse=True)),
        queries,
        {query: judged[query] for query in queries},
        _unused(asked.texts, queries, path / "qrels" / f"{other}.tsv") if other else {},
        other,
        query_length,
        keep_self_matches,
    )
    notes = [*_replaced(corpus, docs), *_replaced(queries_file, asked)]
    return replace(dataset, notes=(*notes, *plausible.notes(plausible.counted(dataset), dataset)))


def files(path: Path, split: str, option: str = "dataset") -> tuple[Path, Path, Path]:
    """The files of a data set: corpus, queries, and judgements of a split.

    Raises
    ------
    HarnessError
        If the folder or a file is missing, or the split has a name that leads out of the folder.
    """
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise HarnessError(
            f"the data set folder {path} {what}, expected a folder with corpus.jsonl: set {option}.path or data_dir."
        )
    refuse_path(f"{option}.split", split)
    corpus, packed = path / "corpus.jsonl", path / "corpus.jsonl.gz"
    corpus = packed if packed.exists() and not corpus.exists() else corpus
    queries, qrels = path / "queries.jsonl", path / "qrels" / f"{split}.tsv"
    for file in (corpus, queries):
        if not file.exists():
            raise HarnessError(
                f"{file} is missing, expected a data set in the BEIR layout (corpus.jsonl, queries.jsonl, qrels/"
                f"{split}.tsv): fetch it again, or set {option}.path to its folder."
            )
    if not qrels.exists():
        known = ", ".join(sorted(file.stem for file in qrels.parent.glob("*.tsv"))) or "none"
        raise HarnessError(f"{qrels} is missing: this data set has the splits {known}; set {option}.split.")
    return corpus, queries, qrels


def _unused(asked: dict[str, str], evaluated: dict[str, str], qrels: Path) -> dict[str, str]:
    """The queries of another split whose texts are not evaluated."""
    known = {plain(text) for text in evaluated.values()}
    judged = judgements.read(qrels, asked)
    return {query: text for query, text in asked.items() if query in judged and text and plain(text) not in known}


def _replaced(path: Path, found: Texts) -> list[str]:
    count, first = found.replaced
    what = f"half characters were replaced by U+FFFD in {count} texts of {path.name}, first on line {first}"
    return [what] if count else []
