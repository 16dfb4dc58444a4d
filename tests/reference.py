"""Slow, obvious reference implementations, written from the definitions alone, to be used as oracles in tests.

Nothing here is fast and nothing here is shared with the code under test. A "text" is a float array [tokens, dim] that
holds real tokens only (no padding). All arithmetic is done one token and one number at a time on Python floats
(float64), whatever the dtype of the input; arrays are returned as float64.
"""

import math
from collections.abc import Callable

import numpy as np


def dot(left: np.ndarray, right: np.ndarray) -> float:
    """Dot product of two vectors [dim], added up one coordinate at a time."""
    if len(left) != len(right):
        raise ValueError(f"vectors of different lengths: {len(left)} and {len(right)}")
    total = 0.0
    for c in range(len(left)):
        total += float(left[c]) * float(right[c])
    return total


def maxsim(query: np.ndarray, document: np.ndarray) -> float:
    """Sum over query tokens [m, dim] of the best dot product in a document [n, dim] (ColBERT, arXiv 2004.12832).

    A document without tokens scores -inf, whatever the query; a query without tokens scores 0.0 otherwise.
    """
    if len(document) == 0:
        return -math.inf
    total = 0.0
    for i in range(len(query)):
        best = -math.inf
        for j in range(len(document)):
            similarity = dot(query[i], document[j])
            if similarity > best:
                best = similarity
        total += best
    return total


def token_mean(texts: list[np.ndarray]) -> np.ndarray:
    """Mean [dim] over ALL tokens of all texts (each token counts once, so long texts weigh more than short ones)."""
    count = 0
    total: list[float] = []
    for text in texts:
        for token in text:
            if count == 0:
                total = [0.0] * len(token)
            for c in range(len(token)):
                total[c] += float(token[c])
            count += 1
    if count == 0:
        raise ValueError("there is no mean of no tokens")
    return np.array([value / count for value in total], dtype=np.float64)


def text_shift(tokens: np.ndarray, mean: np.ndarray, share: float) -> np.ndarray:
    """What is subtracted from each token of a text [dim]: a share of its own mean, and the rest of `mean` [dim]."""
    own = token_mean([tokens])
    return np.array([share * float(own[c]) + (1 - share) * float(mean[c]) for c in range(tokens.shape[1])])


def center(tokens: np.ndarray, mean: np.ndarray, renormalize: bool = False) -> np.ndarray:
    """Tokens [tokens, dim] minus the mean [dim]; with renormalize each is scaled back to length 1.

    A token that equals the mean exactly has no direction and stays the zero vector.
    """
    n_tokens, dim = tokens.shape
    result = np.zeros((n_tokens, dim), dtype=np.float64)
    for i in range(n_tokens):
        for c in range(dim):
            result[i, c] = float(tokens[i, c]) - float(mean[c])
        if renormalize:
            length = math.sqrt(dot(result[i], result[i]))
            if length > 0.0:
                for c in range(dim):
                    result[i, c] = float(result[i, c]) / length
    return result


def muvera_bucket(token: np.ndarray, planes: np.ndarray, repetition: int) -> int:
    """Bucket number of a token [dim] in one repetition of planes [dim, R, k]: 2^j is added where h_j . x > 0."""
    bucket = 0
    for j in range(planes.shape[2]):
        if dot(planes[:, repetition, j], token) > 0.0:
            bucket += 2**j
    return bucket


def muvera_project(token: np.ndarray, projections: np.ndarray | None, repetition: int) -> list[float]:
    """A token [dim] projected by one repetition of projections [dim, R, d]: d numbers; None leaves it as it is."""
    if projections is None:
        return [float(value) for value in token]
    return [dot(projections[:, repetition, c], token) for c in range(projections.shape[2])]


