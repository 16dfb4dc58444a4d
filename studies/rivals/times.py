"""Milliseconds per query of each arm's first stage, on SciFact: studies/rivals/plan.md has the arms.

    python studies/rivals/times.py [option=value ...]

Measures the arms in turns, three rounds, one draw each, without reranking, and adds each time to
results/rivals/times.csv; what that has is not measured again. Use it on a machine that does nothing else. The time is
from a query's token vectors (BM25 and MiniLM: from its text) to its first documents, in a batch of all 300 queries, as
in `table cost=true`.
"""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from arms import FEW_DRAWS, OTHERS, arms, cell_of  # beside this file, as is tune
from tune import record_of

from harness.config.entries import ROOT
from harness.run import run
from harness.system.files import write_text
from harness.tables import costs, row_of

DATASET, ROUNDS = "scifact", 3
TABLE = ROOT / "results" / "rivals" / "times.csv"


def main(words: list[str]) -> None:
    """Measure all arms in each round, and write the table after each."""
    settings = {arm: setting for named in arms().values() for arm, setting in named.items()} | OTHERS
    table = pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame({"arm": [], "round": [], "ms": []})
    done = {*table[["arm", "round"]].itertuples(index=False, name=None)}
    for turn, (arm, setting) in product(range(ROUNDS), settings.items()):
        if (arm, turn) not in done:
            table.loc[len(table)] = [arm, turn, measured(setting.replace(FEW_DRAWS, ""), words)]
            write_text(TABLE, table.astype({"round": int}).to_csv(index=False, float_format="%.4f"))
            sys.stdout.write(f"{arm}: {table['ms'].iloc[-1]:.3f} ms\n")


def measured(setting: str, words: list[str]) -> float:
    """Milliseconds per query of a first stage, from a run of it alone."""
    with TemporaryDirectory() as folder:
        given = [*words, "depths=[0]", "method.seeds=null", "overwrite=true", f"results_dir={Path(folder)}"]
        cell = cell_of(setting, DATASET, given)
        if failed := run([cell]):
            raise SystemExit("; ".join(failed))
        record = record_of(cell)
    row = row_of(record)
    return costs.measured([record], [row], [DATASET])[row][DATASET].first_stage_ms


if __name__ == "__main__":
    main(sys.argv[1:])
