"""The centering that is recommended for a method: what it stands for, and where it is shown."""

from __future__ import annotations

import pytest
from cells import cell, named, plaid
from drawings import inputs

from harness import tables
from harness.config import compose, entries, recommended
from harness.figures import depth
from harness.methods import registry
from harness.report import glance
from harness.system.errors import HarnessError
from harness.tables.rows import ADDED, CARD, RECOMMENDED

REAL = "corpus+query_tokens=real"


def composed(*words):
    return compose.composed(compose.expand(["model=demo", *words]))


def test_it_stands_for_another_centering_of_each_method():
    found = {name: composed(f"method={name}", "center=recommended").center for name in registry.all_methods()}
    assert dict(found["muvera"]) == entries.entry("center", "shrunk")
    assert dict(found["smve"]) == {**entries.entry("center", "corpus"), "query_tokens": "real"}
    assert dict(found["exact"]) == dict(found["plaid"]) == entries.entry("center", "corpus")
    names = {name: recommended.name(name) for name in ("plaid", "exact", "muvera", "muvera+bits=4", "smve")}
    assert names == {**dict.fromkeys(names, "corpus"), "muvera": "shrunk", "muvera+bits=4": "shrunk", "smve": REAL}
    assert (recommended.name("binary"), recommended.name("lemur")) == (REAL, "none+query_tokens=real")
    of_vectors = {name: recommended.name(name, of_vectors=True) for name in ("plaid", "lemur", "muvera", "smve")}
    text, raw = "text+query_tokens=real", "none+query_tokens=real"
    assert of_vectors == {"plaid": "corpus", "lemur": raw, "muvera": text, "smve": REAL}


def test_its_options_are_those_of_what_it_stands_for_and_cannot_be_changed():
    with pytest.raises(HarnessError, match="center.query_tokens"):
        composed("method=muvera", "center=recommended", "query_tokens=real")


def test_the_experiment_has_it_beside_the_cards_recipe():
    swept = entries.entry("experiment", "recommended")["hydra"]["sweeper"]["params"]
    assert swept["center"] == "corpus,recommended"
    found = compose.composed(["experiment=recommended", "center=recommended", "method=muvera"])
    assert (found.model.name, found.center.name, dict(found.method.seeds)) == (
        "lateon",
        "shrunk",
        {"muvera": 10, "smve": 5},
    )
    assert composed("experiment=recommended", "method.seeds=3").method.seeds == 3  # the user's word comes last


@pytest.mark.parametrize(
    ("center", "method", "block"),
    [
        ("corpus", "muvera", CARD),
        ("none", "smve", CARD),
        ("shrunk", "muvera", RECOMMENDED),
        (REAL, "smve", RECOMMENDED),
        ("shrunk", "smve", ADDED),
        (REAL, "muvera", CARD),  # a variant of the card's centering, as always
        ("corpus", "exact", CARD),
        ("own", "muvera", ADDED),
    ],
)
def test_the_block_of_a_row(center, method, block):
    assert tables.block_of(center, method) == block


@pytest.fixture
def both():
    """Both methods under the card's centering, the recommended one, and another."""
    values = {("corpus", "muvera"): 0.3, ("shrunk", "muvera"): 0.5, ("own", "muvera"): 0.4, ("corpus", "smve"): 0.55}
    stages = [
        cell(method, {"0": named([value]), "50": named([0.69])}, center)
        for (center, method), value in {**values, (REAL, "smve"): 0.6}.items()
    ]
    return [plaid(named([0.7])), *stages]


def rows_and_table(found, centers=()):
    rows = tables.rows_of(found, [], list(centers), [])
    return rows, tables.long_form(found, rows, ["scifact"], [0, 50])


def test_it_has_a_table_of_its_own(both):
    _, table = rows_and_table(both)
    parts = tables.markdown(table, ["scifact"]).split("\n\n")
    assert parts[1] == "The best recipe without training (center=recommended), not in the card."
    assert [line.split(" | ")[1:4:2] for line in parts[2].splitlines()[2:]] == [
        ["shrunk", "MUVERA"],
        [f"yes+{REAL[7:]}", "SMVE"],
    ]
    assert parts[3].startswith("Not in the card, this project's addition: each side centered by its own mean")
    assert "| own |" in parts[4] and "shrunk" not in parts[0] + parts[4]


def test_its_name_chooses_its_rows(both):
    rows, _ = rows_and_table(both, ["recommended"])
    shown = [(row.center, row.method) for row in rows if row.method != "plaid"]
    assert shown == [("shrunk", "muvera"), (REAL, "smve")]


def test_the_page_begins_with_both_recipes(both):
    _, table = rows_and_table(both)
    ((_, sentences),) = glance.sentences(table, {("lateon", "shrunk", "muvera", "0"): "*"})
    muvera = "30.00 (-40.0) with the card's recipe (center yes), 50.00 (-20.0*) with the best without training"
    smve = "55.00 (-15.0) with the card's recipe (center yes), 60.00 (-10.0) with the best without training"
    assert sentences[:3] == [
        "PLAID 70.00.",
        f"MUVERA at rk=0: {muvera} (center shrunk).",
        f"SMVE at rk=0: {smve} (center yes+query_tokens=real).",
    ]
    alone = [record for record in both if record.center != REAL]
    ((_, sentences),) = glance.sentences(rows_and_table(alone)[1], {})
    assert not any(sentence.startswith("SMVE at") for sentence in sentences)


def test_the_figure_of_depths_has_it_under_one_name(both):
    ((_, figure),) = depth.figures(inputs(both, ["scifact"]), [])
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    expected = ["MUVERA, centered", "MUVERA, recommended", "MUVERA, own mean", "SMVE, centered"]
    assert labels == ["PLAID", *expected, "SMVE, recommended"]
    looks = [
        (line.get_color(), line.get_linestyle()) for line in figure.axes[0].get_lines() if line.get_marker() != "None"
    ]
    assert len(set(looks)) == len(expected) + 1
