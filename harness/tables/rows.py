"""The rows of a table: which models, centerings and methods it shows, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.config import recommended
from harness.methods import registry
from harness.methods.registry import base_name, end_to_end
from harness.records import FOREIGN, NO_MODEL, Record
from harness.system.errors import HarnessError
from harness.vectors import centering

CARD_MODELS = ("lateon", "lateon_reg", "lateon_reg_smve")
"""The models of the card, in its order; they come before all others."""
CARD_METHODS = ("muvera", "smve")
"""The first stages of the card; each model of a table has a row for them, measured or not."""
PLAID = "plaid"
"""The method that all others are compared with."""


@dataclass(frozen=True)
class Row:
    """One row of a table: a model, a centering and a method, by their names in records."""

    model: str
    center: str
    method: str


CARD, RECOMMENDED, ADDED = range(3)
"""The blocks of a table: the card's centerings with their variants, the best without training, all others."""


def block_of(center: str, method: str) -> int:
    """The block in which a centering of a method stands."""
    if center == recommended.name(method) and not (center in centering.KINDS and centering.in_card(center)):
        return RECOMMENDED
    return CARD if centering.in_card(center) else ADDED


def row_of(record: Record) -> Row:
    """The row that a record belongs to."""
    return Row(record.model, record.center, record.method)


def unpooled(model: str) -> str:
    """The name of a model without its pooling."""
    return "+".join(part for part in model.split("+") if not part.startswith(("pool=", "pool_factor=")))


def by_row(records: Iterable[Record]) -> dict[tuple[Row, str], Record]:
    """(row, data set) -> record."""
    return {(row_of(record), record.dataset): record for record in records}


def rows_of(
    records: Sequence[Record], models: Sequence[str], centers: Sequence[str], methods: Sequence[str]
) -> list[Row]:
    """The rows of a table: for each model those of the card and PLAID, then all other rows that were measured.

    Empty `models`, `centers` or `methods` mean: all. Runs of other engines have no centering, and may have no model:
    neither leaves them out.
    """
    names = list(models) or sorted({record.model for record in records} - {NO_MODEL}, key=_model_order)
    card_centers = [name for name, kind in centering.KINDS.items() if kind.in_card]
    card = {Row(model, center, method) for model in names for center in card_centers for method in CARD_METHODS}
    plaid = {Row(model, "none", PLAID) for model in names}
    measured = {row_of(record) for record in records}
    given = {record.model for record in records if "vectors" in record.identity}

    def is_wanted(row: Row) -> bool:
        method = not methods or row.method == PLAID or row.method in methods or base_name(row.method) in methods
        named = row.center in centers or base_name(row.center) in centers
        best = recommended.NAME in centers and row.center == recommended.name(row.method, row.model in given)
        is_foreign = row.method.startswith(FOREIGN)
        center = not centers or named or best or is_foreign or not registry.is_centered(row.method)
        return row.model in (*names, NO_MODEL) and method and center

    def place(row: Row) -> tuple[Any, ...]:
        block = block_of(row.center, row.method)
        center = (0, "") if block == RECOMMENDED else centering.order(row.center)  # each method has its own
        return (
            block,
            [*names, NO_MODEL].index(row.model),
            not end_to_end(row.method),
            center,
            registry.order(row.method),
        )

    return sorted(filter(is_wanted, card | plaid | measured), key=place)


def plaid_of(row: Row, rows: Iterable[Row]) -> Row:
    """PLAID's row for the differences of a row: of its model, or of the only model beside a run that has none."""
    others = {other.model for other in rows} - {NO_MODEL}
    model = next(iter(others)) if row.model == NO_MODEL and len(others) == 1 else row.model
    return Row(model, "none", PLAID)


def _model_order(name: str) -> tuple[int, str]:
    """The models of the card first, each followed by its variants, then all others by name."""
    base = name.split("+")[0]
    return (CARD_MODELS.index(base) if base in CARD_MODELS else len(CARD_MODELS), name)


def check_consistent(records: Sequence[Record]) -> None:
    """Refuse records of one model with different weights or options, or of one data set with different data.

    The query length may differ between data sets; token vectors that were given are those of one data set.

    Raises
    ------
    HarnessError
        If there are such records: their means and differences would mean nothing.
    """
    first: dict[tuple[str, ...], str] = {}
    for record in records:
        model, dataset, identity = record.model, record.dataset, record.identity
        options = dict(identity.get("model") or {})
        length = options.pop("query_length", None)
        for name, owner, label, value in (
            ("model", (model,), "weights", identity.get("weights")),
            ("model", (model,), "model options", options),
            ("model", (model, dataset), "query lengths", length),
            ("model", (model, dataset), "token vectors", identity.get("vectors")),
            ("dataset", (dataset,), "data", identity.get("dataset")),
        ):
            if first.setdefault((label, *owner), str(value)) != str(value):
                what = "model" if name == "model" else "data set"
                raise HarnessError(
                    f"the records of {what} '{owner[0]}' were made with different {label} and cannot share a table: "
                    f"measure all of them again with overwrite=true, or give some of them another {name}.name."
                )
