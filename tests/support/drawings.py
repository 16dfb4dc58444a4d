"""What is drawn in tests of figures and pages: records and a geometry of round numbers; how artists are read."""

from __future__ import annotations

import numpy as np
from cells import cell, named, plaid

from harness import tables
from harness.config import entries
from harness.figures import Inputs

DEPTHS = [0, 50, 100]
SPACES = ("raw", "centered", "own")
SHARES = [[0.8, 0.1, 0.06, 0.04, 1e-12, 0.0], [0.5, 0.3, 0.1, 0.05, 0.03, 0.02], [0.2, 0.2, 0.2, 0.2, 0.2, 0.0]]
COUNTS = [[0, 10, 30, 60], [40, 30, 20, 10], [25, 25, 25, 25]]
FILLED = [[0.7, 0.3, 0.0, 0.0], [0.4, 0.3, 0.2, 0.1], [0.25, 0.25, 0.25, 0.25]]
EDGES = [-1.0, -0.5, 0.0, 0.5, 1.0]


def first_stage(method, center, dataset="scifact", shift=0.0, depths=DEPTHS, **others):
    """A record of two queries whose NDCG@10 x 100 at rk=k is 20 + k / 10 + 100 shift."""
    scores = {str(k): named([0.1 + k / 1000 + shift, 0.3 + k / 1000 + shift]) for k in depths}
    return cell(method, scores, center, dataset, **others)


def inputs(some, datasets=("scifact", "nfcorpus"), geometries=(), results=entries.ROOT):
    return Inputs(
        results, "+".join(datasets), list(datasets), DEPTHS, tables.rows_of(some, [], [], []), some, list(geometries)
    )


def on_two_sets():
    """PLAID and two first stages on SciFact and NFCorpus."""
    return [
        plaid(named([0.5, 0.7])),
        plaid(named([0.2, 0.4]), "nfcorpus"),
        first_stage("muvera", "none"),
        first_stage("muvera", "none", "nfcorpus", shift=0.1),
        first_stage("smve", "corpus"),
        first_stage("smve", "corpus", "nfcorpus", shift=0.2),
    ]


def lorenz(i):
    return (np.linspace(0, 1, 101) ** (4 - i)).tolist()


def measures(i):
    return {"mean_pairwise_cosine": (0.82, 0.01, 0.02)[i], "stable_rank": 1.25 + 10 * i, "n": 12345, "dim": 6}


def bucket(i):
    return {"shares": FILLED[i], "entropy": (0.88, 1.85, 2.0)[i], "max_entropy": 2.0, "n": 678}


def anchors(i):
    return {"gini": (0.6, 0.5, 0.33)[i], "gini_even": 0.1, "unused": 0.2, "lorenz": lorenz(i), "n": 432}


def follows(i):
    recall = {"10": 0.1 + i / 10, "100": 0.5, "50": 0.3}
    return {
        "spearman": 0.3 + i / 10,
        "recall": recall,
        "overlap": {"10": 0.1, "50": 0.2 + i / 10},
        "queries": 99,
        "documents": 5000,
    }


def sides(values):
    """Documents are the same under both means; queries are not."""
    return {
        "documents": {space: values(min(i, 1)) for i, space in enumerate(SPACES)},
        "queries": {space: values(i) for i, space in enumerate(SPACES)},
    }


def stage(key, values):
    by_side = sides(values)
    return {
        space: {key: {side: of[space] for side, of in by_side.items()}, "agreement": follows(i)}
        for i, space in enumerate(SPACES)
    }


def geometry(**others):
    """A geometry of round numbers."""
    smve = stage("anchors", anchors)
    for i, part in enumerate(smve.values()):
        part["zero_overlap"] = {"edges": EDGES, "rate": [1.0, None, 0.5, 0.25 * i], "pairs": [100, 0, 1000, 5]}
    return {
        "format": 1,
        "dataset": "scifact",
        "model": "lateon",
        "identity": {},
        **sides(measures),
        "within_document": {},  # of which there are no figures
        "within_query": {},
        "spectrum": sides(SHARES.__getitem__),
        "cosines": {"edges": EDGES, "pairs": 100, "seed": 0, **sides(COUNTS.__getitem__)},
        "first_stages": {"muvera": stage("buckets", bucket), "smve": smve},
        "notes": [],
        **others,
    }


def line(axes, label):
    """x and y of the line whose label starts so."""
    (found,) = [one for one in axes.lines if one.get_label().startswith(label)]
    return np.asarray(found.get_xdata(), float), np.asarray(found.get_ydata(), float)


def legend(holder):
    return [text.get_text() for text in holder.get_texts()]
