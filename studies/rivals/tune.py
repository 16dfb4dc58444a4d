"""Settings of the first stages at several sizes, tried on CACM and CISI, which belong to no suite.

    python studies/rivals/tune.py results_dir=FOLDER [option=value ...]

Records of the settings go to the folder. Writes results/rivals/tuned.csv: each setting that was tried, its bytes per
document, and NDCG@10 x 100 at rk=0, 50 and 100, mean over the two sets and the draws. What is finished is not measured
again. `chosen` is the rule of plan.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product

import pandas as pd
from omegaconf import DictConfig

from harness import records
from harness.config import compose
from harness.config.entries import ROOT
from harness.measure import grouping
from harness.records import Record
from harness.run import run
from harness.system.files import write_text

MODEL = "model=answerai_colbert_small"
SETS = ("cacm", "cisi")
BUDGETS = (1, 4, 16, 40, 64)
"""KB (1,024 bytes) per document; a vector in float32 has 256 numbers per KB."""
SEEDS = "method.seeds=[101,102,103]"
"""The seeds of the draws here. No reported result uses them."""
CENTERS = (
    "center=none",
    "center=none query_tokens=real",
    "center=corpus",
    "center=corpus query_tokens=real",
    "center=text",
)
LEARN = ("documents", "pseudo_queries")
LEMUR = "method=lemur method.features=1024"
LEMUR_SIZES = (256, 4096)
"""Features that are tried under the best centering of 1,024 alone."""
SMVE = ((1024, 4), (4096, 4), (4096, 8), (16384, 8), (16384, 16), (65536, 4), (65536, 8), (65536, 16), (65536, 32))
"""Width and keep: the better half of results/tables/smve_curve.md."""
DEPTHS = (0, 50, 100)
TABLE = ROOT / "results" / "rivals" / "tuned.csv"


def tried() -> Iterator[str]:
    """The words of each setting."""
    for budget, bits, projection in product(BUDGETS, range(1, 8), (4, 8, 16, 32)):
        if repetitions := 256 * budget // (2**bits * projection):
            size = f"method.repetitions={repetitions} method.bits={bits} method.projection={projection}"
            yield f"method=muvera center=recommended {size}"
    for center in CENTERS:
        for learn in LEARN:
            yield f"{LEMUR} {center} method.learn={learn}"
        for queries in ("float", "int8"):
            yield f"method=binary {center} method.queries={queries}"
    for features, learn in product(LEMUR_SIZES, LEARN):
        yield f"method=lemur method.features={features} center=none query_tokens=real method.learn={learn}"
    for width, keep in SMVE:
        yield f"method=smve center=recommended method.width={width} method.keep={keep}"


def chosen(method: str, budget: float = float("inf")) -> str:
    """The words of the setting of a method with the highest NDCG@10 at rk=0 within so many KB per document."""
    table = pd.read_csv(TABLE)
    table = table[table["setting"].str.startswith(f"method={method} ") & (table["bytes"] <= 1024 * budget)]
    return str(table.loc[table["rk=0"].idxmax(), "setting"])


def record_of(cell: DictConfig) -> Record:
    """The record of a cell that was measured."""
    [(options, [request])] = grouping.by_testbed([cell])
    return records.read(records.record_path(options.results, *request.key(options.dataset_name, options.model.variant)))


def main(words: list[str]) -> None:
    """Measure what is missing, and write the table."""
    lines = []
    for dataset in SETS:
        base = [MODEL, f"dataset={dataset}", "reference=null", f"depths=[{','.join(map(str, DEPTHS))}]", *words]
        cells = {setting: compose.composed(compose.expand([*base, SEEDS, *setting.split()])) for setting in tried()}
        failed = run([*cells.values(), compose.composed(compose.expand([*base, "method=exact"]))])
        sys.stdout.write(f"{dataset}: {'; '.join(failed) or 'done'}\n")
        for setting, cell in cells.items():
            record = record_of(cell)
            line = {"setting": setting, "bytes": record.bytes["index"] / record.details["documents"]}
            lines.append({**line, **{f"rk={depth}": 100 * record.ndcg10[str(depth)] for depth in DEPTHS}})
    table = pd.DataFrame(lines).groupby("setting", sort=False).mean().reset_index()
    write_text(TABLE, table.to_csv(index=False, float_format="%.2f"))


if __name__ == "__main__":
    main(sys.argv[1:])
