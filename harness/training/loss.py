"""The loss L = (1 - alpha) * contrastive(MaxSim) + alpha * contrastive(codes), for PyLate and sentence-transformers.

Each term is a cross-entropy over the documents of a batch. The positive of query i is document i; all other documents,
positives of other queries and hard negatives alike, are its negatives. Scores are divided by the number of query
tokens, so that a temperature means the same for short and long queries.

MaxSim uses the model's own unit vectors. Codes use centered vectors: ``corpus`` subtracts the documents' mean from both
sides, ``own`` subtracts from each side its own mean. These are running means over batches, each of which comes from one
source; the evaluation has the means of one corpus. What the codes see of a query, and with it their mean of queries,
may be a part of its tokens (`harness.training.queries`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import nn

from harness.models import heads
from harness.models.layers import HIDDEN, LastLayers
from harness.training.codes import Codes
from harness.training.queries import MASK
from harness.vectors.forward import kept

_PIECE = 1 << 26  # similarities held at once: 256 MiB of float32


class TokenMeans(nn.Module):
    """The means that centering subtracts during training. Gradients do not pass through them.

    Parameters
    ----------
    center
        ``none``, ``corpus`` (the documents' mean for both sides) or ``own``.
    momentum
        mean = momentum * mean + (1 - momentum) * mean of the batch; 0: always the mean of the batch.

    Attributes
    ----------
    documents, queries : the running means, [dim]
    seen : number of batches that the means have been updated with
    """

    documents: torch.Tensor
    queries: torch.Tensor
    seen: torch.Tensor

    def __init__(self, dim: int, center: str, momentum: float) -> None:
        super().__init__()
        self.center, self.momentum = center, momentum
        self.register_buffer("documents", torch.zeros(dim))
        self.register_buffer("queries", torch.zeros(dim))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def update(
        self,
        queries: Float[torch.Tensor, "queries length dim"],
        query_mask: Bool[torch.Tensor, "queries length"],
        documents: Float[torch.Tensor, "docs tokens dim"],
        document_mask: Bool[torch.Tensor, "docs tokens"],
    ) -> None:
        """Update the running means with a batch; masks are False at padding."""
        momentum = self.momentum if self.seen else 0.0
        for mean, tokens, mask in ((self.queries, queries, query_mask), (self.documents, documents, document_mask)):
            mean.lerp_(tokens[mask].mean(dim=0).to(mean.dtype), 1 - momentum)
        self.seen += 1

    def shifts(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The vectors to subtract from queries and from documents, [dim] each."""
        if self.center == "none":
            return torch.zeros_like(self.queries), torch.zeros_like(self.documents)
        return (self.queries if self.center == "own" else self.documents), self.documents


class STEContrastive(nn.Module):
    """The loss of this module, for `SentenceTransformerTrainer` with the batches of PyLate's `ColBERTCollator`.

    Parameters
    ----------
    model
        PyLate's ColBERT.
    codes
        Straight-through projections (`harness.training.codes`); None: MaxSim alone.
    means
        Means for centering the tokens of the codes.
    alpha
        Weight of the codes' term.
    temperature, code_temperature
        Temperatures of the two cross-entropies.
    last
        The layers that are trained on the output of frozen ones; None: the batches have other features.

    Source: the model card of lightonai/LateOn-regularized, which gives the loss but not its temperatures.
    """

    def __init__(
        self,
        model: Any,
        codes: Codes | None,
        means: TokenMeans,
        alpha: float,
        temperature: float,
        code_temperature: float,
        last: LastLayers | None = None,
    ) -> None:
        super().__init__()
        self.model, self.codes, self.means = model, codes, means
        self.alpha, self.temperature, self.code_temperature = alpha, temperature, code_temperature
        self.last = last

    def forward(
        self, sentence_features: Iterable[dict[str, torch.Tensor]], labels: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """The two weighted terms, ``maxsim`` and ``codes``; their sum is the loss.

        Parameters
        ----------
        sentence_features
            Queries, positives and any number of groups of negatives, all of the same size, from PyLate's collator or
            `harness.training.cached`.
        labels
            Not used, as the first group of documents holds the positives; the trainer passes it.
        """
        query_features, *groups = sentence_features
        queries, query_mask = self._tokens(query_features, is_query=True)
        documents, document_mask = _joined([self._tokens(group, is_query=False) for group in groups])
        with torch.autocast(queries.device.type, enabled=False):  # scores and codes in float32, as in the evaluation
            seen = query_features.get(MASK, query_mask)
            return self._terms(queries, query_mask, documents, document_mask, seen)

    def _terms(
        self,
        queries: Float[torch.Tensor, "queries length dim"],
        query_mask: Bool[torch.Tensor, "queries length"],
        documents: Float[torch.Tensor, "docs tokens dim"],
        document_mask: Bool[torch.Tensor, "docs tokens"],
        seen: Bool[torch.Tensor, "queries length"],
    ) -> dict[str, torch.Tensor]:
        terms = {}
        if self.alpha < 1:
            scores = maxsim(queries, query_mask, documents, document_mask) / query_mask.sum(dim=1, keepdim=True)
            terms["maxsim"] = (1 - self.alpha) * _contrastive(scores / self.temperature)
        if self.codes is not None and self.alpha > 0:
            if self.training:
                self.means.update(queries, seen, documents, document_mask)
            query_mean, document_mean = self.means.shifts()
            query_codes = self.codes(queries - query_mean, seen, True)
            document_codes = self.codes(documents - document_mean, document_mask, False)
            scores = query_codes @ document_codes.T / (self.codes.unit * seen.sum(dim=1, keepdim=True))
            terms["codes"] = self.alpha * _contrastive(scores / self.code_temperature)
        return terms

    def _tokens(
        self, features: dict[str, torch.Tensor], is_query: bool
    ) -> tuple[Float[torch.Tensor, "texts length dim"], Bool[torch.Tensor, "texts length"]]:
        """Unit token vectors of texts, and the mask of the tokens that count, as in `harness.vectors.forward`."""
        model = getattr(self.model, "module", self.model)  # the model inside (Distributed)DataParallel
        if "token_embeddings" in features:  # of a frozen backbone, without tokens that do not count
            tokens = heads.forward(model, features["token_embeddings"])
            mask = features["attention_mask"].bool()
        else:
            if self.last is not None and HIDDEN in features:
                tokens = heads.forward(model, self.last.above(features))
            else:
                tokens = self.model(dict(features))["token_embeddings"]
            mask = kept(model, features, is_query)
        return nn.functional.normalize(tokens.float(), dim=-1), mask


def maxsim(
    queries: Float[torch.Tensor, "queries length dim"],
    query_mask: Bool[torch.Tensor, "queries length"],
    documents: Float[torch.Tensor, "docs tokens dim"],
    document_mask: Bool[torch.Tensor, "docs tokens"],
) -> Float[torch.Tensor, "queries docs"]:
    """MaxSim of all queries with all documents; padding never counts, also where all similarities are negative.

    The nearest document tokens are found without gradient. Gradients pass only through the dot products with them,
    which is the gradient of the maximum (the first of equal ones). This replaces two large products by a lookup.
    """
    flat, owner = queries[query_mask], query_mask.nonzero()[:, 0]
    count, length, dim = documents.shape
    step = max(1, _PIECE // (len(flat) * length))
    with torch.no_grad():
        nearest = [
            torch.einsum("qd,ntd->qnt", flat, group).masked_fill_(~mask, -torch.inf).argmax(dim=2)
            for group, mask in zip(documents.split(step), document_mask.split(step), strict=True)
        ]
        rows = torch.cat(nearest, dim=1) + torch.arange(count, device=flat.device) * length  # [query tokens, docs]
    best = (flat[:, None] * documents.reshape(-1, dim)[rows]).sum(dim=2)
    return best.new_zeros(len(queries), count).index_add(0, owner, best)


def _contrastive(scores: Float[torch.Tensor, "queries docs"]) -> torch.Tensor:
    """The cross-entropy of each query's positive, the document of the same number."""
    return nn.functional.cross_entropy(scores, torch.arange(len(scores), device=scores.device))


def _joined(groups: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens and masks of all groups as one, padded to the longest text."""
    longest = max(mask.shape[1] for _, mask in groups)
    tokens = [nn.functional.pad(t, (0, 0, 0, longest - t.shape[1])) for t, _ in groups]
    masks = [nn.functional.pad(mask, (0, longest - mask.shape[1])) for _, mask in groups]
    return torch.cat(tokens), torch.cat(masks)
