"""The report: a single self-contained HTML file of all that was measured, which makes no network requests.

The page is the template `page.html.j2` with `page.css` and `page.js` inside. Its Content-Security-Policy allows these
two by their hashes and nothing else, and all text from records is escaped.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness import tables
from harness.advice import sentences
from harness.advice.advice import Limits, for_each_model
from harness.config.entries import EXPECTED_DIR
from harness.figures import Inputs
from harness.methods.registry import end_to_end
from harness.records import Record
from harness.report import glance, measures, origins, pictures, published
from harness.report.cell_commands import Commands
from harness.report.rows import COST_COLUMNS, Block, blocks
from harness.system.errors import HarnessError
from harness.system.files import write_text
from harness.tables import costs, holes, paired_tests, paired_tests_text, titles

EXPECTED = EXPECTED_DIR


def write(path: Path, text: str) -> None:
    """Write the page in one step: the file is complete, or it is not there.

    Raises
    ------
    HarnessError
        If it cannot be written there.
    """
    try:
        write_text(path, text)
    except OSError as error:
        raise HarnessError(
            f"cannot write the report {path} ({error.strerror}): set output to a file that can be written."
        ) from error


def page(inputs: Inputs, all_records: Sequence[Record]) -> tuple[str, list[str]]:
    """The page, and one sentence for each figure that is left out.

    Parameters
    ----------
    all_records
        The records on all data sets, for the published numbers.
    """
    models = {row.model for row in inputs.rows}
    inputs = replace(inputs, geometries=[geometry for geometry in inputs.geometries if geometry["model"] in models])
    depths, datasets = list(inputs.depths), inputs.datasets
    table = tables.long_form(inputs.records, inputs.rows, datasets, depths)
    plaid = paired_tests.tested(paired_tests.to_plaid(inputs.rows, depths), inputs.records, datasets)
    methods = paired_tests.tested(paired_tests.between_methods(inputs.rows, depths), inputs.records, datasets)
    marks = paired_tests_text.marks(plaid)
    rows = blocks(inputs, table, marks, Commands(inputs.records, inputs.suite, datasets, inputs.results))
    first, *others = tables.remarks(table, inputs.records, inputs.suite, datasets, marks)
    doubtful = holes.warning(inputs.records, inputs.rows, datasets, depths)
    notes: list[str] = []
    environment = Environment(
        loader=PackageLoader("harness.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("page.html.j2").render(
        suite=inputs.suite,
        datasets=datasets,
        depths=depths,
        has_differences=tables.has_differences(table),
        advised=[
            (titles.title(advice.model), sentences.sentences(advice, datasets))
            for advice in for_each_model(inputs.records, inputs.rows, datasets, depths, Limits())
        ],
        glances=glance.sentences(table, marks),
        rows=[row for row in rows if not end_to_end(row.row.method)],
        whole=[row for row in rows if end_to_end(row.row.method)],
        filters=_filters(rows, depths),
        cost_columns=COST_COLUMNS,
        remarks=[first, paired_tests_text.remark(plaid, datasets), *_not_in_card(inputs), *others, *doubtful],
        tests=paired_tests_text.sections(plaid, methods, datasets),
        measures=list(measures.sections(inputs.records, inputs.rows, inputs.suite, datasets, depths)),
        costs=costs.sections(costs.measured(inputs.records, inputs.rows, datasets), inputs.records, datasets),
        published=list(published.compared(EXPECTED, all_records)),
        pictures=list(pictures.drawn(inputs, notes)),
        notes=notes,
        origins=list(origins.collected(inputs.records, inputs.rows, datasets)),
        **_style_and_script(),
    )
    return text, notes


def _not_in_card(inputs: Inputs) -> list[str]:
    pairs = {(row.center, row.method): None for row in inputs.rows}
    centers = tables.not_in_card(pairs)
    found = [f"Center {label}: not in the card, this project's addition; {words}." for label, words in centers.items()]
    best = [
        f"{titles.center_label(center)} for {titles.method_title(method)}"
        for center, method in pairs
        if tables.block_of(center, method) == tables.RECOMMENDED
    ]
    recipe = f"The best recipe without training (center=recommended) is center {', '.join(best)}."
    return [recipe, *found] if best else found


def _style_and_script() -> dict[str, Markup | str]:
    """CSS and JavaScript of the page, and their hashes as its Content-Security-Policy names them."""
    found: dict[str, Markup | str] = {}
    for name in ("css", "js"):
        content = (files("harness.report") / f"page.{name}").read_text(encoding="utf-8")
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        found |= {name: Markup(content), f"{name}_hash": f"'sha256-{digest}'"}
    return found


def _filters(rows: Sequence[Block], depths: Sequence[int]) -> list[tuple[str, list[tuple[str, str]]]]:
    """The filters of the table: (name, (value, title) of each choice); a name with a single value has no filter."""
    stages = [row for row in rows if not end_to_end(row.row.method)]
    filters = [
        ("model", {row.row.model: row.model for row in rows}),
        ("center", {row.row.center: row.center for row in stages}),
        ("method", {row.row.method: row.method for row in stages}),
        ("depth", {str(depth): f"rk={depth}" for depth in depths}),
    ]
    return [(name, list(choices.items())) for name, choices in filters if len(choices) > 1]
