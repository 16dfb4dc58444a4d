"""Tables of records: the results, their costs, tests of their differences, and published values."""

from harness.tables.layouts import Marks, Section, latex, markdown, not_in_card, remarks
from harness.tables.rows import PLAID, RECOMMENDED, Row, block_of, by_row, check_consistent, row_of, rows_of
from harness.tables.table import (
    COLUMNS,
    KEY,
    MEAN,
    csv,
    depths_of,
    has_differences,
    long_form,
    missing,
    per_query_csv,
    plaid_mean,
    seen_by,
)

__all__ = [
    "COLUMNS",
    "KEY",
    "MEAN",
    "Marks",
    "PLAID",
    "RECOMMENDED",
    "Row",
    "Section",
    "block_of",
    "by_row",
    "check_consistent",
    "csv",
    "depths_of",
    "has_differences",
    "latex",
    "long_form",
    "markdown",
    "missing",
    "not_in_card",
    "per_query_csv",
    "plaid_mean",
    "remarks",
    "row_of",
    "rows_of",
    "seen_by",
]
