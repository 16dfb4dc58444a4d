"""Edits of a record's file."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from edits import one_of

ODD: tuple[Any, ...] = (
    *(None, 0, 1, -1, 2, 0.5, 1.5, -0.1, 1e300, 10**18, True, "", "wing", "0.5", "a\nb", "\ud83d", "<b>", "|", "../x"),
    *([], ["wing"], [0.5], [[]], {}, {"5": 0.5}, {"final": 0.5}, {"wing": "flow"}, "x" * 300, "é"),
)


@dataclass
class RecordFile:
    """A record that is being edited.

    Attributes
    ----------
    sealed : whether its checksum is kept as it was, so that any change of its content must be refused
    """

    path: Path
    root: Path
    names: set[str] = field(default_factory=set)
    sealed: bool = True

    def content(self) -> Any:
        return json.loads(self.path.read_text(encoding="utf-8"))

    def write(self, value: Any, rng: np.random.Generator) -> str:
        """Write it with the old checksum, a new one, or none."""
        seal = one_of(rng, ("old", "new", "no", "no"))
        if isinstance(value, dict) and "crc32" not in value:  # the edit has dropped it: as early versions wrote records
            self.sealed = False
        if seal != "old" and isinstance(value, dict):
            value.pop("crc32", None)
            self.sealed = False
            if seal == "new":
                value["crc32"] = zlib.crc32(json.dumps(value).encode())
        self.path.write_text(json.dumps(value), encoding="utf-8")
        return f"{seal} checksum"


RecordEdit = Callable[[RecordFile, np.random.Generator], str]


def _place(value: Any, rng: np.random.Generator, depth: int = 0) -> tuple[Any, Any, str]:
    """A random container inside a value, a key of it, and the path to it."""
    key = one_of(rng, list(value) if isinstance(value, dict) else list(range(len(value))))
    inner = value[key]
    if isinstance(inner, (dict, list)) and inner and rng.random() < 0.6:
        found, last, path = _place(inner, rng, depth + 1)
        return found, last, f"{key}.{path}"
    return value, key, str(key)


def odd_value(record: RecordFile, rng: np.random.Generator) -> str:
    content = record.content()
    found, key, path = _place(content, rng)
    kind, value = one_of(rng, ("dropped", "retyped", "retyped", "retyped")), one_of(rng, ODD)
    if kind == "dropped":
        del found[key]
    else:
        found[key] = value
    how = record.write(content, rng)
    return f"{path} {kind}{f' to {value!r:.60}' if kind == 'retyped' else ''}, {how}"


def odd_names(record: RecordFile, rng: np.random.Generator) -> str:
    content = record.content()
    key = one_of(rng, ("dataset", "model", "center", "method", "format"))
    content[key] = one_of(rng, (*ODD, "smve", "plaid", "none", "corpus", "nosuch", "smve+keep=5", "+", "a+b", 3, 1))
    how = record.write(content, rng)
    return f"{key} is {content[key]!r:.60}, {how}"


def more_values(record: RecordFile, rng: np.random.Generator) -> str:
    content = record.content()
    found, _, path = _place(content, rng)
    if isinstance(found, dict):
        found[one_of(rng, ("wing", "", "final", "7", "crc", "é|<b>", "_target_"))] = one_of(rng, ODD)
    else:
        found.append(one_of(rng, ODD))
    return f"more in the container of {path}, {record.write(content, rng)}"


def damage(record: RecordFile, rng: np.random.Generator) -> str:
    content = bytearray(record.path.read_bytes())
    place = int(rng.integers(len(content)))
    kind = one_of(rng, ("cut off", "flipped", "flipped", "flipped", "empty", "BOM", "UTF-16", "array", "NaN", "deep"))
    if kind == "cut off":
        content = content[:place]
    elif kind == "flipped":
        content[place] ^= 1 << int(rng.integers(8))
    elif kind == "NaN":
        content = content.replace(b"0.", b"NaN, 0.", 1)
    else:
        content = bytearray(
            {
                "empty": b"",
                "BOM": b"\xef\xbb\xbf" + content,
                "UTF-16": content.decode().encode("utf-16"),
                "array": b"[" + content + b"]",
                "deep": b"[" * 100_000,
            }[kind]
        )
    record.path.write_bytes(content)
    return f"{kind} at {place}"


def move(record: RecordFile, rng: np.random.Generator) -> str:
    """The file under another name, or twice."""
    kind, folder = one_of(rng, ("another name", "twice", "another folder", "a folder", "missing")), record.path.parent
    if kind in ("another name", "another folder"):
        to = folder / "smve+keep=5.json" if kind == "another name" else folder.parent / "own" / record.path.name
        to.parent.mkdir(exist_ok=True)
        record.path.rename(to)
        record.names.add(to.name)
    elif kind == "twice":
        (folder / "muvera+bits=3.json").write_bytes(record.path.read_bytes())
        record.names.add("muvera+bits=3.json")
    else:
        record.path.unlink()
        if kind == "a folder":
            record.path.mkdir()
    return kind


def extra(record: RecordFile, rng: np.random.Generator) -> str:
    """Another file or folder among the records."""
    folder = one_of(rng, list(record.path.parents)[:4])
    name = one_of(rng, ("notes.txt", ".DS_Store", "wing", "x.json", ".x.json.0.tmp", "smve.json.bak", "ä b.json"))
    path = folder / name
    if rng.random() < 0.2:
        path.mkdir(exist_ok=True)
    else:
        path.write_bytes(one_of(rng, (b"", b"{}", b"\xff")))
    record.names.add(name)
    return f"{path.relative_to(record.root)} added"


EDITS: tuple[RecordEdit, ...] = (odd_value, odd_value, odd_value, odd_names, more_values, damage, damage, move, extra)
