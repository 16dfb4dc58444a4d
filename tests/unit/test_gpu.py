"""The implementations for a GPU against the references: on a CPU everywhere, and on a GPU where there is one.

Tolerances: 1e-5 of a score, as on a CPU. Products of float16 numbers are exact in float32, and no product is rounded to
TF32, so that both devices differ by the order of their sums alone.
"""

from __future__ import annotations

import sys

import numpy as np
import pytest
import reference
import torch
from tiny import in_memory, unit

from harness.config.entries import entry
from harness.methods import lemur, muvera, muvera_gpu, registry, smve, smve_anchors, smve_gpu
from harness.methods.muvera import FixedDimensionalEncoding
from harness.methods.smve import SparseEncoding
from harness.ranking import maxsim, maxsim_gpu, resources, topk_gpu
from harness.ranking.maxsim import Pairs
from harness.ranking.resources import Resources
from harness.system.errors import HarnessError
from harness.vectors.store import Block, StoreInMemory

CHOOSE = (lemur, maxsim, muvera, resources, smve)  # the modules that choose between twins
CASES = [
    {"name": "exact"},
    {"name": "muvera", "repetitions": 3, "bits": 2, "projection": 4, "seed": 1},
    {"name": "muvera", "repetitions": 2, "bits": 3, "projection": None, "seed": 1},
    {"name": "smve", "width": 64, "keep": 3, "repetitions": 2, "anchors": "gaussian", "seed": 1},
    {"name": "smve", "width": 30, "keep": 4, "repetitions": 1, "anchors": "hadamard", "seed": 1},
    {"name": "lemur", "features": 12, "learn": "documents", "learn_tokens": 200, "seed": 1},
    {"name": "binary", "queries": "float"},
    {"name": "binary", "queries": "int8"},
]


@pytest.fixture
def gpu(monkeypatch):
    """The device on which the implementations for a GPU run: a GPU, or a CPU where there is none."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    for module in CHOOSE:
        monkeypatch.setattr(module, "twin", lambda device, cpu, gpu: gpu)
    return torch.device("cpu")


@pytest.fixture
def triton():
    """MaxSim's kernel needs Triton, which torch brings along on Linux."""
    pytest.importorskip("triton")


@pytest.fixture
def lossy(query_texts):
    """Queries that float16 cannot hold exactly; those of a store it can."""
    return in_memory([text.astype(np.float32) + np.float32(1e-5) for text in query_texts])


def texts(store):
    return [store[row] for row in range(len(store))]


