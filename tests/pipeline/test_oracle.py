"""MUVERA beside implementations of others, where `make oracle` installed them."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
import torch

from harness.config.entries import ROOT
from harness.methods.muvera import FixedDimensionalEncoding
from harness.vectors.store import StoreInMemory

ORACLE = ROOT / ".venv-oracle"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """The arrays of studies/oracle/muvera.py."""
    if not (ORACLE / "installed").exists():
        pytest.skip("`make oracle` installs fastembed and muvfde")
    path = tmp_path_factory.mktemp("oracle") / "muvera.npz"
    script = ROOT / "studies" / "oracle" / "muvera.py"
    subprocess.run([ORACLE / "bin" / "python", script, path], check=True, capture_output=True)
    with np.load(path) as found:
        return dict(found)


def block(tokens, lengths):
    """Token vectors as one block."""
    (found,) = StoreInMemory(tokens, np.array(lengths)).blocks(1, 1, 1 << 30)
    return found


def test_codes_are_fastembeds_number_by_number(others):
    """With its random matrices. An empty bucket with several nearest tokens may take another of them.

    fastembed takes the first token of the lowest nearest bucket, Google's code and the harness the first of all tokens.
    """
    planes, projections = others["planes"], others["projections"].astype(np.float32)
    repetitions, dim, bits = planes.shape
    encoding = FixedDimensionalEncoding(dim, repetitions, bits, projections.shape[2], 0, CPU)
    encoding.planes = torch.from_numpy(planes.transpose(1, 0, 2).reshape(dim, -1).copy())
    encoding.projections = torch.from_numpy(projections.transpose(1, 0, 2).reshape(dim, -1).copy())
    asked, length, _ = others["queries"].shape
    queries = encoding.queries(block(others["queries"].reshape(-1, dim), [length] * asked)).numpy()
    np.testing.assert_allclose(queries, others["query_codes"], atol=2e-6)
    documents = encoding.documents(block(others["documents"], others["lengths"])).numpy()
    shape = (len(documents), repetitions, 1 << bits, -1)
    ours, theirs = documents.reshape(shape), others["document_codes"].reshape(shape)
    differs = np.abs(ours - theirs).max(axis=3) > 2e-6
    compared, powers, empty = 0, 1 << np.arange(bits), 0
    for row, tokens in enumerate(np.split(others["documents"], np.cumsum(others["lengths"])[:-1])):
        for r in range(repetitions):
            signs = tokens @ planes[r] > 0
            far = (signs[:, None] != (np.arange(1 << bits)[:, None] & powers > 0)).sum(axis=2)
            for b in np.flatnonzero(far.min(axis=0) > 0):
                empty += 1
                nearest = np.flatnonzero(far[:, b] == far[:, b].min())
                if differs[row, r, b]:
                    candidates = tokens[nearest] @ projections[r]
                    assert len(nearest) > 1 and np.abs(candidates - theirs[row, r, b]).max(axis=1).min() < 2e-6
                    differs[row, r, b] = False
                else:
                    compared += 1
    assert not differs.any() and compared > empty / 2


@pytest.mark.parametrize(("kind", "projection"), [("sketched", 4), ("unprojected", None)])
def test_scores_are_distributed_as_googles(others, kind, projection):
    """Mean and variance over 4,000 draws agree up to sampling error, for each pair of a query and a document."""
    theirs, (pairs, length, dim) = others[kind], others["pairs_queries"].shape
    draws = theirs.shape[1]
    encoding = FixedDimensionalEncoding(dim, draws, 3, projection, 1, CPU)
    queries = encoding.queries(block(others["pairs_queries"].reshape(-1, dim), [length] * pairs)).numpy()
    tokens = others["pairs_documents"]
    documents = encoding.documents(block(tokens.reshape(-1, dim), [tokens.shape[1]] * pairs)).numpy()
    ours = (queries * documents).reshape(pairs, draws, -1).sum(axis=2)
    for one, other in zip(ours, theirs, strict=True):
        moved, spread = (side - side.mean() for side in (one, other)), one.var() + other.var()
        assert abs(one.mean() - other.mean()) < 4 * np.sqrt(spread / draws)
        error = np.sqrt(sum(((side**4).mean() - (side**2).mean() ** 2) / draws for side in moved))
        assert abs(one.var() - other.var()) < 4 * error
