"""`table`: what was measured, as a table."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from harness.commands import arguments, selection
from harness.commands.command import VECTORS, Command
from harness.commands.selection import Measured
from harness.config import compose, entries, suites
from harness.config.measures import NDCG10, Measure
from harness.system import streams
from harness.system.paths import user_path

if TYPE_CHECKING:
    from harness.tables import Section
    from harness.tables.query_groups import QueryGroup


def table(words: Sequence[str]) -> int:
    """Print the table of what was measured."""
    return show(selection.expand(words), only_measured=False)


def show(overrides: Sequence[str], only_measured: bool) -> int:
    """Print the table of what the overrides name, or of those of its rows that were measured, and where that is.

    Records of cells that failed since are not among what was measured.
    """
    from harness import tables

    options = compose.composed(overrides)
    arguments.check_format("table", options)
    selected = selection.measured(overrides, options, failed_since=not only_measured)
    selected.check()
    if only_measured:
        measured = {(record.model, record.center, record.method) for record in selected.records}
        rows = [row for row in selected.rows if (row.model, row.center, row.method) in measured]
        selected = selected._replace(rows=rows)
    groups = _groups(selected, options) if options.by else []
    measures = [Measure.of(name) for name in options.metrics]
    for measure in measures:
        _refuse_unmeasured(measure, selected)
        label, head = None if measures == [NDCG10] else measure, measure == measures[0]
        if options.per_query:
            seen, names = tables.seen_by(selected.records, measure), suites.flat(selected.units)
            sys.stdout.write(tables.per_query_csv(seen, selected.rows, names, list(options.depths), label, head))
        elif options.format == "csv":
            for i, (name, part) in enumerate([(group.name, part) for group, part in groups] or [("", selected)]):
                _print_csv(options, part, measure, label, head and i == 0, name)
        elif groups:
            _print_groups(options, {group.title: part for group, part in groups}, measure)
        else:
            sys.stdout.write(str(_page(options, selected, measure)))
    if only_measured and not options.per_query and options.format != "csv":
        sys.stdout.write(f"Records: {selected.results / 'records'}\n")
    return 0


def _refuse_unmeasured(measure: Measure, selected: Measured) -> None:
    """Refuse to show a table of a measure that no record of its rows has."""
    from harness import tables

    if not any(tables.row_of(record) in selected.rows for record in tables.seen_by(selected.records, measure)):
        raise selection.NothingMeasuredError(
            f"no record of these rows has {measure.name}: `run` with metrics=[{measure.name}] adds it, from candidates "
            "and scores that are kept in cache_dir where they are."
        )


def _groups(selected: Measured, options: DictConfig) -> list[tuple[QueryGroup, Measured]]:
    """Groups of queries, each with what was measured on them; texts and judgements are those of the data sets."""
    from harness import records
    from harness.data import loading
    from harness.tables import query_groups

    singles = [record for record in selected.records if record.dataset in suites.flat(selected.units)]
    given: Any = OmegaConf.to_container(options.dataset, resolve=True) if options.dataset else {}
    datasets = {}
    for name in dict.fromkeys(record.dataset for record in singles):
        entry = given if given.get("name") == name else entries.entry("dataset", name)
        datasets[name] = loading.load(entry, options.data_dir, user_path(options.cache_dir))
    query_groups.check(datasets, singles)
    return [
        (group, selected._replace(records=records.with_groups(group.seen_in(singles), selected.units)))
        for group in query_groups.groups(options.by, datasets)
    ]


def _print_csv(
    options: DictConfig, selected: Measured, measure: Measure, label: Measure | None, head: bool, group: str
) -> None:
    """The long form of a measure, with the columns that were asked for."""
    from harness import tables
    from harness.tables import agreement, costs

    depths, found = list(options.depths), tables.seen_by(selected.records, measure)
    every, rows, datasets = selected.records, selected.rows, selected.datasets
    long = tables.long_form(found, rows, datasets, depths)
    wide = costs.columns(long, costs.measured(every, rows, datasets), datasets) if options.cost else long
    wide = agreement.columns(wide, every, rows, datasets, depths) if options.agreement else wide
    if options.significance:
        from harness.tables import paired_tests  # it loads scipy's statistics

        wide = paired_tests.columns(wide, found, rows, datasets, depths)
    sys.stdout.write(tables.csv(wide, label, head, group))
    if missing := tables.missing(long):
        streams.say(f"note: {missing} cells were not measured; means that lack a data set are empty.\n")


class _Page(NamedTuple):
    """A table as Markdown or LaTeX, what must be known of it, and the further tables that were asked for."""

    table: str
    remarks: list[str]
    further: list[str]

    def __str__(self) -> str:
        return "".join(f"{part}\n\n" for part in [self.table, *self.remarks, *self.further] if part)


def _print_groups(options: DictConfig, groups: Mapping[str, Measured], measure: Measure) -> None:
    """A table for each group of queries below its title; remarks that hold for all of them come last."""
    pages = {title: _page(options, selected, measure) for title, selected in groups.items()}
    shared = [
        line for line in next(iter(pages.values())).remarks if all(line in page.remarks for page in pages.values())
    ]
    comment = "% " if options.format == "latex" else ""
    for title, page in pages.items():
        own = [line for line in page.remarks if line not in shared]
        sys.stdout.write(f"{comment}{title}\n\n{page._replace(remarks=own)}")
    sys.stdout.write("".join(f"{line}\n\n" for line in shared))


def _page(options: DictConfig, selected: Measured, measure: Measure) -> _Page:
    """The table of a measure with all that stands below it."""
    from harness import tables
    from harness.tables import agreement, costs, formats, holes

    every, rows, datasets = selected.records, selected.rows, selected.datasets
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
        sections += costs.sections(costs.measured(every, rows, datasets), every, datasets)
    latex = options.format == "latex"
    layout, further, comment = (tables.latex, formats.tabular, "% ") if latex else (tables.markdown, formats.pipes, "")
    is_first = measure.name == options.metrics[0]  # recall of exact MaxSim is the same in each table
    beside = agreement.beside(every, rows, datasets, depths) if options.agreement and is_first else {}
    first, *others = tables.remarks(long, found, selected.suite, datasets, marks, beside, measure)
    tested += [agreement.remark(long, beside)] if options.agreement and is_first else []
    others += holes.warning(every, rows, datasets, depths) if measure == NDCG10 else []
    below = []
    for section in sections:
        below += [f"{comment}{section.caption}", "" if section.lines.empty else further(section.lines)]
        below += [f"{comment}{line}" for line in section.remarks]
    remarks = [f"{comment}{line}" for line in [first, *tested, *others]]
    return _Page(layout(long, datasets, marks, beside), remarks, below)


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
        "by",
        "results_dir",
        "data_dir",
        "cache_dir",
    ),
    examples=("table suite=beir3 significance=true", "table dataset=scifact metrics=[ndcg@10,recall@100]"),
    run=table,
    computes=False,
    own=VECTORS,
)