def muvera_query(tokens: np.ndarray, planes: np.ndarray, projections: np.ndarray | None) -> np.ndarray:
    """Query encoding (MUVERA, arXiv 2405.19504): the SUM of the projected tokens of each bucket, [R * 2^k * d].

    Tokens [tokens, dim], planes [dim, R, k], projections [dim, R, d] or None (d = dim). Empty buckets are zeros.
    """
    dim, repetitions, k = planes.shape
    d = dim if projections is None else projections.shape[2]
    output: list[float] = []
    for r in range(repetitions):
        for bucket in range(2**k):
            block = [0.0] * d
            for token in tokens:
                if muvera_bucket(token, planes, r) == bucket:
                    projected = muvera_project(token, projections, r)
                    for c in range(d):
                        block[c] += projected[c]
            output.extend(block)
    return np.array(output, dtype=np.float64)


def muvera_document(tokens: np.ndarray, planes: np.ndarray, projections: np.ndarray | None) -> np.ndarray:
    """Document encoding (MUVERA, arXiv 2405.19504): the MEAN of the projected tokens of each bucket, [R * 2^k * d].

    An empty bucket takes the projected token nearest in Hamming distance of the sign bits, the first one on ties.
    Shapes as in muvera_query; a document without tokens is all zeros.
    """
    dim, repetitions, k = planes.shape
    d = dim if projections is None else projections.shape[2]
    output: list[float] = []
    for r in range(repetitions):
        for bucket in range(2**k):
            block = [0.0] * d
            count = 0
            nearest = None
            nearest_distance = k + 1
            for token in tokens:
                own_bucket = muvera_bucket(token, planes, r)
                distance = bin(own_bucket ^ bucket).count("1")
                if distance < nearest_distance:  # strictly: the first token wins a tie
                    nearest = token
                    nearest_distance = distance
                if own_bucket == bucket:
                    projected = muvera_project(token, projections, r)
                    for c in range(d):
                        block[c] += projected[c]
                    count += 1
            if count > 0:
                block = [value / count for value in block]
            elif nearest is not None:
                block = muvera_project(nearest, projections, r)
            output.extend(block)
    return np.array(output, dtype=np.float64)


def smve_kept(token: np.ndarray, anchors: np.ndarray, repetition: int, keep: int) -> dict[int, float]:
    """The `keep` largest SIGNED projections of a token [dim] on one repetition of anchors [dim, repetitions, w].

    Returns anchor number -> projection. On equal projections the lower anchor number is kept.
    """
    projections: dict[int, float] = {}
    for a in range(anchors.shape[2]):
        projections[a] = dot(anchors[:, repetition, a], token)
    best_first = sorted(projections, key=lambda a: (-projections[a], a))
    return {a: projections[a] for a in best_first[:keep]}


def smve_query(tokens: np.ndarray, anchors: np.ndarray, keep: int) -> np.ndarray:
    """Query encoding (SMVE): per anchor the SUM of the projections that tokens [tokens, dim] kept, [repetitions * w].

    Anchors [dim, repetitions, w]. An anchor that no token kept is 0.
    """
    _, repetitions, w = anchors.shape
    output = np.zeros(repetitions * w, dtype=np.float64)
    for r in range(repetitions):
        for token in tokens:
            for a, projection in smve_kept(token, anchors, r, keep).items():
                output[r * w + a] += projection
    return output


def smve_document(tokens: np.ndarray, anchors: np.ndarray, keep: int) -> np.ndarray:
    """Document encoding (SMVE): per anchor the MEAN over the tokens [tokens, dim] that kept it, [repetitions * w].

    Anchors [dim, repetitions, w]. An anchor that no token kept is 0; a document without tokens is all zeros.
    """
    _, repetitions, w = anchors.shape
    output = np.zeros(repetitions * w, dtype=np.float64)
    for r in range(repetitions):
        kept_by_anchor: dict[int, list[float]] = {}
        for token in tokens:
            for a, projection in smve_kept(token, anchors, r, keep).items():
                kept_by_anchor.setdefault(a, []).append(projection)
        for a, kept in kept_by_anchor.items():
            total = 0.0
            for projection in kept:
                total += projection
            output[r * w + a] = total / len(kept)
    return output


