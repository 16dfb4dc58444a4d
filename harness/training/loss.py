"""The loss L = (1 - alpha) * contrastive(MaxSim) + alpha * contrastive(codes), for PyLate and sentence-transformers.

Query i's positive is document i; all other documents of the batch, positives of others and hard negatives alike, are
negatives. Scores are divided by the query's number of tokens, so that a temperature means the same for short and long
queries; cross-entropy over documents. MaxSim sees the model's own unit vectors; codes see centered ones: ``corpus``
subtracts the documents' mean from both sides, ``own`` each side's own. The means are running ones over batches, each of
one source, where the evaluation has those of one corpus.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import nn

from harness.models import heads
from harness.training.codes import Codes

_PIECE = 1 << 26  # similarities held at once: 256 MiB of float32


class TokenMeans(nn.Module):
    """The means that centering subtracts while a model trains; constants for the gradient.

    Parameters
    ----------
    center
        ``none``, ``corpus`` (joint: the documents' mean for both sides) or ``own``.
    momentum
        Of the running mean: mean = momentum * mean + (1 - momentum) * the batch's; 0: the batch's own mean.
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
        """Take a batch into the means."""
        momentum = self.momentum if self.seen else 0.0
        for mean, tokens, mask in ((self.queries, queries, query_mask), (self.documents, documents, document_mask)):
            mean.lerp_(tokens[mask].mean(dim=0).to(mean.dtype), 1 - momentum)
        self.seen += 1

    def shifts(self) -> tuple[torch.Tensor, torch.Tensor]:
        """What is subtracted from queries, and from documents."""
        if self.center == "none":
            return torch.zeros_like(self.queries), torch.zeros_like(self.documents)
        return (self.queries if self.center == "own" else self.documents), self.documents


class STEContrastive(nn.Module):
    """The loss; give it to `SentenceTransformerTrainer` with PyLate's `ColBERTCollator`.

    Parameters
    ----------
    model
        PyLate's ColBERT.
    codes
        Straight-through projections (`harness.training.codes`); None: MaxSim alone.
    means
        Centering of the codes.
    alpha
        Weight of the codes' term.
    temperature, code_temperature
        Of the two cross-entropies.

    Source: model card of lightonai/LateOn-regularized, which names the loss and not its temperatures.
    """

    def __init__(
        self,
        model: Any,
        codes: Codes | None,
        means: TokenMeans,
        alpha: float,
        temperature: float,
        code_temperature: float,
    ) -> None:
        super().__init__()
        self.model, self.codes, self.means = model, codes, means
        self.alpha, self.temperature, self.code_temperature = alpha, temperature, code_temperature

    def forward(
        self, sentence_features: Iterable[dict[str, torch.Tensor]], labels: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """The two terms, weighted; their sum is the loss.

        Parameters
        ----------
        sentence_features
            Queries, positives and any number of groups of negatives, as PyLate's collator (or
            `harness.training.cached`) makes them, each of as many texts as there are queries.
        labels
            Not used: the first group of documents is the positives.
        """
        asked, *groups = sentence_features
        queries, query_mask = self._tokens(asked, is_query=True)
        documents, document_mask = _joined([self._tokens(group, is_query=False) for group in groups])
        with torch.autocast(queries.device.type, enabled=False):  # scores and codes in float32, as in the evaluation
            return self._terms(queries, query_mask, documents, document_mask)

    def _terms(
        self,
        queries: Float[torch.Tensor, "queries length dim"],
        query_mask: Bool[torch.Tensor, "queries length"],
        documents: Float[torch.Tensor, "docs tokens dim"],
        document_mask: Bool[torch.Tensor, "docs tokens"],
    ) -> dict[str, torch.Tensor]:
        lengths = query_mask.sum(dim=1, keepdim=True)
        terms = {}
        if self.alpha < 1:
            scores = maxsim(queries, query_mask, documents, document_mask) / lengths
            terms["maxsim"] = (1 - self.alpha) * _contrastive(scores / self.temperature)
        if self.codes is not None and self.alpha > 0:
            if self.training:
                self.means.update(queries, query_mask, documents, document_mask)
            of_queries, of_documents = self.means.shifts()
            query_codes = self.codes(queries - of_queries, query_mask, True)
            document_codes = self.codes(documents - of_documents, document_mask, False)
            scores = query_codes @ document_codes.T / (self.codes.unit * lengths)
            terms["codes"] = self.alpha * _contrastive(scores / self.code_temperature)
        return terms

    def _tokens(
        self, features: dict[str, torch.Tensor], is_query: bool
    ) -> tuple[Float[torch.Tensor, "texts length dim"], Bool[torch.Tensor, "texts length"]]:
        """Unit token vectors of a group of texts, and which of them count: those that `harness.vectors.encode` keeps."""
        model = getattr(self.model, "module", self.model)  # (Distributed)DataParallel's
        if "token_embeddings" in features:  # a frozen backbone's, kept tokens only
            tokens = heads.forward(model, features["token_embeddings"])
            mask = features["attention_mask"].bool()
        else:
            tokens = self.model(dict(features))["token_embeddings"]
            mask = features["attention_mask"].bool()
            if is_query and model.do_query_expansion:
                mask = torch.ones_like(mask)
            if not is_query:
                mask = mask & model.skiplist_mask(features["input_ids"], model.skiplist)
        return nn.functional.normalize(tokens.float(), dim=-1), mask


def maxsim(
    queries: Float[torch.Tensor, "queries length dim"],
    query_mask: Bool[torch.Tensor, "queries length"],
    documents: Float[torch.Tensor, "docs tokens dim"],
    document_mask: Bool[torch.Tensor, "docs tokens"],
) -> Float[torch.Tensor, "queries docs"]:
    """MaxSim of all queries with all documents; padding takes no part, whatever the sign of the similarities.

    The nearest document tokens are found without gradient; gradients go through their dot products alone, which is the
    gradient of the maximum (of the first of equal ones) at the cost of a lookup in place of two large products.
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
    return nn.functional.cross_entropy(scores, torch.arange(len(scores), device=scores.device))


def _joined(groups: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Groups of texts as one, padded to the longest."""
    longest = max(mask.shape[1] for _, mask in groups)
    tokens = [nn.functional.pad(t, (0, 0, 0, longest - t.shape[1])) for t, _ in groups]
    masks = [nn.functional.pad(mask, (0, longest - mask.shape[1])) for _, mask in groups]
    return torch.cat(tokens), torch.cat(masks)
