"""Edits of a data set's objects, which know what they mean: fields, texts, ids."""

from __future__ import annotations

from typing import Any

import numpy as np
from edits import DataEdit, Folder, one_of
from oddities import ODD_IDS, ODD_TEXTS, ODD_VALUES


def _entry(folder: Folder, rng: np.random.Generator) -> tuple[str, int, dict[str, Any]]:
    """A random object: its file, its place, itself."""
    name = one_of(rng, ("corpus", "corpus", "queries"))
    objects = getattr(folder, name)
    folder.file(name)
    folder.names.add("test.tsv")  # a query that is lost is said of both files
    place = int(rng.integers(len(objects)))
    return name, place, objects[place]


def drop_field(folder: Folder, rng: np.random.Generator) -> str:
    name, place, one = _entry(folder, rng)
    if not one:
        return "nothing"
    field = one_of(rng, list(one))
    everywhere = rng.random() < 0.3
    for other in getattr(folder, name) if everywhere else [one]:
        other.pop(field, None)
    folder.is_read &= field == "title"
    return f"{name}: {field} dropped from {'all objects' if everywhere else f'object {place}'}"


def rename_field(folder: Folder, rng: np.random.Generator) -> str:
    name, place, one = _entry(folder, rng)
    if not one:
        return "nothing"
    field = one_of(rng, list(one))
    to = one_of(rng, ("id", "_ID", "Text", "contents", "body", "title", "text", "_id", "doc_id", "text ", "", "téxt"))
    everywhere = rng.random() < 0.5
    for other in getattr(folder, name) if everywhere else [one]:
        if field in other:
            other[to] = other.pop(field)
    folder.is_read = False
    return f"{name}: {field} renamed to {to!r} in {'all objects' if everywhere else f'object {place}'}"


def retype_field(folder: Folder, rng: np.random.Generator) -> str:
    name, place, one = _entry(folder, rng)
    field, value = one_of(rng, ("_id", "title", "text")), one_of(rng, ODD_VALUES)
    one[field] = value
    folder.is_read = False
    return f"{name}: {field} of object {place} is {value!r}"


def add_field(folder: Folder, rng: np.random.Generator) -> str:
    name, place, one = _entry(folder, rng)
    field, value = one_of(rng, ("metadata", "url", "Title", "id", "", "__proto__")), one_of(rng, ODD_VALUES)
    one[field] = value
    return f"{name}: {field!r} added to object {place}: {value!r}"


def entitle_queries(folder: Folder, rng: np.random.Generator) -> str:
    """A query's text is its text alone, as BEIR reads it."""
    title, everywhere = one_of(rng, ("beam load skin", "nose")), rng.random() < 0.5
    place = int(rng.integers(len(folder.queries)))
    for one in folder.queries if everywhere else [folder.queries[place]]:
        one["title"] = title
    folder.file("queries")
    folder.is_read = False
    return f"queries: the title {title!r} of {'all objects' if everywhere else f'object {place}'}"


def replace_object(folder: Folder, rng: np.random.Generator) -> str:
    name, place, _ = _entry(folder, rng)
    value = one_of(rng, (None, 5, "wing", [], ["wing"], {}, True, [{"_id": "d1", "text": "wing"}]))
    getattr(folder, name)[place] = value
    folder.is_read = False
    return f"{name}: object {place} is {value!r}"


def empty_texts(folder: Folder, rng: np.random.Generator) -> str:
    name, share = one_of(rng, ("corpus", "corpus", "queries")), one_of(rng, (0.05, 0.3, 1.0))
    folder.file(name)
    value = one_of(rng, ("", None, " ", "\t\n", "\u3000"))
    for one in getattr(folder, name):
        if rng.random() < share:
            one |= {"text": value} if rng.random() < 0.5 else {field: value for field in one if field != "_id"}
    folder.is_read = False
    return f"{name}: about {share:.0%} of the texts are {value!r}"


def odd_text(folder: Folder, rng: np.random.Generator) -> str:
    name, place, one = _entry(folder, rng)
    text, field = one_of(rng, ODD_TEXTS), one_of(rng, ("text", "text", "title") if name == "corpus" else ("text",))
    one[field] = text if rng.random() < 0.5 else f"{one.get(field)} {text}"
    return f"{name}: {field} of object {place} is or has {text[:40]!r}"


def rename_id(folder: Folder, rng: np.random.Generator) -> str:
    """A new id for an object, everywhere or in its own file alone."""
    name, place, one = _entry(folder, rng)
    old, new, everywhere = one.get("_id"), one_of(rng, ODD_IDS), rng.random() < 0.6
    one["_id"] = new
    if everywhere:
        column = 1 if name == "corpus" else 0
        for row in folder.rows:
            row[column] = str(new) if row[column] == str(old) else row[column]
    is_plain = isinstance(new, int) and not isinstance(new, bool)
    folder.is_read &= everywhere and (is_plain or (isinstance(new, str) and new.isalnum()))
    if everywhere and isinstance(new, str) and any(letter in new for letter in "\t\n\r\0"):
        folder.wrong = "an id that breaks the lines of the judgements"
    return f"{name}: the id {old!r} is {new!r:.60}{', also in the judgements' if everywhere else ''}"


def repeat_object(folder: Folder, rng: np.random.Generator) -> str:
    name, place, one = _entry(folder, rng)
    again = dict(one) if rng.random() < 0.4 else {**one, "text": "nose cone"}
    getattr(folder, name).insert(int(rng.integers(len(getattr(folder, name)) + 1)), again)
    folder.is_read = False
    return f"{name}: object {place} stands there twice, {'alike' if again == one else 'with another text'}"


def copy_text(folder: Folder, rng: np.random.Generator) -> str:
    """Documents of equal texts, which tie."""
    ones = [one for one in folder.corpus if isinstance(one, dict)]
    source, count = one_of(rng, ones), one_of(rng, (1, 5, 20))
    for one in (one_of(rng, ones) for _ in range(count)):
        one |= {field: source[field] for field in ("title", "text") if field in source}
    folder.file("corpus")
    return f"corpus: {count} times, a text is that of {source.get('_id')!r:.60}"


def share_ids(folder: Folder, rng: np.random.Generator) -> str:
    """Queries that have the ids of documents."""
    for one in folder.queries[: int(rng.integers(1, 6))]:
        new = f"d{int(rng.integers(24))}"
        if new not in {other.get("_id") for other in folder.queries}:
            for row in folder.rows:
                row[0] = new if row[0] == one.get("_id") else row[0]
            one["_id"] = new
    return "queries have the ids of documents"


def remove_objects(folder: Folder, rng: np.random.Generator) -> str:
    name, share = one_of(rng, ("corpus", "queries")), one_of(rng, (0.1, 0.6, 0.95, 1.0))
    folder.file(name), folder.file("judgements")
    kept = [one for one in getattr(folder, name) if rng.random() >= share]
    setattr(folder, name, kept)
    folder.is_read = False
    return f"{name}: all but {len(kept)} objects removed"


def shuffle(folder: Folder, rng: np.random.Generator) -> str:
    for values in (folder.corpus, folder.queries, folder.rows):
        values[:] = [values[i] for i in rng.permutation(len(values))]
    return "objects and judgements in another order"


EDITS: tuple[DataEdit, ...] = (
    *(
        drop_field,
        rename_field,
        rename_field,
        retype_field,
        retype_field,
        add_field,
        entitle_queries,
        replace_object,
        empty_texts,
    ),
    *(odd_text, odd_text, odd_text, rename_id, rename_id, rename_id, repeat_object, copy_text, share_ids),
    *(remove_objects, shuffle),
)
