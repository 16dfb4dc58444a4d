"""Milliseconds per query of each arm's first stage, on SciFact: studies/rivals/plan.md has the arms.

    python studies/rivals/times.py [option=value ...]

Measures the arms in turns, three rounds, one draw each, without reranking, and adds each time to
results/rivals/times.csv; what that has is not measured again. PLAID, exact search, MiniLM and every arm of more than
100 ms per query, whose runs take minutes, are measured once. Use it on a machine that does nothing else. The time is
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

DATASET, ROUNDS, LONG_MS = "scifact", 3, 100
TABLE = ROOT / "results" / "rivals" / "times.csv"


def main(words: list[str]) -> None:
    """Measure all arms in each round, and write the table after each; what takes longest comes last."""
    named = arms()
    last = OTHERS | named.pop("dense")  # PLAID builds an index, and MiniLM encodes all documents
    settings = {arm: setting for some in named.values() for arm, setting in some.items()}
    turns = [*product(range(ROUNDS), settings), *product((0,), last)]
    rows = pd.read_csv(TABLE).to_dict("records") if TABLE.exists() else []
    done = {(row["arm"], row["round"]) for row in rows}
    long = {row["arm"] for row in rows if row["ms"] > LONG_MS}
    for turn, arm in turns:
        if (arm, turn) not in done and not (turn and arm in long):
            ms = measured((settings | last)[arm].replace(FEW_DRAWS, ""), words)
            rows.append({"arm": arm, "round": turn, "ms": ms})
            long |= {arm} if ms > LONG_MS else set()
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
