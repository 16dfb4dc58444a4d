"""mu_D, the mean of all document token vectors: of one store, or of shards whose sums are kept beside their vectors."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from harness.config.shards import Shard
from harness.system.errors import HarnessError
from harness.system.files import read_arrays, write_arrays
from harness.vectors.centering import mean_of, token_mean, token_sums
from harness.vectors.store import TokenStore


def of(docs: TokenStore, shard: Shard) -> Float[np.ndarray, " dim"]:
    """The mean over the documents of all shards, given the token vectors of one.

    A shard writes the sums of its own token vectors and adds up those of all shards: the same numbers in the same order
    as for a corpus in one piece.

    Raises
    ------
    HarnessError
        If another shard has not written its sums yet, or a file is damaged.
    """
    if shard.is_full:
        return token_mean(docs)
    before, _, after = docs.path.name.rpartition(shard.suffix)  # pooled documents have more behind it
    paths = [docs.path.with_name(f"{before}{part.suffix}{after}.sums.npz") for part in shard.all]
    own = paths[shard.number - 1]
    if not own.exists():
        write_arrays(own, sums=token_sums(docs), tokens=docs.offsets[-1], name=np.array(own.name))
    missing = [part.name for part, path in zip(shard.all, paths, strict=True) if not path.exists()]
    if missing:
        raise HarnessError(
            f"the mean of the documents needs the sums of shard {', '.join(missing)}: run those shards too (or "
            f"copy their *.sums.npz to {paths[0].parent}), then run shard={shard.name} again; its token "
            "vectors are kept."
        )
    parts = [read_arrays(path) for path in paths]
    for path, part in zip(paths, parts, strict=True):
        if str(part.get("name")) != path.name:
            raise HarnessError(f"{path} is damaged (it is {part.get('name')}): delete it and run its shard again.")
    return mean_of([part["sums"] for part in parts], sum(int(part["tokens"]) for part in parts))