def without_smallest_sum(code: np.ndarray, share: float) -> np.ndarray:
    """A sparse code without its smallest numbers: as many as make up at most a share of the sum of them all.

    The share is 0, or the code has no negative number.
    """
    left = [float(number) for number in code]
    budget = share * sum(left)
    for place in sorted((i for i in range(len(left)) if left[i] > 0.0), key=lambda i: left[i]):
        if left[place] > budget:
            break
        budget -= left[place]
        left[place] = 0.0
    return np.array(left)


def without_smallest_count(code: np.ndarray, share: float, more: int = 0) -> np.ndarray:
    """A sparse code without its smallest numbers: of n (and `more` larger ones), (1 - share) n stay, rounded down."""
    left = [float(number) for number in code]
    places = sorted((i for i in range(len(left)) if left[i] != 0.0), key=lambda i: -left[i])
    stay = math.floor((len(places) + more) * (1 - share) + 1e-9) - more
    for place in places[max(0, stay) :]:
        left[place] = 0.0
    return np.array(left)


def sigmoid(value: float) -> float:
    """1 / (1 + exp(-value))."""
    return 1.0 / (1.0 + math.exp(-value))


def muvera_soft(token: np.ndarray, planes: np.ndarray, repetition: int, bucket: int, slope: float) -> float:
    """How much a token [dim] is in a bucket: product over bits j of sigmoid(+-slope h_j . x), + where bit j is 1."""
    share = 1.0
    for j in range(planes.shape[2]):
        sign = 1.0 if bucket >> j & 1 else -1.0
        share *= sigmoid(sign * slope * dot(planes[:, repetition, j], token))
    return share


def muvera_straight_through(
    tokens: np.ndarray,
    at: np.ndarray,
    planes: np.ndarray,
    projections: np.ndarray | None,
    slope: float | None,
    is_query: bool,
) -> np.ndarray:
    """The code of tokens [tokens, dim] near a point `at` of the same shape, [R * 2^k * d]; it equals MUVERA's there.

    A token's membership in a bucket is hard(at) + soft(token) - soft(at), 0/1 plus what `muvera_soft` changed; without
    a slope it is hard(at). Which buckets are empty, and which token fills them, is decided at `at`.
    """
    _, repetitions, k = planes.shape
    output: list[float] = []
    for r in range(repetitions):
        for bucket in range(2**k):
            members = []
            count = 0
            nearest, nearest_distance = 0, k + 1
            for i in range(len(tokens)):
                own_bucket = muvera_bucket(at[i], planes, r)
                distance = bin(own_bucket ^ bucket).count("1")
                if distance < nearest_distance:
                    nearest, nearest_distance = i, distance
                count += distance == 0
                member = 1.0 if distance == 0 else 0.0
                if slope is not None:
                    member += muvera_soft(tokens[i], planes, r, bucket, slope)
                    member -= muvera_soft(at[i], planes, r, bucket, slope)
                members.append(member)
            if not is_query and count == 0:
                output.extend(muvera_project(tokens[nearest], projections, r))
                continue
            projected = [muvera_project(token, projections, r) for token in tokens]
            divisor = 1.0 if is_query else sum(members)
            for c in range(len(projected[0])):
                output.append(sum(members[i] * projected[i][c] for i in range(len(tokens))) / divisor)
    return np.array(output, dtype=np.float64)


