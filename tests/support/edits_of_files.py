"""Edits of a data set's files: encodings, line ends, layouts, damage, files that are missing or too many."""

from __future__ import annotations

import gzip
import json
import re
import shutil

import numpy as np
from edits import HEADER, DataEdit, Folder, one_of

FILES = ("corpus", "queries", "judgements")
NEUTRAL = ("BOM", "CRLF", "blank lines", "no last newline", "TREC", "TREC with blanks")
"""Changes of the layout that must be read (docs/inputs.md)."""


def encoding(folder: Folder, rng: np.random.Generator) -> str:
    name = one_of(rng, FILES)
    kind = one_of(
        rng, ("BOM", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252", "utf-32", "utf-8 twice", "utf-7")
    )
    path = folder.file(name)
    text = path.read_bytes().decode("utf-8", "surrogatepass")
    if kind == "BOM":
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    elif kind == "utf-8 twice":  # é is written as two letters, as by a program that took UTF-8 for Latin-1
        path.write_bytes(text.encode("utf-8", "replace").decode("latin-1").encode())
        folder.by_bytes = True
    else:
        path.write_bytes(text.encode(kind, "replace"))
        folder.by_bytes = kind in ("latin-1", "cp1252", "utf-7")  # letters may be lost
    folder.is_read &= kind == "BOM"
    return f"{name}: encoded as {kind}"


def layout(folder: Folder, rng: np.random.Generator) -> str:
    """Line ends and the layout of lines; what is meant stays."""
    name = one_of(rng, FILES)
    path = folder.file(name)
    content = path.read_bytes().decode("utf-8", "surrogatepass")
    lines = content.split("\n")[:-1]
    changes = {
        "CRLF": lambda: content.replace("\n", "\r\n"),
        "CR": lambda: content.replace("\n", "\r"),
        "blank lines": lambda: content.replace("\n", one_of(rng, ("\n\n", "\n  \n", "\n\t\n", "\n\r\n"))),
        "no last newline": lambda: content[:-1],
        "U+2028 for newlines": lambda: content.replace("\n", "\u2028"),
    }
    if name == "judgements":
        grades = [re.split(r"\t", line) for line in lines]
        rows = [row for row in (grades[1:] if folder.header else grades) if len(row) == 3]
        changes |= {
            "TREC": lambda: "".join(f"{q}\t0\t{d}\t{g}\n" for q, d, g in rows),
            "TREC with blanks": lambda: "".join(f"{q} 0 {d}  {g}\n" for q, d, g in rows),
            "TREC with a header": lambda: "".join(f"{q}\t0\t{d}\t{g}\n" for q, d, g in [HEADER, *rows]),
            "blanks for tabs": lambda: content.replace("\t", " "),
            "commas for tabs": lambda: content.replace("\t", ","),
            "two tabs": lambda: content.replace("\t", "\t\t"),
            "a tab at the end": lambda: content.replace("\n", "\t\n"),
            "quotes": lambda: "".join("\t".join(f'"{field}"' for field in row) + "\n" for row in grades),
            "columns exchanged": lambda: "".join(f"{d}\t{q}\t{g}\n" for q, d, g in rows),
            "header twice": lambda: f"{lines[0]}\n{content}",
            "comments": lambda: "# judged by hand\n" + content,
        }
    else:
        values = [json.loads(line) for line in lines]
        changes |= {
            "commas after objects": lambda: content.replace("\n", ",\n"),
            "an array": lambda: json.dumps(values),
            "an array on lines": lambda: "[\n" + ",\n".join(lines) + "\n]\n",
            "pretty objects": lambda: "".join(json.dumps(value, indent=1) + "\n" for value in values),
            "two on a line": lambda: content.replace("\n", " ", 1),
            "blanks around": lambda: "".join(f"  {line} \t\n" for line in lines),
            "escaped": lambda: "".join(json.dumps(value, ensure_ascii=True) + "\n" for value in values),
            "single quotes": lambda: "".join(f"{value!r}\n" for value in values),
            "an object by id": lambda: json.dumps({str(i): value for i, value in enumerate(values)}),
            "a field twice": lambda: content.replace('"text":', '"text": "nose cone", "text":'),
            "comments": lambda: "// texts\n" + content,
        }
    kind = one_of(rng, list(changes))
    path.write_bytes(changes[kind]().encode("utf-8", "surrogatepass"))
    folder.is_read &= kind in (*NEUTRAL, "blanks around", "escaped")
    if kind.startswith("TREC with blanks") and any(re.search(r"\s", field) for row in folder.rows for field in row):
        folder.by_bytes, folder.is_read = True, False
    if kind in ("a field twice", "columns exchanged", "quotes"):
        folder.by_bytes = True
    folder.names |= {"queries.jsonl", "corpus.jsonl"} if kind in ("columns exchanged", "quotes") else set()
    return f"{name}: {kind}"


def truncate(folder: Folder, rng: np.random.Generator) -> str:
    name = one_of(rng, FILES)
    path = folder.file(name)
    content = path.read_bytes()
    length = int(rng.integers(0, len(content) + 1))
    path.write_bytes(content[:length])
    folder.by_bytes, folder.is_read = True, False
    folder.names |= {"test.tsv", "queries.jsonl", "corpus.jsonl"}
    return f"{name}: cut off after {length} of {len(content)} bytes"


def flip(folder: Folder, rng: np.random.Generator) -> str:
    name = one_of(rng, FILES)
    path = folder.file(name)
    content = bytearray(path.read_bytes())
    if not content:
        return "nothing"
    place, to = int(rng.integers(len(content))), int(rng.integers(256))
    before, content[place] = content[place], to
    path.write_bytes(content)
    folder.by_bytes, folder.is_read = True, False
    folder.names |= {"test.tsv", "queries.jsonl", "corpus.jsonl"}
    return f"{name}: byte {place} is {bytes([to])!r}, was {bytes([before])!r}"


def pack(folder: Folder, rng: np.random.Generator) -> str:
    """gzip: the corpus under its own name or with .gz, whole or cut off."""
    name = one_of(rng, ("corpus", "corpus", "corpus", "queries", "judgements"))
    path = folder.file(name)
    packed, kind = gzip.compress(path.read_bytes()), one_of(rng, ("whole", "cut off", "damaged", "two members"))
    if kind == "cut off":
        packed = packed[: int(rng.integers(len(packed)))]
    elif kind == "damaged":
        place = int(rng.integers(len(packed)))
        packed = packed[:place] + bytes([packed[place] ^ 1]) + packed[place + 1 :]
    elif kind == "two members":
        half = path.read_bytes().find(b"\n", len(packed)) + 1
        packed = gzip.compress(path.read_bytes()[:half]) + gzip.compress(path.read_bytes()[half:])
    to = one_of(rng, (path.with_name(path.name + ".gz"), path))
    path.unlink()
    to.write_bytes(packed)
    folder.is_read &= kind in ("whole", "two members") and name == "corpus" and to != path
    folder.by_bytes |= kind in ("cut off", "damaged") and name == "corpus" and to != path
    return f"{name}: gzip, {kind}, as {to.name}"


def lose(folder: Folder, rng: np.random.Generator) -> str:
    """A file or folder that is missing, empty, a folder, or a link to nowhere."""
    name, kind = one_of(rng, FILES), one_of(rng, ("missing", "empty", "a folder", "a link to nowhere", "blank"))
    path = folder.file(name)
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "blank":
        path.write_bytes(b"\n\n \n")
    else:
        path.unlink()
        if kind == "a folder":
            path.mkdir()
        elif kind == "a link to nowhere":
            path.symlink_to(folder.path / "nowhere")
    folder.wrong, folder.is_read = f"{name} is {kind}", False
    folder.names.add("test.tsv")
    return f"{name}: {kind}"


def lose_folder(folder: Folder, rng: np.random.Generator) -> str:
    kind = one_of(rng, ("the folder is missing", "the folder is a file", "no qrels", "qrels is a file"))
    place = folder.path if "folder" in kind else folder.path / "qrels"
    shutil.rmtree(place)
    if "a file" in kind:
        place.write_bytes(b"wing\n")
    folder.wrong, folder.is_read = kind, False
    folder.names |= {folder.path.name, "test.tsv"}
    return kind


def add_file(folder: Folder, rng: np.random.Generator) -> str:
    """Files beside those that are read."""
    names = ("corpus.jsonl.gz", "corpus.jsonl~", ".corpus.jsonl.swp", "corpus.json", "qrels/train.tsv", "qrels/dev.tsv")
    name, kind = (
        one_of(rng, (*names, "qrels/test.tsv.bak", "queries.jsonl.gz")),
        one_of(rng, ("junk", "a copy", "empty")),
    )
    source = folder.path / ("qrels/test.tsv" if name.startswith("qrels") else name.replace(".gz", "").strip("~."))
    content = {"junk": bytes(rng.integers(0, 256, 200, dtype=np.uint8)), "empty": b""}.get(kind, b"")
    if kind == "a copy" and source.exists():
        content = source.read_bytes()
    (folder.path / name).write_bytes(content)
    folder.names.add(name.rpartition("/")[2])
    folder.is_read &= kind == "a copy" or name not in ("qrels/train.tsv", "qrels/dev.tsv")
    return f"{name} beside the others: {kind}"


EDITS: tuple[DataEdit, ...] = (
    *(encoding, encoding, layout, layout, layout, layout, truncate, truncate, flip, flip, flip, flip, pack, lose),
    *(lose_folder, add_file),
)
