"""The demonstration's data set: docstrings of installed scientific packages, real text that needs no download.

Each documented public function or class gives one pair: the query is the docstring's summary, the document is what
follows it, with the object's own name masked. To find one's own docstring among all is the task (one relevant document
a query). Files are parsed, never imported, and the choice depends on names alone (sha256), so that the same versions
of the packages give the same data set on any machine.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness.datasets import Dataset
from harness.errors import HarnessError

MASK = "[name]"


def build(options: dict[str, Any]) -> Dataset:
    """The data set of an entry of conf/dataset whose builder is ``docstrings``.

    Its options: `packages`, `documents` and `evaluated` (how many), `characters` (of a document, at most). The
    summaries of documents whose query is not evaluated are the `other_queries`.
    """
    pairs: dict[str, tuple[str, str]] = {}
    seen: set[str] = set()
    for package in options["packages"]:
        for name, summary, rest in _documented(package):
            text = _masked(rest, name)[: options["characters"]]
            if name not in pairs and not {summary, text} & seen and len(summary.split()) >= 5 and len(text) >= 200:
                pairs[name] = summary, text
                seen |= {summary, text}
    chosen = sorted(pairs, key=lambda name: sha256(name.encode()).digest())[: options["documents"]]
    if len(chosen) < options["documents"]:
        raise HarnessError(
            f"only {len(chosen)} docstrings of {', '.join(options['packages'])} were found, expected "
            f"{options['documents']}: install the packages from requirements.lock, unstripped."
        )
    queries = {f"summary of {name}": pairs[name][0] for name in chosen}
    evaluated = dict(list(queries.items())[: options["evaluated"]])
    return Dataset(
        name=options["name"],
        docs={name: pairs[name][1] for name in sorted(chosen, reverse=True)},
        queries=evaluated,
        qrels={query: {query.removeprefix("summary of "): 1} for query in evaluated},
        other_queries={query: text for query, text in queries.items() if query not in evaluated},
        other_split="dev",
        query_length=options.get("query_length"),
    )


def _documented(package: str) -> Iterator[tuple[str, str, str]]:
    """(qualified name, summary, rest of the docstring) of a package's public functions and classes, in file order."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise HarnessError(f"the package '{package}' is not installed: its docstrings are part of the demo corpus.")
    root = Path(found.submodule_search_locations[0])
    for path in sorted(root.rglob("*.py")):
        module = path.relative_to(root.parent).with_suffix("")
        if any(part.startswith("test") for part in module.parts):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                summary, _, rest = (ast.get_docstring(node) or "").partition("\n\n")
                yield ".".join([*module.parts, node.name]), " ".join(summary.split()), " ".join(rest.split())


def _masked(text: str, name: str) -> str:
    """`text` without the last part of `name`, as a word, in any case."""
    return re.sub(rf"\b{re.escape(name.rsplit('.', 1)[-1])}\b", MASK, text, flags=re.IGNORECASE)
