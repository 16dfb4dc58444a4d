"""The texts of a data set: one JSON object per line, {"_id": "d1", "title": "...", "text": "..."}.

A document's text is "title text", stripped. A query's text is its `text` alone. Other fields are not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.data import lines
from harness.system import strict_json
from harness.system.errors import HarnessError

_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_KINDS = {bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
OBJECT = '{"_id": "...", "text": "..."}'


@dataclass(frozen=True)
class Texts:
    """What a file of texts has.

    Attributes
    ----------
    texts : id -> text, in the order of the file
    fields : names of the fields of the first object, for messages
    replaced : number of texts in which half characters were replaced, and the line of the first
    """

    texts: dict[str, str]
    fields: list[str]
    replaced: tuple[int, int]


def read(path: Path, fields: Sequence[str]) -> Texts:
    """The texts of a file by their ids.

    Half of a surrogate pair, which is no character, is replaced by U+FFFD.

    Parameters
    ----------
    fields
        The names of the fields that make up a text, with a blank between.

    Raises
    ------
    HarnessError
        If the file cannot be read, or has a line that is not as described above.
    """
    texts: dict[str, str] = {}
    seen: list[str] = []
    replaced, first = 0, 0
    for number, line in lines.read(path):
        entry = _object(path, number, line)
        seen = seen or list(entry)
        name = _id(path, number, entry)
        if name in texts:
            found = f"the _id {lines.shown(name)} stands here for the second time"
            raise lines.wrong(path, number, found, "each _id once", "delete one of the two objects")
        text = " ".join(_text(path, number, entry, field) for field in fields).strip()
        if "\\u" in line and _SURROGATE.search(text):  # only an escape can make half a character
            text, replaced, first = _SURROGATE.sub("\ufffd", text), replaced + 1, first or number
        texts[name] = text
    return Texts(texts, seen, (replaced, first))


def _object(path: Path, number: int, line: str) -> dict[str, Any]:
    """The JSON object of a line."""
    expected, text = f"one object per line, such as {OBJECT}", line.strip()
    try:
        found = strict_json.loads(text)
    except json.JSONDecodeError as error:
        if text.startswith("["):
            raise _array(path, number, expected) from error
        if error.msg == "Extra data":
            rest = text[error.pos :].strip()
            what = "a comma after the object" if rest == "," else f"{lines.shown(rest)} after the object"
            raise lines.wrong(path, number, what, expected, "write nothing else on its line") from error
        if error.pos >= len(text) or error.msg.startswith("Unterminated"):
            action = "write the whole object on one line, or fetch the file again if it is cut off"
            raise lines.wrong(path, number, "an object that does not end on this line", expected, action) from error
        what = f"no JSON ({error.msg} at character {error.pos + 1})"
        raise lines.wrong(path, number, what, expected, "correct the line") from error
    except RecursionError as error:
        raise lines.wrong(path, number, "an object nested too deeply", expected, "correct the line") from error
    except ValueError as error:  # a field twice; a number of too many digits
        raise lines.wrong(path, number, lines.shown(str(error)).strip("'\""), expected, "correct the line") from error
    if isinstance(found, list):
        raise _array(path, number, expected)
    if not isinstance(found, dict):
        raise lines.wrong(path, number, f"{lines.shown(found)}", expected, "write an object")
    return found


def _array(path: Path, number: int, expected: str) -> HarnessError:
    return lines.wrong(path, number, "a JSON array", expected, "write each object of it on its own line (jq -c '.[]')")


def _id(path: Path, number: int, entry: dict[str, Any]) -> str:
    """The id as text. Tabs and line breaks are refused: they would break the lines of judgements and run files."""
    if "_id" not in entry:
        has = ", ".join(map(lines.shown, entry)) or "no field"
        raise lines.wrong(path, number, f"an object with {has}", "the field '_id'", "rename or add the field")
    found = entry["_id"]
    if isinstance(found, bool) or not isinstance(found, (str, int)):
        raise lines.wrong(path, number, f"the _id {lines.shown(found)}", "a text", "write it in quotes")
    if found == "" or _CONTROL.search(str(found)) or _SURROGATE.search(str(found)):
        expected = "a text without tabs, line breaks, other control characters and halves of characters"
        raise lines.wrong(path, number, f"the _id {lines.shown(found)}", expected, "rename it, also in the judgements")
    return str(found)


def _text(path: Path, number: int, entry: dict[str, Any], field: str) -> str:
    """A field's text; none if the field is missing or null."""
    found = entry.get(field)
    if found is None:
        return ""
    if not isinstance(found, str):
        what = f"the {field} is {_KINDS[type(found)]}, {lines.shown(found)}"
        raise lines.wrong(path, number, what, "a text in quotes", "write it as a text")
    return found
