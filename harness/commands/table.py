"""`table`: what was measured, as a table."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from harness.commands import arguments, selection
from harness.commands.command import VECTORS, Command
from harness.config import compose, suites
from harness.config.measures import NDCG10, Measure
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
    arguments.check_format("table", options)
    selected = selection.measured(overrides, options)
    selected.check()
    results, suite, units, _, found, rows = selected
    datasets = selected.datasets
    if only_measured:
        measured = {(record.model, record.center, record.method) for record in found}
        rows = [row for row in rows if (row.model, row.center, row.method) in measured]
    measures = [Measure.of(name) for name in options.metrics]
    for measure in measures:
        _refuse_unmeasured(measure, found, rows)
        label = None if measures == [NDCG10] else measure
        if options.per_query:
            seen, head, names = tables.seen_by(found, measure), measure == measures[0], suites.flat(units)
            sys.stdout.write(tables.per_query_csv(seen, rows, names, list(options.depths), label, head))
        elif options.format == "csv":
            _print_csv(options, found, rows, datasets, measure, label, measure == measures[0])
        else:
            _print_page(options, found, rows, suite, datasets, measure)
    if only_measured and not options.per_query and options.format != "csv":
        sys.stdout.write(f"Records: {results / 'records'}\n")
    return 0


def _refuse_unmeasured(measure: Measure, found: list[Record], rows: list[Row]) -> None:
    """Refuse to show a table of a measure that no record of its rows has."""
    from harness import tables

    if not any(tables.row_of(record) in rows for record in tables.seen_by(found, measure)):
        raise selection.NothingMeasuredError(
            f"no record of these rows has {measure.name}: `run` with metrics=[{measure.name}] adds it, from candidates "
            "and scores that are kept in cache_dir where they are."
        )


def _print_csv(
    options: DictConfig,
    every: list[Record],
    rows: list[Row],
    datasets: list[str],
    measure: Measure,
    label: Measure | None,
    head: bool,
) -> None:
    """The long form of a measure, with the columns that were asked for."""
    from harness import tables
    from harness.tables import agreement, costs

    depths, found = list(options.depths), tables.seen_by(every, measure)
    long = tables.long_form(found, rows, datasets, depths)
    wide = costs.columns(long, costs.measured(found, rows, datasets), datasets) if options.cost else long
    wide = agreement.columns(wide, every, rows, datasets, depths) if options.agreement else wide
    if options.significance:
        from harness.tables import paired_tests  # it loads scipy's statistics

        wide = paired_tests.columns(wide, found, rows, datasets, depths)
    sys.stdout.write(tables.csv(wide, label, head))
    if missing := tables.missing(long):
        streams.say(f"note: {missing} cells were not measured; means that lack a data set are empty.\n")


def _print_page(
    options: DictConfig, every: list[Record], rows: list[Row], suite: str, datasets: list[str], measure: Measure
) -> None:
    """The table of a measure as Markdown or LaTeX, what must be known of it, and the further tables asked for."""
    from harness import tables
    from harness.tables import agreement, costs, formats, holes

    depths, found = list(options.depths), tables.seen_by(every, measure)
    long, marks = tables.long_form(found, rows, datasets, depths), None
    sections: list[Section] = []
    tested: list[str] = []
    if options.significance:
        from harness.tables import paired_tests, paired_tests_text  # they load scipy's statistics

        plaid = paired_tests.tested(paired_tests.to_plaid(rows, depths), found, datasets)
        methods = paired_tests.tested(paired_tests.between_methods(rows, depths), found, datasets)
        marks, tested = paired_tests_text.marks(plaid), [paired_tests_text.remark(plaid, datasets)]
        sections += paired_tests_text.sections(plaid, methods, datasets, measure)
    if options.cost:
        sections += costs.sections(costs.measured(found, rows, datasets), found, datasets)
    latex = options.format == "latex"
    layout, further, comment = (tables.latex, formats.tabular, "% ") if latex else (tables.markdown, formats.pipes, "")
    is_first = measure.name == options.metrics[0]  # recall of exact MaxSim is the same in each table
    beside = agreement.beside(every, rows, datasets, depths) if options.agreement and is_first else {}
    first, *others = tables.remarks(long, found, suite, datasets, marks, beside, measure)
    tested += [agreement.remark(long, beside)] if options.agreement and is_first else []
    others += holes.warning(every, rows, datasets, depths) if measure == NDCG10 else []
    parts = [layout(long, datasets, marks, beside), *(f"{comment}{line}" for line in [first, *tested, *others])]
    for section in sections:
        parts += [f"{comment}{section.caption}", "" if section.lines.empty else further(section.lines)]
        parts += [f"{comment}{line}" for line in section.remarks]
    sys.stdout.write("".join(f"{part}\n\n" for part in parts if part))


COMMAND = Command(
    name="table",
    words="[OPTION=VALUE ...]",
    about="""Print the results table of what was measured: NDCG@10 by model, centering, method and rerank depth, with
    the difference to PLAID. Without a model or data set it shows everything in results_dir.""",
    reads=(
        *selection.READS,
        "depths",
        "metrics",
        "agreement",
        "format",
        "significance",
        "cost",
        "per_query",
        "results_dir",
    ),
    examples=("table suite=beir3 significance=true", "table dataset=scifact metrics=[ndcg@10,recall@100]"),
    run=table,
    own=VECTORS,
)
