"""What the first stage sees of a query: real tokens, and the mean of pseudo-queries."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest
import torch
from tiny import WORDS

from harness.config import entries
from harness.config.options import CenterOptions
from harness.measure import pseudo_queries
from harness.models.checkpoint import locate
from harness.system import messages
from harness.vectors.encode import Encoder
from harness.vectors.query_tokens import only

QUERIES = {"a": "wing flow heat", "b": "drag", "c": " ".join(WORDS)}


def encoder(path, cache, **changes):
    model = {**entries.entry("model", "local"), "name": "tiny", "path": str(path), **changes}
    return Encoder(model, locate(model, None), cache, torch.device("cpu"))


@pytest.mark.parametrize("attends", [False, True])
def test_real_tokens_are_those_of_a_model_that_does_not_expand(lateon_like, tmp_path, attends):
    expanding = encoder(lateon_like, tmp_path, query_expansion=True)
    expanding.pylate(12).attend_to_expansion_tokens = attends
    store = expanding.encode(QUERIES, "x", True, 12)
    assert store.lengths.tolist() == [12, 12, 12]
    plain = encoder(lateon_like, tmp_path, query_expansion=False).encode(QUERIES, "x", True, 12)
    seen = expanding.part_of(store, QUERIES, 12, "real")
    assert seen.lengths.tolist() == plain.lengths.tolist() == [6, 4, 12]
    for row in range(3):
        np.testing.assert_array_equal(seen[row], store[row][: len(seen[row])])
        if not attends:  # the real tokens do not see the others
            np.testing.assert_allclose(seen[row], plain[row], atol=2e-3)


def test_a_model_that_does_not_expand_is_told_so(lateon_like, tmp_path, caplog):
    messages.forget()
    tiny = encoder(lateon_like, tmp_path, query_expansion=False)
    store = tiny.encode(QUERIES, "x", True, 12)
    assert tiny.part_of(store, QUERIES, 12, "real") is store
    assert "the model 'tiny' does not expand queries: query_tokens=real is the same as query_tokens=all" in caplog.text


def test_only_the_tokens_that_are_kept(make_store, ragged):
    store = make_store(ragged)
    kept = np.random.default_rng(0).random((len(ragged), 50)) < 0.5
    seen = only(store, kept)
    for row, text in enumerate(ragged):
        expected = [token for place, token in enumerate(text) if kept[row, place]]
        assert seen.lengths[row] == len(expected)
        np.testing.assert_array_equal(seen[row], np.reshape(expected, (-1, 8)))


@pytest.mark.parametrize("expands", [False, True])
def test_words_are_real_tokens_without_special_ones(lateon_like, tmp_path, expands):
    tiny = encoder(lateon_like, tmp_path, query_expansion=expands)
    queries = {**QUERIES, "empty": ""}
    store = tiny.encode(queries, "x", True, 12)
    seen = tiny.part_of(store, queries, 12, "words")
    # [CLS], the marker and [SEP] are left out; a query of nothing else keeps them; the third is cut at 12 tokens
    assert seen.lengths.tolist() == [3, 1, 9, 3]
    for row, start in enumerate((2, 2, 2, 0)):
        np.testing.assert_array_equal(seen[row], store[row][start : start + len(seen[row])])


def slowly(docs, lengths, count):
    """The definition of `snippets`, step by step."""

    def number(what, name):
        return int(sha256(f"{what}\0{name}".encode()).hexdigest()[:16], 16)

    found = []
    for name in sorted(docs, key=lambda name: number("document", name)):
        words = docs[name].split()
        if not words or len(found) == count:
            continue
        length = min(lengths[number("length", name) % len(lengths)], len(words))
        starts = [start for start in range(len(words)) if start + length <= len(words)]
        start = starts[number("start", name) % len(starts)]
        found.append((f"snippet of {name}", " ".join(words[start : start + length])))
    return dict(found)


def test_snippets_are_runs_of_words_as_long_as_queries(rng):
    docs = {f"d{i}": " ".join(rng.choice(WORDS, int(rng.integers(0, 30)))) for i in range(300)}
    lengths = [2, 3, 3, 7]
    found = pseudo_queries.snippets(docs, lengths, 200)
    assert found == slowly(docs, lengths, 200) and len(found) == 200
    assert found == pseudo_queries.snippets(dict(reversed(docs.items())), lengths, 200)  # not of the order
    counts = {length: sum(len(text.split()) == length for text in found.values()) for length in (2, 3, 7)}
    assert counts[3] > counts[2] > 20 and counts[7] > 20
    assert all(text in docs[name.removeprefix("snippet of ")] for name, text in found.items())
    assert len(pseudo_queries.snippets(docs, lengths, 1000)) == sum(bool(text) for text in docs.values())


def test_records_of_before_stay_what_they_are():
    """Options that are as they were before they came are no part of the identity."""
    own = entries.entry("center", "own")
    before = {name: own[name] for name in ("name", "renormalize", "fallback", "max_queries")}
    assert (
        CenterOptions.of(own).identity("x") == CenterOptions.of(before).identity("x") == {**before, "query_mean": "x"}
    )
    assert CenterOptions.of(own).variant == CenterOptions.of(before).variant == "own"
    changed = CenterOptions.of({**own, "query_tokens": "real", "mean_of": "pseudo_queries"})
    assert changed.variant == "own+mean_of=pseudo_queries+query_tokens=real"
    assert changed.identity("x").keys() - before.keys() == {"query_tokens", "mean_of", "query_mean"}