def smve_straight_through(
    tokens: np.ndarray, at: np.ndarray, anchors: np.ndarray, keep: int, near: int, slope: float | None, is_query: bool
) -> np.ndarray:
    """The code of tokens [tokens, dim] near a point `at` of the same shape, [repetitions * w]; it equals SMVE's there.

    A token's membership at an anchor is hard(at) + soft(token) - soft(at) with soft(x) = sigmoid(slope (a . x - t)) for
    the `near` anchors with the largest projections at `at`, t halfway between the `keep`-th and the next projection at
    `at`; elsewhere, and without a slope, it is hard(at). An anchor that no token keeps at `at` is divided by 1.
    """
    _, repetitions, w = anchors.shape
    output = np.zeros(repetitions * w, dtype=np.float64)
    for r in range(repetitions):
        for a in range(w):
            total, members, count = 0.0, 0.0, 0
            for i in range(len(tokens)):
                before = [dot(anchors[:, r, b], at[i]) for b in range(w)]
                value = dot(anchors[:, r, a], tokens[i])
                falling = sorted(before, reverse=True)
                kept = before[a] >= falling[keep - 1]
                member = 1.0 if kept else 0.0
                if slope is not None and before[a] >= falling[near - 1]:
                    threshold = (falling[keep - 1] + falling[keep]) / 2
                    member += sigmoid(slope * (value - threshold)) - sigmoid(slope * (before[a] - threshold))
                total += member * value
                members += member
                count += kept
            output[r * w + a] = total if is_query or count == 0 else total / members
    return output


