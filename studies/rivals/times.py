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
    """Measure all arms in each round, and write the table after each; what takes longest comes last."""
    named = arms()
    slow = OTHERS | named.pop("dense")  # PLAID builds an index, and MiniLM encodes all documents
    settings = {arm: setting for some in (*named.values(), slow) for arm, setting in some.items()}
    rows = pd.read_csv(TABLE).to_dict("records") if TABLE.exists() else []
    done = {(row["arm"], row["round"]) for row in rows}
    for turn, (arm, setting) in product(range(ROUNDS), settings.items()):
        if (arm, turn) not in done:
            ms = measured(setting.replace(FEW_DRAWS, ""), words)
            rows.append({"arm": arm, "round": turn, "ms": ms})
            write_text(TABLE, pd.DataFrame(rows).to_csv(index=False, float_format="%.4f"))
            sys.stdout.write(f"{arm}: {ms:.3f} ms\n")
            sys.stdout.flush()


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
