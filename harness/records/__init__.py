"""Results as files: one record for each measured cell, and one note for each cell that failed."""

from harness.records.draws import Draws
from harness.records.groups import with_groups
from harness.records.record import (
    FINAL,
    FOREIGN,
    FORMAT,
    NO_MODEL,
    OLDEST,
    CellKey,
    Record,
    read,
    read_all,
    record_path,
    write,
)
from harness.records.untrusted import check_name, parsed

__all__ = [
    "CellKey",
    "Draws",
    "FINAL",
    "FOREIGN",
    "FORMAT",
    "NO_MODEL",
    "OLDEST",
    "Record",
    "check_name",
    "parsed",
    "read",
    "read_all",
    "record_path",
    "with_groups",
    "write",
]
