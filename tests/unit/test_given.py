"""Given token vectors: what is checked, the store that they become, and how much memory that takes."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
from tiny import unit
from vectors_folder import read_side, write_side

from harness.config import shards
from harness.config.shards import Shard
from harness.data.dataset import Dataset
from harness.system.errors import HarnessError
from harness.vectors import given as given_vectors
from harness.vectors.arrays import TokenArrays
from harness.vectors.given import GivenVectors

LENGTHS = {"b": 3, "a": 5, "c": 0}
DATASET = Dataset("x", {"c": "", "b": "", "a": ""}, {"q": ""}, {"q": {"a": 1}})


@pytest.fixture
def folder(tmp_path, rng):
    """Three documents in no order, one of them empty; an evaluated query and another one, four tokens each."""
    write_side(tmp_path / "v" / "documents", {name: unit(rng, n, 8) for name, n in LENGTHS.items()})
    queries = {name: unit(rng, 4, 8) for name in ("other", "q")}
    expansion = np.array([0, 0, 1, 1, 0, 0, 0, 1], dtype=bool)
    write_side(tmp_path / "v" / "queries", queries, "<f4", expansion=expansion)
    return tmp_path / "v"


def opened(folder):
    return GivenVectors.open(folder, "mine", folder.parent / "cache")


def test_the_store_has_the_order_of_the_data_set(folder):
    given, texts = opened(folder), read_side(folder / "documents")
    given.refuse(DATASET)
    store = given.encode(DATASET.docs, "x", False)
    assert store.lengths.tolist() == [0, 3, 5] and store.path.name.startswith("mine-x-documents-")
    for row, name in enumerate(DATASET.docs):
        np.testing.assert_array_equal(store[row], texts[name].astype(np.float32))
    assert given.is_encoded(DATASET.docs, "x") and not given.is_encoded({"a": ""}, "x")


def test_float32_is_rounded_to_float16_and_nothing_else(folder):
    texts = read_side(folder / "queries")
    store = opened(folder).encode(DATASET.queries, "x", True)
    assert texts["q"].dtype == np.float32
    np.testing.assert_array_equal(store[0], texts["q"].astype(np.float16).astype(np.float32))


def test_a_shard_is_a_part_of_the_documents(folder, monkeypatch):
    for module in (shards, given_vectors):
        monkeypatch.setattr(module, "CHUNK", 2)
    parts = [opened(folder).encode(DATASET.docs, "x", False, Shard(number, 2)) for number in (1, 2)]
    whole = opened(folder).encode(DATASET.docs, "x", False)
    assert [len(part) for part in parts] == [2, 1] and len({store.path for store in (*parts, whole)}) == 3
    for row, tokens in enumerate([parts[0][0], parts[0][1], parts[1][0]]):
        np.testing.assert_array_equal(tokens, whole[row])


def test_other_numbers_are_other_vectors(folder):
    before = opened(folder).inputs
    assert opened(folder).inputs == before
    texts = read_side(folder / "documents")
    texts["a"] = texts["a"][:, ::-1]
    write_side(folder / "documents", texts)
    assert opened(folder).inputs != before


def test_masks_choose_the_tokens_that_a_first_stage_sees(folder):
    given, texts = opened(folder), read_side(folder / "queries")
    store = given.encode(DATASET.queries, "x", True)
    seen = given.part_of(store, DATASET.queries, "real")
    np.testing.assert_array_equal(seen[0], texts["q"][:3].astype(np.float16).astype(np.float32))
    with pytest.raises(HarnessError, match=r"query_tokens=words needs .*/special\.npy"):
        given.part_of(store, DATASET.queries, "words")
    np.save(folder / "queries" / "special.npy", np.array([0, 0, 0, 0, 1, 0, 1, 0], dtype=bool))
    words = opened(folder).part_of(store, DATASET.queries, "words")
    np.testing.assert_array_equal(words[0], store[0][1:2])


def test_without_a_mask_all_tokens_are_real(folder):
    (folder / "queries" / "expansion.npy").unlink()
    given = opened(folder)
    store = given.encode(DATASET.queries, "x", True)
    assert given.part_of(store, DATASET.queries, "real") is store


def test_vectors_that_are_not_of_unit_length_are_noted(folder):
    texts = {name: 3 * text for name, text in read_side(folder / "documents").items()}
    write_side(folder / "documents", texts)
    given = opened(folder)
    docs, queries = given.encode(DATASET.docs, "x", False), given.encode(DATASET.queries, "x", True)
    (line,) = given.notes_on(docs, queries, DATASET)
    assert line.startswith(
        "the token vectors of the documents have lengths from 3.00 to 3.00; PLAID takes them as unit"
    )


def save(name, change):
    """Change an array of a side and save it."""

    def apply(side):
        np.save(side / name, change(np.load(side / name)))

    return apply


def write(name, content):
    return lambda side: (side / name).write_text(content)


BAD = {
    "no file": (lambda side: (side / "tokens.npy").unlink(), r"documents/tokens\.npy does not exist, expected tokens"),
    "no ids": (lambda side: (side / "ids.json").unlink(), r"ids\.json does not exist, expected a list of ids"),
    "float64": (save("tokens.npy", lambda a: a.astype(float)), r"tokens\.npy is float64 \[8, 8\], expected float16 or"),
    "three axes": (save("tokens.npy", lambda a: a[None]), r"tokens\.npy is float16 \[1, 8, 8\], expected float16 or"),
    "objects": (save("lengths.npy", lambda a: a.astype(object)), r"lengths\.npy cannot be read \("),
    "text": (write("tokens.npy", "no array"), r"tokens\.npy cannot be read \("),
    "cut off": (save("tokens.npy", lambda a: a[:-1]), r"adds up to 8 tokens and tokens\.npy has 7: they belong to"),
    "negative": (save("lengths.npy", lambda a: a - 4), r"lengths\.npy is int64 \[3\], expected whole numbers from 0"),
    "a text less": (save("lengths.npy", lambda a: a[:2]), r"ids\.json has 3 ids and lengths\.npy 2 numbers"),
    "twice": (write("ids.json", '["a", "b", "a"]'), r"ids\.json has the id 'a' 2 times, expected each once"),
    "no list": (write("ids.json", '{"a": 1}'), r"ids\.json has dict, expected a list of ids"),
    "null": (write("ids.json", '["a", null, "b"]'), r"ids\.json has NoneType, str, expected a list of ids"),
    "half": (write("ids.json", '["a", "b'), r"ids\.json cannot be read \("),
    "a mask": (lambda side: np.save(side / "special.npy", np.ones(3)), r"special\.npy is float64 \[3\], expected bool"),
    "an archive": (lambda side: np.savez(open(side / "tokens.npy", "wb"), a=1), r"tokens\.npy is an archive"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_file_is_a_sentence(folder, what):
    damage, expected = BAD[what]
    damage(folder / "documents")
    with pytest.raises(HarnessError, match=expected):
        opened(folder)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e5])
def test_numbers_that_cannot_be_kept_are_refused_by_id(folder, value):
    texts = read_side(folder / "queries")
    texts["q"][1, 2] = value
    write_side(folder / "queries", texts, "<f4")
    with pytest.raises(HarnessError, match=r"queries/tokens\.npy has NaN, infinite numbers or numbers above 65,504"):
        opened(folder).encode(DATASET.queries, "x", True)


@pytest.mark.parametrize("factor", [1e-4, 5e3])
def test_vectors_that_float16_cannot_hold_are_refused(folder, factor):
    texts = {name: factor * text for name, text in read_side(folder / "queries").items()}
    write_side(folder / "queries", texts, "<f4")
    with pytest.raises(HarnessError, match="expected 0.01 to 1000, which float16 can hold: scale all by one factor"):
        opened(folder).encode(DATASET.queries, "x", True)


def test_both_sides_have_one_dimension(folder):
    write_side(folder / "queries", {"q": np.ones((2, 4))})
    with pytest.raises(HarnessError, match=r"documents has token vectors of dimension 8, .*queries of 4"):
        opened(folder)


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        (
            Dataset("y", {"a": "", "z": ""}, {"q": ""}, {}),
            "lacks 1 of the 2 documents of y, such as 'z': is it another",
        ),
        (Dataset("y", {"a": "", "b": ""}, {"q": ""}, {}), "has 1 documents that y has not, such as 'c': is it another"),
        (Dataset("y", DATASET.docs, {"z": ""}, {}), "lacks 1 of the 1 evaluated queries of y, such as 'z'"),
    ],
)
def test_another_data_set_is_refused(folder, dataset, expected):
    with pytest.raises(HarnessError, match=expected):
        opened(folder).refuse(dataset)


def test_a_query_without_token_vectors_is_refused(folder):
    write_side(folder / "queries", {"q": np.ones((0, 8)), "p": np.ones((1, 8))})
    with pytest.raises(HarnessError, match="no token vectors of the query 'q', expected at least one"):
        opened(folder).refuse(DATASET)


def test_ids_may_be_numbers(folder):
    (folder / "documents" / "ids.json").write_text(json.dumps([1, 2, "c"]))
    assert opened(folder).documents.ids == ["1", "2", "c"]


def test_a_large_file_is_never_in_memory_as_a_whole(tmp_path):
    texts, tokens, dim = 16_384, 16, 32
    side = tmp_path / "v" / "documents"
    side.mkdir(parents=True)
    np.save(side / "tokens.npy", np.full((texts * tokens, dim), dim**-0.5, dtype=np.float32))
    np.save(side / "lengths.npy", np.full(texts, tokens))
    ids = [f"d{i}" for i in range(texts)]
    (side / "ids.json").write_text(json.dumps(ids))
    write_side(tmp_path / "v" / "queries", {"q": np.ones((1, dim))})
    size, docs = texts * tokens * dim * 4, dict.fromkeys(ids, "")
    tracemalloc.start()
    given = opened(tmp_path / "v")
    assert isinstance(given.documents.tokens, np.memmap) and len(given.inputs["vectors"]) == 64
    store = given.encode(docs, "x", False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(store) == texts and peak < size / 2


def test_arrays_in_memory_are_hashed_by_their_content():
    def made(value, names=("a", "b")):
        return TokenArrays("here", list(names), np.full((3, 2), value, np.float32), np.array([1, 2]))

    assert made(1.0).sha256 == made(1.0).sha256
    assert len({made(1.0).sha256, made(2.0).sha256, made(1.0, ("b", "a")).sha256}) == 3
