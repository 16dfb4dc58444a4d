"""Where a data set's texts come from: a local folder, a download, or the docstrings of installed packages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.data import docstrings
from harness.data.beir import read_folder
from harness.data.dataset import Dataset
from harness.data.download import Absent, _refuse_path, download
from harness.system.errors import HarnessError


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
