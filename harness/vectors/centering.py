"""Centering, for candidate generation only: PLAID, exact search and reranking see the model's own vectors.

    none     q_i,           d_j
    corpus   q_i - mu_D,    d_j - mu_D     mu_D: mean over all document token vectors (the card's "Center: yes")
    own      q_i - mu_Q,    d_j - mu_D     mu_Q: mean query token vector, of queries that are not evaluated
    text     q_i - mean q,  d_j - mean d   each text minus the mean of its own tokens
    shrunk   q_i - (a mean q + (1 - a) mu_Q),  d_j - (b mean d + (1 - b) mu_D)     a: `share` 1/2, b: `document_share` 0

Documents minus mu_D fill MUVERA's buckets and SMVE's anchors evenly. A query's tokens minus mu_D still have an offset
in common, mu_Q - mu_D, and MUVERA's score is linear in it: it orders the documents nearly alike for all queries
(correlation 0.85 to 0.95). Taking it away is what `own` and `shrunk` do; which bucket a token falls into hardly matters
(results/query_side/README.md). `renormalize` makes the centered vectors unit vectors again (off by default).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from harness.config.shards import CHUNK
from harness.system.errors import HarnessError
from harness.system.threads import chunks, map_threads
from harness.vectors.store import TokenVectors


@dataclass(frozen=True)
class Centering:
    """What is subtracted from the documents' and the queries' token vectors.

    Attributes
    ----------
    documents, queries : the mean that is subtracted from all texts of this side; None: zero
    share, document_share : from each query (document), the share times the mean of its own tokens and (1 - the share)
        times that mean are subtracted
    """

    documents: Float[np.ndarray, " dim"] | None = None
    queries: Float[np.ndarray, " dim"] | None = None
    renormalize: bool = False
    share: float = 0.0
    document_share: float = 0.0

    def apply_documents(self, docs: TokenVectors) -> TokenVectors:
        """The store's rows, centered as they are read."""
        return _shifted(docs, self.documents, self.document_share, self.renormalize)

    def apply_queries(self, queries: TokenVectors) -> TokenVectors:
        """The store's rows, centered as they are read."""
        return _shifted(queries, self.queries, self.share, self.renormalize)


def token_sums(store: TokenVectors) -> Float[np.ndarray, "chunks dim"]:
    """Sums of the token vectors of every `CHUNK` rows, in float64.

    In chunks, so that the same numbers are added in the same order whether a corpus is in one piece or in shards.
    """

    def sums_of(rows: range) -> np.ndarray:
        return store.rows(rows.start, rows.stop).tokens.sum(axis=0, dtype=np.float64)

    return np.array(map_threads(sums_of, chunks(len(store), CHUNK))).reshape(-1, store.dim)


def mean_of(sums: Sequence[Float[np.ndarray, "_ dim"]], tokens: int) -> Float[np.ndarray, " dim"]:
    """The mean, float32 [dim], from the sums of a corpus (or of its shards, in order) and its number of tokens."""
    return (np.concatenate(sums).sum(axis=0) / max(1, tokens)).astype(np.float32)


def token_mean(store: TokenVectors) -> Float[np.ndarray, " dim"]:
    """Mean over all token vectors of a store, float32 [dim]."""
    return mean_of([token_sums(store)], int(store.offsets[-1]))


@dataclass(frozen=True)
class Kind:
    """A kind of centering: what it subtracts, and its labels.

    Attributes
    ----------
    label : in the column "Center" of tables
    space : what the token vectors are called under it, in tables and figures of geometry
    documents, queries : the mean that is subtracted from this side, ``mu_D`` or ``mu_Q``; None: nothing
    share : the weight of each text's own mean beside it (`Centering.share`); None: an option says
    in_card : whether the table of the model card has it
    words : what it does, for remarks
    legend : the label of a line in figures; "": the same as `space`
    """

    label: str
    space: str
    documents: str | None
    queries: str | None
    share: float | None = 0.0
    in_card: bool = False
    words: str = ""
    legend: str = ""

    @property
    def by_text(self) -> bool:
        """Whether it subtracts something else from each text."""
        return self.share != 0

    def shares(self, share: float | None, document_share: float | None) -> tuple[float | None, float | None]:
        """The weights of a query's and of a document's own mean: its own, or those that the options give."""
        return (share, document_share) if self.share is None else (self.share, self.share)

    @property
    def needs_document_mean(self) -> bool:
        """Whether mu_D is subtracted from a side."""
        return MU_D in (self.documents, self.queries)

    @property
    def needs_query_mean(self) -> bool:
        """Whether mu_Q is subtracted from a side."""
        return MU_Q in (self.documents, self.queries)


