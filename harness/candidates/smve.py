"""SMVE: one sparse vector per text (Spisak and Galovic, TopK blog, March 2026).

w unit anchors a; each token x keeps its k largest (signed) projections a . x:

    query:      C_q[a] = sum  of a . x over its tokens that kept a
    document:   C_d[a] = mean of a . x over its tokens that kept a

The score is the sparse dot product C_q . C_d. With repetitions, independent sets of w anchors are concatenated and each
token keeps k in every set. Anchors are `gaussian` (unit Gaussian columns) or `rotation` (stacked random rotations: the
columns of independent random orthogonal matrices, which spread more evenly than independent columns do).
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int

from harness.candidates import Found, Resources
from harness.errors import HarnessError
from harness.progress import Stopwatch, bar
from harness.ranking import RunningTopK
from harness.store import Block, TokenStore

KINDS = ("gaussian", "rotation")


def gaussian_anchors(dim: int, w: int, rng: np.random.Generator) -> Float[np.ndarray, "dim w"]:
    """W independent directions, uniform on the sphere, as columns."""
    anchors = rng.standard_normal((dim, w))
    return (anchors / np.linalg.norm(anchors, axis=0)).astype(np.float32)


def rotation_anchors(dim: int, w: int, rng: np.random.Generator) -> Float[np.ndarray, "dim w"]:
    """The first w columns of stacked random orthogonal dim x dim matrices (Haar: QR with positive diagonal)."""
    stacked = []
    for _ in range(-(-w // dim)):
        q, r = np.linalg.qr(rng.standard_normal((dim, dim)))
        stacked.append(q * np.sign(np.diag(r)))
    return np.concatenate(stacked, axis=1)[:, :w].astype(np.float32)


class SparseEncoding:
    """The anchors of SMVE for one dimension of token vectors, and the encoding itself."""

    def __init__(
        self, dim: int, width: int, keep: int, repetitions: int, anchors: str, seed: int, device: torch.device
    ) -> None:
        make = gaussian_anchors if anchors == "gaussian" else rotation_anchors
        sets = [make(dim, width, np.random.default_rng([seed, r])) for r in range(repetitions)]
        self.width, self.keep, self.repetitions, self.device = width, keep, repetitions, device
        self.anchors = torch.from_numpy(np.concatenate(sets, axis=1)).to(device)  # [dim, repetitions * w]

    @property
    def size(self) -> int:
        """Length of one code, most of it zeros: repetitions * w."""
        return self.repetitions * self.width

    def _kept(self, block: Block) -> tuple[Float[torch.Tensor, " kept"], Int[torch.Tensor, " kept"]]:
        """Each kept projection, and its place (row * size + anchor) among the codes of the block."""
        tokens = torch.from_numpy(block.tokens).to(self.device)
        projections = (tokens @ self.anchors).view(len(tokens), self.repetitions, self.width)
        values, anchor = projections.topk(self.keep, dim=2, sorted=False)
        anchor += torch.arange(self.repetitions, device=self.device)[:, None] * self.width
        row = torch.from_numpy(np.repeat(np.arange(len(block.lengths)), block.lengths)).to(self.device)
        return values.reshape(-1), (row[:, None] * self.size + anchor.flatten(1)).reshape(-1)

    def queries(self, block: Block) -> Float[torch.Tensor, "rows size"]:
        """Codes of the queries of a block."""
        values, places = self._kept(block)
        codes = torch.zeros(len(block.lengths) * self.size, device=self.device)
        return codes.scatter_add_(0, places, values).view(-1, self.size)

    def documents(self, block: Block) -> tuple[Float[torch.Tensor, "rows size"], int]:
        """Codes of the documents of a block, and how many of their numbers are kept ones."""
        values, places = self._kept(block)
        codes = torch.zeros(len(block.lengths) * self.size, device=self.device)
        counts = torch.zeros_like(codes)
        codes.scatter_add_(0, places, values)
        counts.scatter_add_(0, places, torch.ones_like(values))
        kept = int((counts > 0).sum())
        codes /= counts.clamp_(min=1)
        return codes.view(-1, self.size), kept

    @property
    def token_bytes(self) -> int:
        """Bytes that one token takes while its block is encoded: all projections, and the kept ones."""
        return 4 * self.size + 40 * self.repetitions * self.keep

    @property
    def row_bytes(self) -> int:
        """Bytes that one text takes while its block is encoded: sums and counts."""
        return 8 * self.size


class Smve:
    """Sparse codes made and searched block by block."""

    def __init__(self, width: int, keep: int, repetitions: int, anchors: str, seed: int) -> None:
        if anchors not in KINDS or min(keep, repetitions) < 1 or keep > width:
            raise HarnessError(
                f"SMVE with width={width}, keep={keep}, repetitions={repetitions}, anchors={anchors}: expected "
                f"1 <= keep <= width, at least one repetition, and anchors among {', '.join(KINDS)}."
            )
        self.options = (width, keep, repetitions, anchors, seed)

    def search(self, docs: TokenStore, queries: TokenStore, k: int, resources: Resources) -> Found:
        """The k best documents of each query by C_q . C_d; documents that share no anchor with a query score 0."""
        watch = Stopwatch()
        device = resources.device
        encoding = SparseEncoding(docs.dim, *self.options, device)
        budget = resources.block_bytes
        with watch.phase("encode_queries"):
            blocks = queries.blocks(encoding.token_bytes, encoding.row_bytes, budget)
            # Kept sparse: 10,000 queries at w = 65,536 would take 2.6 GB.
            query_codes = [encoding.queries(block).to_sparse() for block in blocks]
        best = RunningTopK(len(queries), min(k, len(docs)), device)
        kept = 0
        row_bytes = encoding.row_bytes + 12 * len(queries)
        with bar("SMVE", len(docs), resources.show) as progress:
            for block in docs.blocks(encoding.token_bytes, row_bytes, budget):
                with watch.phase("encode_documents"):
                    codes, numbers = encoding.documents(block)
                    kept += numbers
                with watch.phase("search"):
                    scores = torch.cat([part.to_dense() @ codes.T for part in query_codes])
                    scores[:, torch.from_numpy(block.lengths == 0).to(device)] = -torch.inf
                    best.add(torch.arange(block.start, block.stop, device=device), scores)
                progress.update(len(block.lengths))
        with watch.phase("search"):
            ranking = best.ranking()
        # An inverted index keeps a 4-byte document number and a 4-byte value for each kept number.
        details = {"kept_per_document": kept / max(1, len(docs)), "zero_scores": int((ranking.scores == 0).sum())}
        return Found(ranking, watch.seconds, kept * 8, details)
