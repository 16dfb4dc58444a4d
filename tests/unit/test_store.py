"""TokenStore: what is written is what is read; nothing half-written or damaged is believed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from harness.system.errors import HarnessError
from harness.vectors.build import JOURNAL, PARTS, build_store, fill
from harness.vectors.store import LENGTHS, META, TOKENS, open_store

IDENTITY = {"weights": "w"}


def rows(texts):
    """An encoder over fixed arrays that counts its calls."""
    calls = []

    def encode(start, stop):
        calls.append((start, stop))
        return texts[start:stop]

    return encode, calls


def interrupt(path, texts):
    """Build a store in chunks of four, and stop before row 12."""

    def encode(start, stop):
        if start == 12:
            raise KeyboardInterrupt
        return texts[start:stop]

    with pytest.raises(KeyboardInterrupt):
        build_store(path, names(texts), encode, IDENTITY, chunk=4)


def names(texts):
    return [f"t{i}" for i in range(len(texts))]


def test_rows_come_back_as_float16(tmp_path, ragged):
    store = build_store(tmp_path / "s", names(ragged), rows(ragged)[0], IDENTITY, chunk=5)
    assert len(store) == len(ragged) and store.dim == 8
    for row, text in enumerate(ragged):
        np.testing.assert_array_equal(store[row], text.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("budget", [1, 60, 1 << 20])
def test_blocks_cover_all_rows_once_within_the_budget(make_store, ragged, budget):
    store = make_store(ragged)
    blocks = list(store.blocks(1, 2, budget))
    assert [row for block in blocks for row in range(block.start, block.stop)] == list(range(len(ragged)))
    np.testing.assert_array_equal(np.concatenate([block.tokens for block in blocks]), np.concatenate(ragged))
    for block in blocks:
        assert len(block.lengths) == 1 or block.lengths.sum() + 2 * len(block.lengths) <= budget


def test_a_complete_store_is_not_encoded_again(tmp_path, ragged):
    build_store(tmp_path / "s", names(ragged), rows(ragged)[0], IDENTITY)
    encode, calls = rows(ragged)
    build_store(tmp_path / "s", names(ragged), encode, IDENTITY)
    assert calls == []


def assembling(path, texts, appended):
    """Leave a store as a process that was killed after it appended some chunks of four, not yet all."""
    whole = build_store(path.with_name("assembled"), names(texts), rows(texts)[0], IDENTITY, chunk=4)
    path.mkdir()
    kept = whole.meta["chunks"][:appended]
    lines = [{**c, "dim": 8, "seconds": 1.0} for c in kept]
    journal = [{"identity": IDENTITY, "chunk": 4}, *lines]
    (path / JOURNAL).write_text("".join(json.dumps(line) + "\n" for line in journal))
    tokens, items = sum(c["tokens"] for c in kept), 4 * appended
    (path / TOKENS).write_bytes((whole.path / TOKENS).read_bytes()[: tokens * 8 * 2])
    (path / LENGTHS).write_bytes((whole.path / LENGTHS).read_bytes()[: items * 4])
    return whole


def same(store, whole):
    return all((store.path / name).read_bytes() == (whole.path / name).read_bytes() for name in (TOKENS, LENGTHS))


def test_an_interrupted_build_goes_on_after_the_last_chunk(tmp_path, ragged):
    whole = build_store(tmp_path / "whole", names(ragged), rows(ragged)[0], IDENTITY, chunk=4)
    interrupt(tmp_path / "s", ragged)
    with pytest.raises(HarnessError, match="incomplete"):
        open_store(tmp_path / "s")
    encode, calls = rows(ragged)
    store = build_store(tmp_path / "s", names(ragged), encode, IDENTITY, chunk=4)
    assert calls == [(12, 16), (16, 20), (20, 23)] and same(store, whole)
    assert not (store.path / PARTS).exists() and not (store.path / JOURNAL).exists()


@pytest.mark.parametrize("cut", ["between chunks", "in the tokens", "in the lengths", "in the journal"])
def test_an_interrupted_assembly_encodes_nothing_twice(tmp_path, ragged, cut):
    whole = assembling(tmp_path / "s", ragged, 3)
    end = {"in the tokens": TOKENS, "in the lengths": LENGTHS, "in the journal": JOURNAL}.get(cut)
    if end:  # bytes of a chunk whose line never reached the journal, or half a line
        with open(tmp_path / "s" / end, "ab") as file:
            file.write(b'{"start": 12, "sto')
    encode, calls = rows(ragged)
    store = build_store(tmp_path / "s", names(ragged), encode, IDENTITY, chunk=4)
    assert calls == [(12, 16), (16, 20), (20, 23)] and same(store, whole)
    assert store.meta["seconds"] >= 1.0 and store.meta["chunks"] == whole.meta["chunks"]


@pytest.mark.parametrize("lost", [TOKENS, LENGTHS, JOURNAL])
def test_a_half_written_store_that_lost_bytes_is_rebuilt(tmp_path, ragged, lost):
    whole = assembling(tmp_path / "s", ragged, 3)
    (tmp_path / "s" / lost).write_bytes(b"")
    encode, calls = rows(ragged)
    store = build_store(tmp_path / "s", names(ragged), encode, IDENTITY, chunk=4)
    assert calls[0] == (0, 4) and same(store, whole)


def test_a_half_written_store_of_other_chunks_is_rebuilt(tmp_path, ragged):
    assembling(tmp_path / "s", ragged, 3)
    encode, calls = rows(ragged)
    store = build_store(tmp_path / "s", names(ragged), encode, IDENTITY, chunk=5)
    assert calls[0] == (0, 5) and store.meta["tokens"] == sum(map(len, ragged))


def test_a_damaged_part_is_named(tmp_path, ragged):
    interrupt(tmp_path / "s", ragged)
    _flip(tmp_path / "s" / PARTS / "4-8.npz")
    with pytest.raises(HarnessError, match=r"parts/4-8\.npz is damaged .* delete it and run again"):
        build_store(tmp_path / "s", names(ragged), rows(ragged)[0], IDENTITY, chunk=4)
    (tmp_path / "s" / PARTS / "4-8.npz").unlink()
    encode, calls = rows(ragged)
    build_store(tmp_path / "s", names(ragged), encode, IDENTITY, chunk=4)
    assert calls == [(4, 8)]


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda s: _flip(s / TOKENS),
        lambda s: _flip(s / "lengths.i32"),
        lambda s: (s / TOKENS).write_bytes((s / TOKENS).read_bytes()[:-2]),
        lambda s: (s / TOKENS).unlink(),
        lambda s: (s / META).write_text((s / META).read_text()[:40]),
        lambda s: (s / META).write_text(json.dumps({**json.loads((s / META).read_text()), "format": 99})),
    ],
)
def test_damage_is_named_with_the_folder_to_delete(tmp_path, ragged, damage):
    build_store(tmp_path / "s", names(ragged), rows(ragged)[0], IDENTITY)
    damage(tmp_path / "s")
    with pytest.raises(HarnessError, match=f"delete the folder {tmp_path / 's'}"):
        open_store(tmp_path / "s")


def test_a_store_of_other_inputs_is_refused(tmp_path, ragged):
    build_store(tmp_path / "s", names(ragged), rows(ragged)[0], IDENTITY)
    with pytest.raises(HarnessError, match="other inputs"):
        build_store(tmp_path / "s", names(ragged), rows(ragged)[0], {"weights": "other"})


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_is_refused_by_name(tmp_path, ragged, value):
    ragged[7][0, 3] = value
    with pytest.raises(HarnessError, match="NaN or infinite token vectors for 't7'"):
        build_store(tmp_path / "s", names(ragged), rows(ragged)[0], IDENTITY)
    assert not (tmp_path / "s" / META).exists()


def test_a_wrong_dimension_is_refused_by_name(tmp_path, ragged):
    ragged[9] = ragged[9][:, :5]
    with pytest.raises(HarnessError, match=r"'t9' have shape \(\d+, 5\), expected \[tokens, 8\]"):
        build_store(tmp_path / "s", names(ragged), rows(ragged)[0], IDENTITY, chunk=4)


def test_chunks_of_other_inputs_are_encoded_again(tmp_path):
    def stopped(start, stop):
        if start == 2:
            raise KeyboardInterrupt
        return [np.full((2, 8), 1, np.float32)] * (stop - start)

    with pytest.raises(KeyboardInterrupt):
        build_store(tmp_path / "s", list("abcd"), stopped, {"inputs": 1}, 2)
    assert list(tmp_path.glob("s/parts/*.npz"))
    twos = [np.full((2, 8), 2, np.float32)] * 2
    store = build_store(tmp_path / "s", list("abcd"), lambda start, stop: twos, {"inputs": 2}, 2)
    assert (store.flat == 2).all() and len(store) == 4


def test_chunks_in_each_others_place_are_encoded_again(tmp_path, ragged):
    names = [f"t{i}" for i in range(len(ragged))]

    def encode(start, stop):
        return ragged[start:stop]

    whole = build_store(tmp_path / "whole", names, encode, {"w": 1}, 4)
    fill(tmp_path / "s", names, encode, {"w": 1}, 4)
    one, other = (tmp_path / "s" / PARTS / name for name in ("0-4.npz", "4-8.npz"))
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    store = build_store(tmp_path / "s", names, encode, {"w": 1}, 4)
    assert (store.flat == whole.flat).all() and (store.offsets == whole.offsets).all()
