"""Texts of the demonstration: docstrings of installed scientific packages, which need no download.

Each documented public function or class gives one pair. The query is the docstring's summary; the document is the rest,
with the name of the object masked. Files are parsed, never imported. The choice of pairs depends only on the sha256 of
their names, so that the same versions of the packages give the same pairs on every machine.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections import deque
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from harness.system.errors import HarnessError

MASK = "[name]"


def pairs(packages: Sequence[str], count: int, characters: int) -> dict[str, tuple[str, str]]:
    """Qualified name -> (summary, text) of `count` docstrings; texts are cut after `characters` characters.

    Docstrings with a summary of fewer than five words or a text of fewer than 200 characters are left out, and so are
    repetitions.

    Raises
    ------
    HarnessError
        If a package is missing, or there are fewer than `count` docstrings.
    """
    found: dict[str, tuple[str, str]] = {}
    seen: set[str] = set()
    for package in packages:
        for name, summary, rest in _documented(package):
            text = _masked(rest, name)[:characters]
            if name not in found and not {summary, text} & seen and len(summary.split()) >= 5 and len(text) >= 200:
                found[name] = summary, text
                seen |= {summary, text}
    if len(found) < count:
        raise HarnessError(
            f"{', '.join(packages)} have {len(found)} usable docstrings, expected {count}: install the versions in "
            "requirements.lock."
        )
    return {name: found[name] for name in sorted(found, key=lambda name: sha256(name.encode()).digest())[:count]}


def _documented(package: str) -> Iterator[tuple[str, str, str]]:
    """(qualified name, summary, rest of the docstring) of a package's public functions and classes."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise HarnessError(
            f"the package '{package}' is not installed, whose docstrings are part of the demo corpus: install it."
        )
    root = Path(found.submodule_search_locations[0])
    for path in sorted(root.rglob("*.py")):
        module = path.relative_to(root.parent).with_suffix("")
        if any(part.startswith("test") for part in module.parts):
            continue
        for node in _statements(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                summary, _, rest = (ast.get_docstring(node) or "").partition("\n\n")
                yield ".".join([*module.parts, node.name]), " ".join(summary.split()), " ".join(rest.split())


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """A file's statements in the order of `ast.walk`, without expressions: most nodes, and no definition in them."""
    waiting: deque[ast.AST] = deque([tree])
    while waiting:
        node = waiting.popleft()
        waiting.extend(child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.expr))
        yield node


def _masked(text: str, name: str) -> str:
    """`text` with the last part of `name` masked, wherever it is a word, in lower or upper case."""
    return re.sub(rf"\b{re.escape(name.rsplit('.', 1)[-1])}\b", MASK, text, flags=re.IGNORECASE)