@pytest.mark.parametrize("piece", [1, 200, 1 << 24])
@pytest.mark.parametrize("queries", ["exact", "lossy"])
@pytest.mark.usefixtures("triton")
def test_maxsim_equals_the_triple_loop(monkeypatch, make_store, query_texts, lossy, ragged, rng, gpu, piece, queries):
    monkeypatch.setattr(maxsim_gpu, "_PIECE", piece)
    asked, docs = make_store(query_texts) if queries == "exact" else lossy, make_store(ragged)
    expected = np.array([[reference.maxsim(query, document) for document in texts(docs)] for query in texts(asked)])
    padded, block = maxsim_gpu.prepare(asked, gpu), docs.rows(0, len(docs))
    assert padded.dtype == (torch.half if queries == "exact" else torch.float32)
    np.testing.assert_allclose(maxsim_gpu.block_scores(padded, block).cpu(), expected, rtol=1e-5, atol=1e-5)
    candidates = np.array([rng.permutation(len(docs))[:11] for _ in range(len(asked))])
    candidates[3, 8:] = -1  # a short list
    pairs = Pairs.of([candidates], len(asked))
    for block_bytes in (5_000, 1 << 26):
        found = maxsim.score(asked, docs, pairs, block_bytes, gpu)
        np.testing.assert_allclose(found, expected.T.ravel()[pairs.keys], rtol=1e-5, atol=1e-5)
    seen = maxsim.score(asked, docs, pairs, 1 << 26, gpu, take=lambda first, scores: None)
    np.testing.assert_allclose(seen, expected.T.ravel()[pairs.keys], rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("triton")
def test_padding_never_wins_where_all_similarities_are_negative(gpu):
    queries = maxsim_gpu.prepare(StoreInMemory(np.float32([[1, 0]]), np.array([1])), gpu)
    documents = StoreInMemory(np.float32([[-1, 0], [0, 1], [0.6, 0.8]]), np.array([1, 2]))
    scores = maxsim_gpu.block_scores(queries, documents.rows(0, 2))
    assert scores[0].tolist() == pytest.approx([-1, 0.6])


def test_a_missing_triton_is_a_sentence(monkeypatch, make_store, query_texts, ragged):
    monkeypatch.setitem(sys.modules, "harness.ranking.maxsim_triton", None)
    queries = maxsim_gpu.prepare(make_store(query_texts), torch.device("cpu"))
    with pytest.raises(HarnessError, match="triton, which torch for Linux brings along"):
        maxsim_gpu.block_scores(queries, make_store(ragged).rows(0, 3))


@pytest.mark.parametrize("keys", [1, 1 << 22])
@pytest.mark.parametrize("k", [1, 40, 3000])
def test_running_top_k_is_the_sorted_head_with_many_ties(monkeypatch, rng, gpu, keys, k):
    monkeypatch.setattr(topk_gpu, "_KEYS", keys)
    scores = np.round(rng.standard_normal((4, 3000)), 1).astype(np.float32)
    scores[2, 5:] = -np.inf  # few candidates
    wanted = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    sorted_scores = np.take_along_axis(scores, wanted, axis=1)
    best = topk_gpu.RunningTopK(4, k, gpu)
    for start in rng.permutation(np.arange(0, 3000, 700)):  # blocks may arrive in any order
        best.add(int(start), torch.from_numpy(scores[:, start : start + 700]).to(gpu))
    found = best.ranking()
    np.testing.assert_array_equal(found.rows, np.where(sorted_scores == -np.inf, -1, wanted))
    np.testing.assert_array_equal(found.scores, sorted_scores)


@pytest.mark.parametrize("projection", [None, 3])
def test_fde_equals_the_reference(make_store, ragged, gpu, projection):
    block = make_store(ragged).rows(0, len(ragged))
    fde = FixedDimensionalEncoding(8, 4, 3, projection, 5, gpu)
    planes = fde.planes.cpu().numpy().reshape(8, 4, 3)
    projections = None if projection is None else fde.projections.cpu().numpy().reshape(8, 4, projection)
    for fill, oracle in ((True, reference.muvera_document), (False, reference.muvera_query)):
        codes = muvera_gpu.encode(block, fde.planes, fde.projections, 3, fill).cpu()
        np.testing.assert_allclose(codes, [oracle(text, planes, projections) for text in ragged], atol=1e-5)


@pytest.mark.parametrize("projection", [None, 3])
def test_a_block_without_any_token_has_codes_of_zeros(gpu, projection):
    fde = FixedDimensionalEncoding(8, 4, 3, projection, 5, gpu)
    block = Block(0, np.empty((0, 8), np.float32), np.zeros(2, np.int64))
    for fill in (True, False):
        codes = muvera_gpu.encode(block, fde.planes, fde.projections, 3, fill).cpu()
        assert codes.shape == (2, fde.size) and not codes.any()


@pytest.mark.parametrize("kind", smve_anchors.KINDS)
@pytest.mark.parametrize(("width", "keep", "repetitions"), [(40, 3, 2), (30, 3, 1), (8, 8, 2)])
@pytest.mark.parametrize("at_once", [1, 1 << 25])
def test_smve_equals_the_reference(
    monkeypatch, make_store, ragged, query_texts, gpu, kind, width, keep, repetitions, at_once
):
    monkeypatch.setattr(smve_gpu, "_GROUP", 4)
    monkeypatch.setattr(smve_gpu, "_PROJECTIONS", at_once)
    monkeypatch.setattr(smve_gpu, "_DENSE", at_once)
    encoding = SparseEncoding(8, width, keep, repetitions, kind, 5, gpu)
    matrix = np.stack([one.matrix for one in encoding.sets], axis=1)
    docs, queries = (make_store(some).rows(0, len(some)) for some in (ragged, query_texts))
    documents, asked = encoding.documents(docs), encoding.queries(queries)
    wanted = np.array([reference.smve_document(text, matrix, keep) for text in ragged])
    wanted_queries = np.array([reference.smve_query(text, matrix, keep) for text in query_texts])
    np.testing.assert_allclose(documents.dense().T.cpu(), wanted, atol=1e-5)
    np.testing.assert_allclose(asked.dense().T.cpu(), wanted_queries, atol=1e-5)
    assert len(documents.anchors) == np.count_nonzero(wanted)
    scores = encoding.index(documents).scores(asked).cpu()
    np.testing.assert_allclose(scores, wanted_queries @ wanted.T, rtol=1e-5, atol=1e-5)


def test_products_of_split_numbers_are_those_of_float32(rng, gpu):
    """Within 2^-20 of the lengths of both vectors, at any scale; products of float16 alone are off by 2^-13."""
    tokens = rng.standard_normal((50, 96)).astype(np.float32)
    anchors = smve_anchors.gaussian(96, 300, rng).matrix
    for scale in (1e-6, 1.0, 1e6):
        left = smve_gpu.Halves.of_tokens(torch.from_numpy(tokens * np.float32(scale)).to(gpu))
        right = smve_gpu.Halves.of_anchors(torch.from_numpy(anchors.T).to(gpu))
        values, chosen = smve_gpu.largest_projections(left, right, slice(0, 50), 300)
        exact = (tokens * np.float32(scale)).astype(np.float64) @ anchors.astype(np.float64)
        found = np.take_along_axis(exact, chosen.cpu().numpy(), axis=1)
        lengths = scale * np.linalg.norm(tokens, axis=1, keepdims=True)
        assert (np.abs(values.cpu().numpy() - found) / lengths).max() < 2**-20


@pytest.mark.parametrize("options", CASES, ids=lambda options: " ".join(map(str, options.values())))
@pytest.mark.parametrize("block_bytes", [20_000, 1 << 26])
@pytest.mark.usefixtures("triton")
def test_every_method_finds_what_it_finds_on_a_cpu(
    make_store, ragged, query_texts, rng, tmp_path, gpu, options, block_bytes
):
    """Scores within rounding (LEMUR's solve magnifies it), and documents in another order only if they tie with it."""
    some = [*ragged, *(unit(rng, int(count), 8) for count in rng.integers(1, 90, 30))]
    docs, queries, method = make_store(some), make_store(query_texts), registry.make(options)
    found = method.search(docs, queries, 30, Resources(gpu, block_bytes, tmp_path)).ranking
    with pytest.MonkeyPatch.context() as patched:
        for module in CHOOSE:
            patched.setattr(module, "twin", lambda device, cpu, gpu: cpu)
        wanted = method.search(docs, queries, len(docs), Resources(torch.device("cpu"), 1 << 26, tmp_path)).ranking
    rounding = 2e-3 if options["name"] == "lemur" else 1e-5
    np.testing.assert_allclose(found.scores, wanted.scores[:, :30], rtol=rounding, atol=rounding)
    assert 4 not in found.rows  # no tokens
    for query, rows in enumerate(found.rows):
        by_row = dict(zip(wanted.rows[query].tolist(), wanted.scores[query].tolist(), strict=True))
        np.testing.assert_allclose([by_row[row] for row in rows], found.scores[query], rtol=rounding, atol=rounding)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")
@pytest.mark.parametrize("name", ["exact", "muvera", "smve", "binary"])
def test_memory_mb_bounds_the_memory_of_a_gpu(rng, tmp_path, name):
    """A corpus of four times the budget: beside the budget, 512 MiB for pieces of products and the queries."""
    tokens = unit(rng, 300_000, 128).astype(np.float16)
    docs = StoreInMemory(tokens, np.full(3000, 100))
    queries = StoreInMemory(tokens[: 100 * 32], np.full(100, 32))
    method = registry.make(entry("method", name))
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    method.search(docs, queries, 100, Resources(torch.device("cuda"), 64 << 20, tmp_path))
    assert torch.cuda.max_memory_allocated() - before < (64 + 512) << 20
