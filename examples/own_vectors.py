"""Token vectors of your own, from Python: which first stage finds what exact MaxSim finds?

The vectors here are drawn at random, in a narrow cone as those of recent models. Put yours in their place: id -> array
[tokens, dim], float16 or float32, of any model. No file and no PyLate model is needed.
"""

import numpy as np

import harness

rng = np.random.default_rng(0)
words = rng.standard_normal((1000, 64)) + 3  # the vectors of 1,000 words; each topic has 12 of its own
of_topic = rng.integers(0, 1000, (20, 12))


def text(chosen: np.ndarray) -> np.ndarray:
    """Token vectors of unit length near those of some words."""
    vectors = words[chosen] + 0.7 * rng.standard_normal((len(chosen), 64))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


documents = {f"d{i}": text(np.append(rng.choice(of_topic[i % 20], 4), rng.integers(0, 1000, 26))) for i in range(200)}
queries = {f"q{i}": text(rng.choice(of_topic[i], 6)) for i in range(20)}
qrels = {f"q{i}": {f"d{j}": 1 for j in range(i, 200, 20)} for i in range(20)}

for center in ("none", "corpus"):
    found = harness.evaluate(documents, queries, qrels, ["muvera", "smve", "exact"], center, depths=[0, 20])
    print(found.table().round(1), "\n")  # NDCG@10 x 100 by rerank depth
print(found.compare("muvera", "exact", depth=20).difference)  # a paired test, in points

# The encoders alone give the codes that an index would hold.
centering = harness.Centering("corpus").fit(list(documents.values()))
muvera = harness.Muvera(repetitions=20, bits=5, projection=16).fit(list(documents.values()))
index = muvera.encode(centering.encode(list(documents.values())))
asked = muvera.encode(centering.encode(list(queries.values()), is_query=True), is_query=True)
print(muvera.score(asked, index).shape)  # (queries, documents)
