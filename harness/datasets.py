"""Data sets in the BEIR layout, from a local folder or downloaded by the beir package.

    NAME/corpus.jsonl (or corpus.jsonl.gz), NAME/queries.jsonl, NAME/qrels/SPLIT.tsv

A document's text is "title text", stripped. Documents are sorted by id, *descending*: from here on a row number stands
for a document, and a lower row wins a tie (trec_eval's rule, `harness.ranking`). Queries are the judged ones, in file
order, whether or not a judgement is positive.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import hashlib
import io
import json
import re
import shutil
import stat
import zipfile
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from harness import docstrings
from harness.errors import HarnessError
from harness.files import digest
from harness.progress import on_terminal

_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_RATIO = 100
"""How many times its size a zip may unpack to: texts and judgements are far below, bombs far above."""
_LARGEST = 2**31
URL = "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets/{name}.zip"


class Absent(HarnessError):
    """The data set is not at hand, and cannot be had."""


@dataclass(frozen=True)
class Dataset:
    """A corpus, the queries of one split, and their judgements.

    Attributes
    ----------
    docs : document id -> "title text", ids descending
    queries : query id -> text
    qrels : query id -> document id -> score; 0 is judged and not relevant
    other_queries : queries of the set's train split (else dev) whose texts are not evaluated: they may set mu_Q
    other_split : the split that they are from
    query_length : tokens of a query that the field uses for this set; None: the checkpoint's own
    """

    name: str
    docs: dict[str, str]
    queries: dict[str, str]
    qrels: dict[str, dict[str, int]]
    other_queries: dict[str, str] = field(default_factory=dict)
    other_split: str | None = None
    query_length: int | None = None

    @cached_property
    def sha256(self) -> str:
        """Of ids, texts and judgements: what a result on this data set depends on."""
        return digest([self.docs, self.queries, self.qrels])


def load(options: dict[str, Any], data_dir: str | None, cache: Path, show: bool = False) -> Dataset:
    """The data set of an entry of conf/dataset: built, found under `data_dir`, or downloaded.

    Raises
    ------
    HarnessError
        If it is nowhere, damaged, empty, or not of the documented size.
    """
    if options.get("builder") == "docstrings":
        dataset = of_docstrings(options)
    else:
        dataset = read_folder(
            options["name"], folder(options, data_dir, cache, show), options["split"], options.get("query_length")
        )
    found = {"docs": len(dataset.docs), "queries": len(dataset.queries), "qrels": sum(map(len, dataset.qrels.values()))}
    for what, count in found.items():
        expected = options.get(what)
        if expected is not None and count != expected:
            raise HarnessError(
                f"data set '{options['name']}' has {count} {what}, expected {expected}: the folder is damaged or of "
                "another version; fetch it again."
            )
    return dataset


def of_docstrings(options: dict[str, Any]) -> Dataset:
    """The demonstration: find the document that a summary was written for, one relevant document a query.

    The first `evaluated` summaries are the queries, those of the other documents may set mu_Q.
    """
    texts = docstrings.pairs(options["packages"], options["documents"], options["characters"])
    queries = {f"summary of {name}": summary for name, (summary, _) in texts.items()}
    evaluated = dict(list(queries.items())[: options["evaluated"]])
    return Dataset(
        name=options["name"],
        docs={name: texts[name][1] for name in sorted(texts, reverse=True)},
        queries=evaluated,
        qrels={query: {query.removeprefix("summary of "): 1} for query in evaluated},
        other_queries={query: text for query, text in queries.items() if query not in evaluated},
        other_split="dev",
        query_length=options["query_length"],
    )


def folder(options: dict[str, Any], data_dir: str | None, cache: Path, show: bool = False) -> Path:
    """Where the data set's files are: `dataset.path`, under `data_dir` (at any group), or the cache's download."""
    name = options["name"]
    if options.get("path"):
        return Path(options["path"]).expanduser()
    _refuse_path("dataset.name", name)
    roots = [Path(data_dir).expanduser()] if data_dir else []
    for root in [*roots, cache / "beir"]:
        for candidate in [root / name, *sorted(root.glob(f"*/{name}"))]:
            if candidate.is_dir():
                return candidate
    if not options.get("md5"):
        where = data_dir or "nowhere: data_dir (or HARNESS_DATA) is not set"
        raise Absent(
            f"data set '{name}' was not found under {where}; it cannot be downloaded: set data_dir to a folder that "
            f"holds {name}/corpus.jsonl."
        )
    return download(name, options["md5"], cache / "beir", show)


def _refuse_path(option: str, name: Any) -> None:
    """Refuse a name that would lead to another folder than the one it is put behind."""
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w.=,+-]*", name):
        raise HarnessError(f"{option}={ascii(name)[:80]}: expected a name of letters, digits and . _ -, not a path.")


def download(name: str, md5: str, target: Path, show: bool) -> Path:
    """Fetch NAME.zip with the beir package, check its MD5, unpack it; nothing is kept unless all of it is right."""
    from beir import util

    target.mkdir(parents=True, exist_ok=True)
    archive = target / f"{name}.zip"
    try:
        if not archive.exists():
            partial = archive.with_suffix(".part")
            partial.unlink(missing_ok=True)
            with contextlib.nullcontext() if on_terminal(show) else contextlib.redirect_stderr(io.StringIO()):
                util.download_url(URL.format(name=name), str(partial))  # shows a progress bar, asked or not
            partial.rename(archive)
    except Exception as error:  # beir passes on whatever requests, urllib and the disk raise
        archive.with_suffix(".part").unlink(missing_ok=True)
        raise Absent(
            f"cannot download data set '{name}' ({type(error).__name__}): go online, or set data_dir (or HARNESS_DATA) "
            f"to a folder that holds {name}/corpus.jsonl."
        ) from error
    return unpack(archive, md5, target / name)


def unpack(archive: Path, md5: str, target: Path) -> Path:
    """Unpack a BEIR zip of the expected MD5; a zip that is not is removed, and nothing of it is used."""
    found = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
    if found != md5:
        archive.unlink()
        raise HarnessError(
            f"{archive.name} has MD5 {found}, expected {md5}: the download was broken or the file has changed; it was "
            "removed, run again to fetch it anew."
        )
    partial = target.with_name(target.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as file:
            _refuse_members(archive, file.infolist(), partial)
            for member in file.infolist():  # not extractall: each was looked at
                file.extract(member, partial)
        inner = partial / target.name
        (inner if inner.is_dir() else partial).rename(target)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError) as error:
        raise HarnessError(
            f"{archive} cannot be unpacked ({type(error).__name__}: {error}): delete it, free space, and run again."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    archive.unlink()
    return target


def _refuse_members(archive: Path, members: list[zipfile.ZipInfo], target: Path) -> None:
    """Refuse a zip that would write outside of `target`, make links, or fill the disk."""
    for member in members:
        if not (target / member.filename).resolve().is_relative_to(target.resolve()):
            raise HarnessError(
                f"{archive.name} holds '{member.filename}', which points outside its folder: not unpacked."
            )
        if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise HarnessError(f"{archive.name} holds '{member.filename}', a link or a device: not unpacked.")
    size, most = sum(member.file_size for member in members), _RATIO * archive.stat().st_size
    if size > most:
        raise HarnessError(
            f"{archive.name} would unpack to {size} bytes, expected at most {most}, {_RATIO} times its own size: not "
            "unpacked."
        )


def read_folder(name: str, path: Path, split: str, query_length: int | None) -> Dataset:
    """Read one split of a folder in the BEIR layout."""
    if not path.is_dir():
        what = "is not a folder" if path.exists() else "does not exist"
        raise HarnessError(f"the data set folder {path} {what}: expected a folder with corpus.jsonl.")
    corpus, packed = path / "corpus.jsonl", path / "corpus.jsonl.gz"
    docs = _texts(packed if packed.exists() and not corpus.exists() else corpus)
    if not docs:
        raise HarnessError(f"the corpus of data set '{name}' is empty ({path}): expected at least one document.")
    all_queries = _texts(path / "queries.jsonl")
    _refuse_path("dataset.split", split)
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


def plain(text: str) -> str:
    """A text as it is compared with others: lower case, blanks made one."""
    return " ".join(text.lower().split())


def _texts(path: Path) -> dict[str, str]:
    """Id -> "title text", in file order."""
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
        raise HarnessError(f"{path} is missing: expected a data set folder in the BEIR layout.") from error
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise HarnessError(
            f"{path} is damaged at line {read + 1}: expected one JSON object a line, with its own _id and a text; "
            "fetch it again."
        ) from error
    return texts


def _id(found: Any) -> str:
    """An id, as text; a tab or a line break in it would break the lines of judgements and run files."""
    if isinstance(found, bool) or not isinstance(found, (str, int)) or found == "" or _CONTROL.search(str(found)):
        raise ValueError(f"the _id {found!r}")
    return str(found)


def _qrels(path: Path) -> dict[str, dict[str, int]]:
    """Query id -> document id -> score, from a tab-separated file with a header line."""
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
            f"{path} is damaged: expected a header, then lines of query id, document id and a whole score, by tabs."
        ) from error
    return qrels
