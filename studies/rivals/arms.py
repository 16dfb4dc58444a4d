"""The arms of the comparison, and how they are measured: studies/rivals/plan.md says why.

    python studies/rivals/arms.py [KIND ...] [DATASET ...] [option=value ...]

Measures the arms of each kind (bm25, dense, binary, muvera, lemur, pooled, smve), or of those that are named, on every
data set of offline8, or on those that are named. What is finished is not measured again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from omegaconf import DictConfig
from tune import CENTERS, MODEL, chosen  # beside this file

from harness.config import compose
from harness.config.entries import entry
from harness.run import run

DRAWS = "method.seeds={muvera: 10, lemur: 10, smve: 5}"
FEW_DRAWS = "method.seeds=3"
"""For LEMUR with 4,096 features, where a draw takes minutes, and with 256, where draws share no pass."""
DEPTHS = "depths=[0,50,100]"
FACTORS = (2, 4)
OTHERS = {"exact search": "method=exact", "PLAID": "method=plaid"}
"""What the arms are compared with; their records are copies of those in results/records."""


def arms() -> dict[str, dict[str, str]]:
    """Kind -> arm -> its words."""
    codes = chosen("binary")
    return {
        "bm25": {"BM25": "method=bm25"},
        "dense": {"MiniLM": "method=dense"},
        "binary": {f"1-bit codes, {center}": f"method=binary {center}" for center in CENTERS}
        | {"1-bit codes, int8 queries": codes.replace("queries=float", "queries=int8")},
        "muvera": {"MUVERA, the card's size": "method=muvera center=recommended"}
        | {f"MUVERA, {kb} KB": chosen("muvera", kb) for kb in (1, 4, 16, 40, 64)},
        "lemur": {"LEMUR, 4 KB": chosen("lemur", 4)}
        | {f"LEMUR, {kb} KB": f"{chosen('lemur', kb)} {FEW_DRAWS}" for kb in (1, 16)},
        "pooled": {
            f"{name}, pooled by {factor}": f"{words} pool=hierarchical pool.factor={factor}"
            for factor in FACTORS
            for name, words in {
                "exact search": "method=exact",
                "MUVERA": "method=muvera center=recommended",
                "1-bit codes": codes,
            }.items()
        },
        "smve": {f"SMVE, {kb} KB": chosen("smve", kb) for kb in (4, 16)},
    }


def cell_of(setting: str, dataset: str, words: Sequence[str]) -> DictConfig:
    """The configuration of an arm on a data set."""
    base = [MODEL, f"dataset={dataset}", "reference=null", DEPTHS, DRAWS, *words]
    return compose.composed(compose.expand([*base, *setting.split()]))


def divided(words: Sequence[str], known: Sequence[str]) -> tuple[list[str], list[str]]:
    """The options, and the names, each of which must be known."""
    options = [word for word in words if "=" in word]
    names = [word for word in words if "=" not in word]
    if unknown := [name for name in names if name not in known]:
        raise SystemExit(f"{unknown[0]} is not known; there are: {', '.join(known)}")
    return options, names


def main(words: list[str]) -> None:
    """Measure the arms that are named on the data sets that are named."""
    by_kind, datasets = arms(), entry("suite", "offline8")["datasets"]
    options, names = divided(words, [*by_kind, *datasets])
    for dataset in [name for name in names if name in datasets] or datasets:
        for kind in [name for name in names if name in by_kind] or by_kind:
            failed = run([cell_of(setting, dataset, options) for setting in by_kind[kind].values()])
            sys.stdout.write(f"{kind}, {dataset}: {'; '.join(failed) or 'done'}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
