"""The command line: a command, and words after it that are overrides of conf/."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from harness.commands import bench, cache, check, geometry, ls, plot, report, reproduce, run, status, table, train
from harness.system import messages
from harness.system.errors import HarnessError, unknown

USAGE = """usage: python -m harness COMMAND [overrides]

  run    [overrides]                     measure a cell, or a sweep with -m (nothing else: the demonstration)
  table  [overrides] [format=markdown|csv|latex] [significance=true] [cost=true] [per_query=true]
                                         the results table of what was measured; with paired tests over queries, with
                                         bytes and seconds; or the score of each query, as CSV
  check  [overrides]                     measured against expected values (results/expected); exit code 1 if any fails
  train  [objective=contrastive|ste_muvera|ste_smve] [train_data=...] [alpha=...] [train.trainable=head|all]
                                         train a model whose vectors survive the projections
  geometry [overrides]                   how token vectors lie, what the projections see of it, and how well each
                                         first stage follows MaxSim; a sweep with -m
  geometry compare a=MODEL b=MODEL [dataset=...|suite=...]
                                         two models side by side
  plot   [what=depth|spectrum|cosines|buckets|overlap|agreement|budget] [overrides]
                                         figures (SVG and PNG) of what was measured
  report [output=FILE.html] [overrides]  one page of all of it, which needs nothing else: table, tests, costs, figures
  status [overrides]                     of a run or sweep (-m): which cells are done, running, failed or missing, and
                                         what time is left
  reproduce RECORD.json [overrides]      measure a record's cell again and compare; exit code 1 if it is different
  cache  ls|verify|prune [older=DAYS] [delete=true]
                                         what cache_dir holds; what of it is damaged (exit code 1); what may go, which
                                         is deleted only with delete=true
  bench  [what=rerank|muvera|smve|search|encode|grid|scale] [overrides]
                                         time the inner loops against peers and the machine's limit
  ls     models|datasets|methods|suites|centers|objectives|train_data|experiments

examples:
  python -m harness run
  python -m harness run model=lateon_reg method=smve
  python -m harness run -m model=lateon,lateon_reg center=none,corpus method=plaid,muvera,smve
  python -m harness run model.path=my/colbert dataset.path=my/beir-folder method=muvera
  python -m harness table suite=beir3 significance=true
  python -m harness run --help           (all options)
"""

COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "run": run.run,
    "table": table.table,
    "check": check.check,
    "train": train.train,
    "geometry": geometry.geometry,
    "plot": plot.plot,
    "report": report.report,
    "status": status.status,
    "reproduce": reproduce.reproduce,
    "cache": cache.cache,
    "bench": bench.bench,
    "ls": ls.ls,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code, 2 for bad input."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    messages.forget()
    try:
        if not words or words[0] in ("-h", "--help", "help"):
            sys.stdout.write(USAGE)
            return 0 if words else 2
        if words[0] not in COMMANDS:
            raise unknown("command", words[0], COMMANDS)
        return COMMANDS[words[0]](words[1:])
    except HarnessError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except BrokenPipeError:  # `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