def gradient(function: Callable[[np.ndarray], float], point: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Central finite differences of a function of an array, at a point."""
    result = np.zeros(point.shape, dtype=np.float64)
    for index in np.ndindex(*point.shape):
        above, below = point.astype(np.float64), point.astype(np.float64)
        above[index] += step
        below[index] -= step
        result[index] = (function(above) - function(below)) / (2 * step)
    return result


def contrastive(scores: list[list[float]]) -> float:
    """Mean cross-entropy of query i for document i: log(sum_j exp(s_ij)) - s_ii."""
    total = 0.0
    for i, row in enumerate(scores):
        total += math.log(sum(math.exp(score) for score in row)) - row[i]
    return total / len(scores)


def rank(scores: list[float], ids: list[str]) -> list[str]:
    """Ids by score descending, then by id descending (trec_eval's rule); entries that score -inf are left out."""
    entries = []
    for score, identifier in zip(scores, ids, strict=True):
        if math.isnan(score):
            raise ValueError(f"the score of {identifier} is not a number")
        if score != -math.inf:
            entries.append((float(score), identifier))
    entries.sort(reverse=True)
    return [identifier for _, identifier in entries]


def rerank(first: list[str], maxsim_scores: dict[str, float], depth: int) -> list[str]:
    """The first `depth` ids by MaxSim descending (ties: id descending), then the tail in the order it had.

    Every id stays in the list; one that scores -inf goes to the end of the head. An id of the head without a score
    is an error.
    """
    if depth < 0:
        raise ValueError("depth must not be negative")
    head = []
    for identifier in first[:depth]:
        head.append((float(maxsim_scores[identifier]), identifier))
    head.sort(reverse=True)
    return [identifier for _, identifier in head] + list(first[depth:])


def ndcg(ranked: list[str], judged: dict[str, int], cut: int = 10) -> float:
    """NDCG at `cut`: linear gain, log2(position + 1) discount, ideal order from all positive judgements.

    Judgements of zero or less gain nothing, as do documents without one. With nothing relevant the result is 0.0.
    """
    gained = 0.0
    for position, identifier in enumerate(ranked[:cut], start=1):
        gain = judged.get(identifier, 0)
        if gain > 0:
            gained += gain / math.log2(position + 1)
    ideal = 0.0
    best_gains = sorted((gain for gain in judged.values() if gain > 0), reverse=True)
    for position, gain in enumerate(best_gains[:cut], start=1):
        ideal += gain / math.log2(position + 1)
    if ideal == 0.0:
        return 0.0
    return gained / ideal


def recall(ranked: list[str], judged: dict[str, int], cut: int) -> float:
    """Share of the relevant documents (judged 1 or more) among the first `cut`; 0.0 with nothing relevant."""
    relevant = [document for document, grade in judged.items() if grade >= 1]
    return sum(document in ranked[:cut] for document in relevant) / len(relevant) if relevant else 0.0


def reciprocal_rank(ranked: list[str], judged: dict[str, int], cut: int) -> float:
    """1 / rank of the first relevant document among the first `cut`; 0.0 if there is none."""
    for position, identifier in enumerate(ranked[:cut], start=1):
        if judged.get(identifier, 0) >= 1:
            return 1 / position
    return 0.0


def average_precision(ranked: list[str], judged: dict[str, int], cut: int) -> float:
    """Mean over all relevant documents of the precision at their rank, 0 for those not among the first `cut`."""
    relevant = [document for document, grade in judged.items() if grade >= 1]
    if not relevant:
        return 0.0
    total = 0.0
    for position, identifier in enumerate(ranked[:cut], start=1):
        if identifier in relevant:
            total += sum(other in relevant for other in ranked[:position]) / position
    return total / len(relevant)


def judged_share(ranked: list[str], judged: dict[str, int], cut: int) -> float:
    """Share of the first `cut` documents (or of as many as there are) with a judgement of any value; 0.0 of none."""
    first = ranked[:cut]
    return sum(document in judged for document in first) / len(first) if first else 0.0


def mean_pairwise_cosine(units: np.ndarray) -> float:
    """Mean dot product over all pairs of two different rows of unit vectors [n, dim]; nan for fewer than two rows."""
    total = 0.0
    pairs = 0
    for i in range(len(units)):
        for j in range(len(units)):
            if i != j:
                total += dot(units[i], units[j])
                pairs += 1
    if pairs == 0:
        return math.nan
    return total / pairs


def spread(vectors: np.ndarray) -> dict[str, float] | None:
    """The five measures of a set of vectors [n, dim]; None if fewer than two of them have a direction.

    A vector without length has the cosine 0 with every other. Eigenvalues are the squared singular values over n.
    """
    units = []
    for vector in vectors.tolist():
        length = math.sqrt(dot(vector, vector))
        if length > 0.0:
            units.append([value / length for value in vector])
    if len(units) < 2:
        return None
    cosines = 0.0
    for i in range(len(units)):
        for j in range(i):
            cosines += 2 * dot(units[i], units[j])
    values = [float(s) ** 2 / len(vectors) for s in np.linalg.svd(vectors.astype(np.float64), compute_uv=False)]
    entropy = 0.0
    for value in values:
        if value > 0.0:
            entropy -= value / sum(values) * math.log(value / sum(values))
    return {
        "mean_pairwise_cosine": cosines / (len(vectors) * (len(vectors) - 1)),
        "stable_rank": sum(values) / max(values),
        "participation_ratio": sum(values) ** 2 / sum(value**2 for value in values),
        "effective_rank": math.exp(entropy),
        "top_share": max(values) / sum(values),
    }


def spread_within(texts: list[np.ndarray], mean: np.ndarray | None) -> dict[str, float]:
    """Mean of each measure over the texts that have them, each less the mean; ``n``: how many texts these are."""
    found = [spread(text if mean is None else center(text, mean)) for text in texts if len(text) > 0]
    measured = [one for one in found if one is not None]
    means = {name: sum(one[name] for one in measured) / len(measured) for name in measured[0]}
    return {**means, "n": len(measured)}


def muvera_occupancy(texts: list[np.ndarray], planes: np.ndarray) -> dict[str, object]:
    """How the tokens of texts fall into the buckets of planes [dim, R, k].

    ``shares`` of the tokens in a repetition's buckets, descending, and their ``entropy`` in bits, both means over
    repetitions; ``empty``, the mean share of a text's buckets that hold none of its tokens, over texts with tokens.
    """
    repetitions, count = planes.shape[1], 2 ** planes.shape[2]
    tokens = [token for text in texts for token in text]
    shares, entropy, empty = [0.0] * count, 0.0, []
    for r in range(repetitions):
        held = [0] * count
        for token in tokens:
            held[muvera_bucket(token, planes, r)] += 1
        for place, number in enumerate(sorted(held, reverse=True)):
            share = number / len(tokens)
            shares[place] += share / repetitions
            entropy -= share * math.log2(share) / repetitions if share > 0.0 else 0.0
        for text in texts:
            if len(text) > 0:
                empty.append(1 - len({muvera_bucket(token, planes, r) for token in text}) / count)
    return {"shares": shares, "entropy": entropy, "empty": sum(empty) / len(empty), "n": len(tokens)}


def muvera_together(tokens: np.ndarray, planes: np.ndarray) -> tuple[float, float | None]:
    """Over all pairs of different tokens: (collision, agreement); see `harness.geometry.occupancy`."""
    repetitions = planes.shape[1]
    buckets = [[muvera_bucket(token, planes, r) for r in range(repetitions)] for token in tokens]
    places, shared, again, chances = 0, 0, 0, 0
    for i in range(len(tokens)):
        for j in range(i):
            for r in range(repetitions):
                places += 1
                if buckets[i][r] != buckets[j][r]:
                    continue
                shared += 1
                for other in range(repetitions):
                    if other != r:
                        chances += 1
                        again += buckets[i][other] == buckets[j][other]
    return shared / places, again / chances if chances else None


def smve_load(tokens: np.ndarray, anchors: np.ndarray, keep: int) -> dict[str, object]:
    """How many tokens keep each anchor of anchors [dim, repetitions, w].

    ``lorenz``: share of all kept places on the least loaded 0, 1, 2, ... anchors; ``gini``: mean difference of the
    numbers of two anchors, over twice their mean.
    """
    _, repetitions, w = anchors.shape
    held = [0] * (repetitions * w)
    for token in tokens:
        for r in range(repetitions):
            for a in smve_kept(token, anchors, r, keep):
                held[r * w + a] += 1
    return load(held)


def load(held: list[int]) -> dict[str, object]:
    """Statistics of how many tokens keep each anchor: see `smve_load`."""
    total, size = sum(held), len(held)
    differences = 0
    for a in held:
        for b in held:
            differences += abs(a - b)
    lorenz = [0.0]
    for number in sorted(held):
        lorenz.append(lorenz[-1] + number / total)
    return {
        "gini": differences / (2 * size * total),
        "unused": sum(number == 0 for number in held) / size,
        "largest": max(held) / total,
        "lorenz": lorenz,
    }


def mean_ranks(scores: list[float]) -> list[float]:
    """1 for the largest score; equal scores all have the mean of their ranks."""
    ranks = []
    for score in scores:
        larger = sum(other > score for other in scores)
        equal = sum(other == score for other in scores)
        ranks.append(larger + (equal + 1) / 2)
    return ranks


def spearman(first: list[float], exact: list[float]) -> float:
    """Correlation of the ranks of the same documents by two scores; 0 if one of them is the same for all."""
    a, b = mean_ranks(first), mean_ranks(exact)
    mean = (len(a) + 1) / 2
    both = sum((x - mean) * (y - mean) for x, y in zip(a, b, strict=True))
    squares = sum((x - mean) ** 2 for x in a) * sum((y - mean) ** 2 for y in b)
    return both / math.sqrt(squares) if squares > 0.0 else 0.0


def share_found(first: list[int], exact: list[int], top: int, depth: int) -> float:
    """Share of the first `top` of the exact ranking that are among the first `depth` of the other."""
    wanted = exact[:top]
    return sum(document in first[:depth] for document in wanted) / len(wanted)


def bm25(query: list[str], docs: list[list[str]], k1: float, b: float) -> list[float]:
    """BM25 of every document for a query, both given as their words, in Lucene's variant.

    It is a sum over the query's words, each as often as it stands there, of
    ln(1 + (N - n + 0.5) / (n + 0.5)) f / (f + k1 (1 - b + b |d| / mean |d|)).
    """
    mean = sum(len(doc) for doc in docs) / len(docs)
    scores = []
    for doc in docs:
        total = 0.0
        for word in query:
            having = sum(1 for other in docs if word in other)
            often = doc.count(word)
            if often:
                idf = math.log(1 + (len(docs) - having + 0.5) / (having + 0.5))
                total += idf * often / (often + k1 * (1 - b + b * len(doc) / mean))
        scores.append(total)
    return scores


def binary(query: np.ndarray, document: np.ndarray) -> float:
    """MaxSim of a query [m, dim] with a document [n, dim] whose numbers are replaced by their signs, 0 by -1."""
    signs = np.array([[1.0 if value > 0 else -1.0 for value in token] for token in document]).reshape(document.shape)
    return maxsim(query, signs)


def lemur_features(token: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """psi of a token [dim]: gelu(x G) for G [dim, m], less its mean over the m features, by its standard deviation."""
    raw = []
    for f in range(weights.shape[1]):
        value = dot(token, weights[:, f])
        raw.append(value * 0.5 * (1 + math.erf(value / math.sqrt(2))))
    mean = sum(raw) / len(raw)
    variance = sum((value - mean) ** 2 for value in raw) / len(raw)
    return np.array([(value - mean) / math.sqrt(variance + 1e-5) for value in raw])


def lemur(
    queries: list[np.ndarray], docs: list[np.ndarray], learning: np.ndarray, weights: np.ndarray, sample: list[int]
) -> list[list[float]]:
    """Scores of all documents for each query: sums of psi over the query's tokens, times least-squares weights of each
    document's best dot products with the learning tokens [n, dim]. Targets are standardized over those of the sample of
    documents.
    """
    known = np.array([lemur_features(token, weights) for token in learning])
    targets = np.array([[maxsim(token[None], document) for document in docs] for token in learning])
    targets = (targets - targets[:, sample].mean()) / targets[:, sample].std()
    solved = np.linalg.lstsq(known, targets, rcond=float(np.finfo(np.float32).eps) * max(known.shape))[0]
    features = [sum(lemur_features(token, weights) for token in query) for query in queries]
    return [[dot(feature, solved[:, d]) for d in range(len(docs))] for feature in features]


def pooled(tokens: np.ndarray, factor: int) -> np.ndarray:
    """A document's tokens [n, dim] with all but the first replaced by means of max(1, (n - 1) // factor) clusters.

    The two nearest clusters are joined until that many are left (Ward, by Lance and Williams' formula); two tokens are
    1 - their dot product apart, at least 0. In the order of the clusters' first tokens.
    """
    rest = tokens[1:]
    wanted = max(1, len(rest) // factor)
    if wanted >= len(rest):
        return np.asarray(tokens, dtype=np.float64)
    clusters = {i: [i] for i in range(len(rest))}
    apart = {(i, j): max(0.0, 1 - dot(rest[i], rest[j])) for i in clusters for j in clusters if i < j}
    while len(clusters) > wanted:
        a, b = min(apart, key=lambda pair: apart[pair])
        joined = apart[a, b]
        for other in [name for name in clusters if name not in (a, b)]:
            to_a, to_b = apart[min(a, other), max(a, other)], apart[min(b, other), max(b, other)]
            n_a, n_b, n = len(clusters[a]), len(clusters[b]), len(clusters[other])
            squared = ((n + n_a) * to_a**2 + (n + n_b) * to_b**2 - n * joined**2) / (n + n_a + n_b)
            apart[min(a, other), max(a, other)] = math.sqrt(max(0.0, squared))
        clusters[a] += clusters.pop(b)
        apart = {pair: value for pair, value in apart.items() if b not in pair}
    means = [np.mean([rest[i].astype(np.float64) for i in members], axis=0) for members in clusters.values()]
    return np.array([tokens[0].astype(np.float64), *means])


def mean_over_units(units: dict[str, dict[str, dict[str, float]]]) -> float:
    """The mean over units of the mean over their data sets of the mean over queries.

    Scores are those of each query of each data set of each unit.
    """
    means = []
    for by_dataset in units.values():
        own = [sum(scores.values()) / len(scores) for scores in by_dataset.values()]
        means.append(sum(own) / len(own))
    return sum(means) / len(means)
