"""Loading a data set: from a local folder, from a download, or from the docstrings of installed packages."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from harness.data import docstrings
from harness.data.beir import files, read_folder
from harness.data.dataset import Dataset
from harness.data.download import PARTIAL, Absent, download, refuse_path
from harness.system import locks
from harness.system.errors import HarnessError
from harness.system.paths import user_path
from harness.system.progress import bar


def load(options: dict[str, Any], data_dir: str | None, cache: Path, show: bool = False) -> Dataset:
    """The data set of an entry of conf/dataset: built, found in `data_dir`, or downloaded.

    Parameters
    ----------
    cache
        Folder of the cache, where downloads are kept.
    show
        Whether progress is shown.

    Raises
    ------
    HarnessError
        If it cannot be found, is damaged or empty, or has not the documented size.
    """
    if options.get("builder") == "docstrings":
        with bar("read the docstrings of installed packages", 1, show):
            dataset = of_docstrings(options)
    else:
        path = folder(options, data_dir, cache, show)
        with bar(f"read the data set {options['name']}", 1, show):
            dataset = read_folder(
                options["name"],
                path,
                options["split"],
                options.get("query_length"),
                options.get("keep_self_matches", False),  # records of before have no such option
            )
    found = {"docs": len(dataset.docs), "queries": len(dataset.queries), "qrels": sum(map(len, dataset.qrels.values()))}
    for what, count in found.items():
        expected = options.get(what)
        if expected is not None and count != expected:
            raise HarnessError(
                f"data set '{options['name']}' has {count} {what}, expected {expected}: the folder is damaged or holds "
                "another version; fetch it again."
            )
    return dataset


def of_docstrings(options: dict[str, Any]) -> Dataset:
    """The demonstration's data set: for the summary of a docstring, find its text, the one relevant document.

    The first `evaluated` summaries are queries; mu_Q may be the mean of the other summaries.
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
    """The folder of a data set: ``dataset.path``, or below `data_dir`, or its download in the cache.

    Raises
    ------
    Absent
        If it is not there and cannot be downloaded.
    """
    if found := local(options, data_dir, cache):
        return found
    archive, *inside = _place(options).parts
    with locks.held(locks.of(cache / "beir" / f"{archive}.zip")):
        if found := local(options, data_dir, cache):  # another process had the lock, and has it unpacked
            return found
        return download(archive, options["md5"], cache / "beir", show).joinpath(*inside)


def local(options: dict[str, Any], data_dir: str | None, cache: Path) -> Path | None:
    """The folder of a data set on this machine; None if it has yet to be downloaded.

    Raises
    ------
    Absent
        If it is not there and cannot be downloaded.
    """
    if options.get("path"):
        return user_path(options["path"])
    name, place = options["name"], _place(options)
    roots = [user_path(data_dir)] if data_dir else []
    for root in [*roots, cache / "beir"]:
        inside = [path for path in sorted(root.glob(f"*/{place}")) if path.relative_to(root).parts[0][-5:] != PARTIAL]
        for candidate in [root / place, *inside]:
            if candidate.is_dir():
                return candidate
    if options.get("md5"):
        return None
    where = f"in {data_dir}" if data_dir else "as data_dir (or HARNESS_DATA) is not set"
    raise Absent(
        f"data set '{name}' was not found {where}, and cannot be downloaded: set data_dir to a folder with "
        f"{place}/corpus.jsonl."
    )


def _place(options: dict[str, Any]) -> PurePosixPath:
    """Where a data set's folder is below `data_dir` and below the downloads: NAME, or a folder in a larger archive."""
    refuse_path("dataset.name", options["name"])
    archive = options.get("archive")
    for part in str(archive or "").split("/") if archive else ():
        refuse_path("dataset.archive", part)
    return PurePosixPath(archive or options["name"])


def refuse_gaps(options: dict[str, Any], data_dir: str | None, cache: Path) -> None:
    """Refuse a data set on this machine whose folder or files are missing, without reading them.

    Raises
    ------
    HarnessError
        With what is missing.
    """
    if options.get("builder") is None and (found := local(options, data_dir, cache)):
        files(found, options["split"])