MU_D, MU_Q = "mu_D", "mu_Q"
KINDS = {
    "none": Kind("no", "raw", None, None, in_card=True, words="as the model gives them"),
    "corpus": Kind("yes", "centered", MU_D, MU_D, in_card=True, words="minus the documents' mean"),
    "own": Kind("own", "own", MU_D, MU_Q, words="each side centered by its own mean", legend="own mean"),
    "text": Kind("text", "text", None, None, 1.0, words="each text centered by the mean of its own tokens"),
    "shrunk": Kind(
        "shrunk", "shrunk", MU_D, MU_Q, None, words="queries centered by a mean of their own and of queries"
    ),
}
"""The kinds, by the names of the entries of conf/center, in the order of tables: a new kind is a line and an entry."""


def fit(
    kind: str,
    mu_d: Float[np.ndarray, " dim"] | None,
    mean_queries: TokenVectors | None,
    renormalize: bool,
    share: float | None = None,
    document_share: float | None = None,
) -> Centering:
    """The centering of one kind.

    Parameters
    ----------
    mu_d
        mu_D; only needed by a kind that subtracts it.
    mean_queries
        Token vectors whose mean is mu_Q; only read for a kind that subtracts it.
    share, document_share
        For a kind that leaves them to options.

    Raises
    ------
    ValueError
        If a mean is needed and not given.
    """
    chosen = KINDS[kind]
    mu_q = token_mean(mean_queries) if chosen.needs_query_mean and mean_queries is not None else None
    means = {None: None, MU_D: mu_d, MU_Q: mu_q}
    for side in (chosen.documents, chosen.queries):
        if side and means[side] is None:
            raise ValueError(f"the centering '{kind}' subtracts {side}, which was not given")
    shares = chosen.shares(share, document_share)
    if None in shares:
        raise ValueError(f"the centering '{kind}' needs a share of each side, which was not given")
    return Centering(means[chosen.documents], means[chosen.queries], renormalize, *map(float, shares))  # type: ignore[arg-type]


def refuse_unknown(name: str) -> None:
    """Refuse an entry of conf/center without a kind.

    Raises
    ------
    HarnessError
        With what to write.
    """
    if name not in KINDS:
        raise HarnessError(
            f"conf/center/{name}.yaml has no line in KINDS of harness/vectors/centering.py, which says what is "
            "subtracted: write it."
        )


def constant_kinds() -> dict[str, Kind]:
    """The kinds that subtract one vector from all texts of a side."""
    return {name: kind for name, kind in KINDS.items() if not kind.by_text}


def order(name: str) -> tuple[int, str]:
    """The key by which centerings are sorted: the order of `KINDS`, then their names; unknown ones last."""
    base = name.split("+")[0]
    return (list(KINDS).index(base) if base in KINDS else len(KINDS), name)


def in_card(name: str) -> bool:
    """Whether the card has a centering or the one that a variant was made from; an unknown one counts as such."""
    base = name.split("+")[0]
    return base not in KINDS or KINDS[base].in_card


def label(name: str) -> str:
    """The label of a centering in tables, with the options of a variant behind it."""
    base, *options = name.split("+")
    return "+".join([KINDS[base].label if base in KINDS else base, *options])


def _shifted(store: TokenVectors, mean: np.ndarray | None, share: float, renormalize: bool) -> TokenVectors:
    if mean is None and not share and not renormalize:
        return store
    common = torch.from_numpy(np.zeros(store.dim, dtype=np.float32) if mean is None else mean)

    def shift(tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        if share:
            tokens -= _of_texts(tokens, lengths, common.numpy(), share)
        else:
            torch.from_numpy(tokens).sub_(common)  # in place, on all threads
        if renormalize:
            norms = np.linalg.norm(tokens, axis=1, keepdims=True)
            tokens /= np.where(norms > 0, norms, 1)  # a token that equals the mean stays the zero vector
        return tokens

    return store.map(shift)


def _of_texts(
    tokens: Float[np.ndarray, "tokens dim"], lengths: np.ndarray, mean: Float[np.ndarray, " dim"], share: float
) -> Float[np.ndarray, "tokens dim"]:
    """What is subtracted from each token: `share` times its text's mean and (1 - `share`) times `mean`."""
    lengths = lengths[lengths > 0]  # a text without tokens has no mean
    if not len(lengths):
        return np.zeros_like(tokens)
    sums = np.add.reduceat(tokens, np.cumsum(lengths) - lengths, axis=0)
    shifts = np.float32(share) * (sums / lengths[:, None].astype(np.float32)) + np.float32(1 - share) * mean
    return np.repeat(shifts, lengths, axis=0)
