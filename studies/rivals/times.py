"""Milliseconds per query of each arm's first stage, on SciFact: studies/rivals/plan.md has the arms.

    python studies/rivals/times.py [option=value ...]

Measures the arms in turns, three rounds, one draw each, without reranking, and writes the medians to
results/rivals/times.csv. Use it on a machine that does nothing else. The time is from a query's token vectors to its
first documents, in a batch of all 300 queries, as in `table cost=true`.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import pandas as pd
from arms import arms, cell_of  # beside this file, as is tune
from tune import record_of

from harness.config.entries import ROOT
from harness.run import run
from harness.system.files import write_text
from harness.tables import costs, row_of

DATASET, ROUNDS = "scifact", 3
TABLE = ROOT / "results" / "rivals" / "times.csv"
OTHERS = {"exact search": "method=exact", "PLAID": "method=plaid"}


def main(words: list[str]) -> None:
    """Measure all arms, and write the table."""
    settings = OTHERS | {arm: setting for named in arms().values() for arm, setting in named.items()}
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for arm, setting in settings.items():
            with TemporaryDirectory() as folder:
                given = [*words, "depths=[0]", "method.seeds=null", "overwrite=true", f"results_dir={Path(folder)}"]
                cell = cell_of(setting, DATASET, given)
                if failed := run([cell]):
                    raise SystemExit("; ".join(failed))
                record = record_of(cell)
            row = row_of(record)
            found[arm].append(costs.measured([record], [row], [DATASET])[row][DATASET].first_stage_ms)
            sys.stdout.write(f"{arm}: {found[arm][-1]:.3f} ms\n")
    table = pd.DataFrame([{"arm": arm, "ms": median(values)} for arm, values in found.items()])
    write_text(TABLE, table.to_csv(index=False, float_format="%.4f"))


if __name__ == "__main__":
    main(sys.argv[1:])
