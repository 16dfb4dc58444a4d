"""`table`: what was measured, as a table."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from harness.commands import selection
from harness.commands.command import VECTORS, Command
from harness.config import compose, suites
from harness.system import streams

if TYPE_CHECKING:
    from harness.records import Record
    from harness.tables import Row, Section


def table(words: Sequence[str]) -> int:
    """Print the table of what was measured."""
    return show(selection.expand(words), only_measured=False)


def show(overrides: Sequence[str], only_measured: bool) -> int:
    """Print the table of what the overrides name, or of those of its rows that were measured, and where that is."""
    from harness import tables

    options = compose.composed(overrides)
    selected = selection.measured(overrides, options)
    selected.check()
    results, suite, units, _, found, rows = selected
    datasets = selected.datasets
    if only_measured:
        measured = {(record.model, record.center, record.method) for record in found}
        rows = [row for row in rows if (row.model, row.center, row.method) in measured]
    if options.per_query:
        sys.stdout.write(tables.per_query_csv(found, rows, suites.flat(units), list(options.depths)))
    elif options.format == "csv":
        _print_csv(options, found, rows, datasets)
    else:
        _print_page(options, found, rows, suite, datasets)
        if only_measured:
            sys.stdout.write(f"Records: {results / 'records'}\n")
    return 0


def _print_csv(options: DictConfig, found: list[Record], rows: list[Row], datasets: list[str]) -> None:
    """The long form, with the columns that were asked for."""
    from harness import tables
    from harness.tables import costs, paired_tests

    depths = list(options.depths)
    long = tables.long_form(found, rows, datasets, depths)
    wide = costs.columns(long, costs.measured(found, rows, datasets), datasets) if options.cost else long
    wide = paired_tests.columns(wide, found, rows, datasets, depths) if options.significance else wide
    sys.stdout.write(tables.csv(wide))
    if missing := tables.missing(long):
        streams.say(f"note: {missing} cells were not measured; means that lack a data set are empty.\n")


def _print_page(options: DictConfig, found: list[Record], rows: list[Row], suite: str, datasets: list[str]) -> None:
    """The table as Markdown or LaTeX, what must be known of it, and the further tables that were asked for."""
    from harness import tables
    from harness.tables import costs, formats, paired_tests, paired_tests_text

    depths = list(options.depths)
    long, marks = tables.long_form(found, rows, datasets, depths), None
    sections: list[Section] = []
    tested: list[str] = []
    if options.significance:
        plaid = paired_tests.tested(paired_tests.to_plaid(rows, depths), found, datasets)
        methods = paired_tests.tested(paired_tests.between_methods(rows, depths), found, datasets)
        marks, tested = paired_tests_text.marks(plaid), [paired_tests_text.remark(plaid, datasets)]
        sections += paired_tests_text.sections(plaid, methods, datasets)
    if options.cost:
        sections += costs.sections(costs.measured(found, rows, datasets), found, datasets)
    latex = options.format == "latex"
    layout, further, comment = (tables.latex, formats.tabular, "% ") if latex else (tables.markdown, formats.pipes, "")
    first, *others = tables.remarks(long, found, suite, datasets, marks)
    parts = [layout(long, datasets, marks), *(f"{comment}{line}" for line in [first, *tested, *others])]
    for section in sections:
        parts += [f"{comment}{section.caption}", "" if section.lines.empty else further(section.lines)]
        parts += [f"{comment}{line}" for line in section.remarks]
    sys.stdout.write("".join(f"{part}\n\n" for part in parts if part))


COMMAND = Command(
    name="table",
    words="[OPTION=VALUE ...]",
    about="""Print the results table of what was measured: NDCG@10 by model, centering, method and rerank depth, with
    the difference to PLAID. Without a model or data set it shows everything in results_dir.""",
    reads=(*selection.READS, "depths", "format", "significance", "cost", "per_query", "results_dir"),
    examples=("table suite=beir3 significance=true", "table suite=beir8 format=csv"),
    run=table,
    own=VECTORS,
)
