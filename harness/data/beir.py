"""Data sets in the BEIR layout, read from a folder.

    NAME/corpus.jsonl (or corpus.jsonl.gz), NAME/queries.jsonl, NAME/qrels/SPLIT.tsv

A document's text is "title text", stripped. Documents are sorted by id, *descending*. From here on a document is known
by its row number, and the lower row wins a tie (trec_eval's rule, `harness.ranking`). Queries are those that have a
judgement, even if none is positive, in the order of the file.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import zlib
from pathlib import Path
from typing import Any

from harness.data.dataset import Dataset, plain
from harness.data.download import refuse_path
from harness.system.errors import HarnessError

_LARGEST = 2**31  # scores must fit 32 bits
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")


def read_folder(name: str, path: Path, split: str, query_length: int | None) -> Dataset:
    """One split of the data set in a folder.

    Raises
    ------
    HarnessError
        If the folder or a file is missing, damaged or empty.
    """
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise HarnessError(
            f"the data set folder {path} {what}, expected a folder with corpus.jsonl: set dataset.path or data_dir."
        )
    corpus, packed = path / "corpus.jsonl", path / "corpus.jsonl.gz"
    docs = _texts(packed if packed.exists() and not corpus.exists() else corpus)
    if not docs:
        raise HarnessError(
            f"the corpus of data set '{name}' is empty ({path}), expected at least one document: fetch it again."
        )
    all_queries = _texts(path / "queries.jsonl")
    refuse_path("dataset.split", split)
    qrels = _qrels(path / "qrels" / f"{split}.tsv")
    missing = [query for query in qrels if query not in all_queries]
    if missing or not qrels:
        what = (
            f"{len(missing)} judged queries, first '{missing[0]}', are not in" if missing else "no query is judged for"
        )
        raise HarnessError(f"data set '{name}', split '{split}': {what} {path / 'queries.jsonl'}; fetch it again.")
    queries = {query: text for query, text in all_queries.items() if query in qrels}
    other = next((o for o in ("train", "dev") if o != split and (path / "qrels" / f"{o}.tsv").exists()), None)
    evaluated = {plain(text) for text in queries.values()}
    unused = _qrels(path / "qrels" / f"{other}.tsv") if other else {}
    return Dataset(
        name,
        dict(sorted(docs.items(), reverse=True)),
        queries,
        {query: qrels[query] for query in queries},
        {query: text for query, text in all_queries.items() if query in unused and plain(text) not in evaluated},
        other,
        query_length,
    )


def _texts(path: Path) -> dict[str, str]:
    """Id -> "title text", in the order of the file."""
    opened = gzip.open if path.suffix == ".gz" else open
    texts: dict[str, str] = {}
    read = 0
    try:
        with opened(path, "rt", encoding="utf-8", newline="\n") as file:
            for line in file:
                entry = json.loads(line)
                name, title, text = _id(entry["_id"]), entry.get("title") or "", entry.get("text") or ""
                if name in texts or not isinstance(title, str) or not isinstance(text, str):
                    raise ValueError("an _id twice, or a text that is not a string")
                texts[name] = f"{title} {text}".strip()
                read += 1
    except FileNotFoundError as error:
        raise HarnessError(f"{path} is missing: expected a data set in the BEIR layout: fetch it again.") from error
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise HarnessError(
            f"{path} is damaged at line {read + 1}: expected one JSON object per line, with a unique _id and a text; "
            "fetch it again."
        ) from error
    return texts


def _id(found: Any) -> str:
    """An id as text. Tabs and line breaks are refused: they would break the lines of judgements and run files."""
    if isinstance(found, bool) or not isinstance(found, (str, int)) or found == "" or _CONTROL.search(str(found)):
        raise ValueError(f"the _id {found!r}")
    return str(found)


def _qrels(path: Path) -> dict[str, dict[str, int]]:
    """Query id -> document id -> score, from a tab-separated file with a header."""
    qrels: dict[str, dict[str, int]] = {}
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            header = next(reader, [])
            if len(header) > 2 and header[2].lstrip("-").isdigit():
                raise ValueError("the header is missing")
            for query, document, score in reader:
                qrels.setdefault(query, {})[document] = int(score)
                if abs(int(score)) >= _LARGEST:
                    raise ValueError("a score of more than 32 bits")
    except FileNotFoundError as error:
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.tsv"))) or "none"
        raise HarnessError(f"{path} is missing: this data set has the splits {known}; set dataset.split.") from error
    except (OSError, ValueError, csv.Error) as error:
        raise HarnessError(
            f"{path} is damaged: expected a header, then lines with query id, document id and an integer score, "
            "separated by tabs; fetch it again."
        ) from error
    return qrels
