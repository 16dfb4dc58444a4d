"""Published values: what the files say, what `check` prints, and what it says the missing ones take."""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path
from statistics import fmean

import pytest
import yaml
from cells import cell, named, plaid

from harness.cli import main
from harness.config import entries, suites
from harness.records import FORMAT, write
from harness.system.errors import HarnessError
from harness.tables import effort, expected, expected_text

FILES = sorted(entries.EXPECTED_DIR.glob("*.yaml"))
BEIR = entries.EXPECTED_DIR / "beir.yaml"
MODELS = {
    "lightonai/LateOn": ("lateon", "plaid"),
    "lightonai/LateOn-unsupervised": ("lateon_unsup", "plaid"),
    "lightonai/GTE-ModernColBERT-v1": ("gte_moderncolbert", "plaid"),
    "lightonai/ColBERT-Zero": ("colbert_zero", "plaid"),
    "lightonai/DenseOn": ("lateon", "dense+model=denseon"),
    "lightonai/DenseOn-unsupervised": ("lateon", "dense+model=denseon_unsup"),
}


def rows_of_beir():
    return yaml.safe_load(BEIR.read_text())["rows"]


def test_each_mean_is_that_of_the_values_of_its_row():
    rows = rows_of_beir()
    assert [(row["model"], row["method"]) for row in rows] == [*MODELS.values()]
    for row in rows:
        assert list(row["datasets"]) == list(suites.units("beir15"))
        for suite, mean in row["suites"].items():
            assert mean == pytest.approx(fmean(row["datasets"][name] for name in suites.units(suite)), abs=6e-4)
    assert rows[0]["suites"]["beir15"] == pytest.approx(57.22, abs=5e-3)  # the values that LightOn gives
    assert rows[4]["suites"]["beir15"] == pytest.approx(56.20, abs=5e-3)


def test_the_eight_sets_have_the_mean_that_is_said_of_them():
    mean = fmean(rows_of_beir()[0]["datasets"][name] for name in suites.units("beir8"))
    text = (entries.CONF_DIR / "suite" / "beir8.yaml").read_text()
    assert f"the mean {mean:.2f}" in text and "the card has 55.28" in text
    ours = {
        row["model"]: row.get("plaid") for row in yaml.safe_load((BEIR.parent / "card.yaml").read_text())["rows"][:1]
    }
    assert ours == {"lateon": 55.28}


def test_values_and_revisions_are_the_published_ones():
    """The values as they were taken down, in a folder beside that of the real data sets."""
    taken_down = Path(os.environ.get("HARNESS_DATA", "nowhere")).parent / "published" / "beir_published.csv"
    if not taken_down.exists():
        pytest.skip(f"{taken_down} is not there")
    with taken_down.open() as file:
        published = [line for line in csv.DictReader(file) if line["model"] in MODELS]
    assert len(published) == 6 * 15
    rows = {(row["model"], row["method"]): row for row in rows_of_beir()}
    for line in published:
        row = rows[MODELS[line["model"]]]
        assert row["datasets"][line["dataset"]] == float(line["ndcg10"]) and row["revision"] == line["revision"]
        members = suites.members(line["dataset"])
        assert {entries.entry("dataset", name)["split"] for name in members} == {line["split"]}


def test_models_are_pinned_to_the_revisions_of_the_published_values():
    for row in rows_of_beir():
        encoder = row["method"].partition("model=")[2]
        found = entries.entry("encoder", encoder) if encoder else entries.entry("model", row["model"])
        assert found["revision"] == row["revision"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_row_names_entries(path):
    for one in expected.check_file(path, []):
        assert one.model in entries.choices("model") and {*one.members} <= {*entries.choices("dataset")}
        assert 0 <= one.expected <= 100 and 0 < one.ok <= one.near


ROWS = """
source: a test
suite: beir3
tolerance: {ok: 0.3, near: 1.0}
depths: [0]
rows:
  - {model: lateon, revision: aaaaaaaaaa, center: "no", method: plaid,
     datasets: {scifact: 60.2, cqadupstack: 40.0}, suites: {beir3: 50.0}}
  - {model: lateon, center: text+renormalize=true, method: muvera, datasets: {scifact: 33.5}}
"""


@pytest.fixture
def checked(tmp_path):
    """PLAID's values on SciFact and on the twelve forums, of another revision; MUVERA's, of a variant."""
    path = tmp_path / "some.yaml"
    path.write_text(ROWS)
    of = {"config": {"model": {"revision": "bbbbbbbbbb", "path": None}}}
    forums = [plaid(named([0.4] * (1 + place)), name, **of) for place, name in enumerate(suites.members("cqadupstack"))]
    first = cell("muvera", {"0": named([0.34])}, "text+renormalize=true", **of)
    return list(expected.check_file(path, [*forums, plaid(named([0.6]), **of), first]))


def test_a_row_has_values_of_data_sets_groups_and_suites(checked):
    assert {(one.dataset, one.method): one.verdict for one in checked} == {
        ("scifact", "plaid"): "OK",
        ("cqadupstack", "plaid"): "OK",
        ("beir3", "plaid"): "MISSING",
        ("scifact", "muvera"): "NEAR",
    }
    assert checked[1].members == tuple(suites.members("cqadupstack"))


def test_another_revision_is_named(checked):
    assert str(checked[0]).endswith("expected 60.20 (published for revision aaaaaaaa, measured with bbbbbbbb)")
    assert str(checked[3]).endswith("expected 33.50")


def test_what_is_missing_is_one_line_and_what_it_takes_a_table(checked):
    text = expected_text.section(checked)
    assert text.startswith("some.yaml: a test\nOK      scifact lateon center=no plaid: measured 60.00, expected 60.20")
    assert "\nMISSING lateon center=no plaid (revision aaaaaaaa): expected beir3 50.00\n" in text
    found = effort.of("lateon", suites.units("beir3"))
    assert f"| lateon | 3 | {found.documents / 1e3:.1f} k | {found.tokens / 1e6:.1f} M |" in text
    complete = [one for one in checked if one.verdict != "MISSING"]
    assert "MISSING" not in expected_text.section(complete) and "|" not in expected_text.section(complete)


def test_an_effort_is_computed_from_sizes_and_rates():
    known = effort.rates()
    docs = {name: entries.entry("dataset", name)["docs"] for name in ("scifact", "nfcorpus")}
    tokens = sum(count * min(300, known["characters"][name] / 6) for name, count in docs.items())
    found = effort.of("lateon", [*docs, "scifact", "cranfield"])  # once each; the last has no size here
    assert (found.datasets, found.documents, found.tokens) == (2, sum(docs.values()), pytest.approx(tokens))
    small = effort.of("answerai_colbert_small", docs)
    for machine, rate in known["rates"].items():
        assert found.seconds[machine] == pytest.approx(tokens * 149 / rate["parameters"] / rate["tokens_per_second"])
        assert found.seconds[machine] / small.seconds[machine] == pytest.approx(149 / 33)


def test_sizes_are_near_the_tokens_that_were_measured():
    measured = {"arguana": 1_491_997, "scifact": 1_221_388, "nfcorpus": 855_519}  # answerai-colbert-small's records
    for name, tokens in measured.items():
        assert effort.documents(name) * effort.tokens_per_document(name) == pytest.approx(tokens, rel=0.15)
    assert {*suites.flat(suites.units("beir15"))} == {*effort.rates()["characters"]}


def test_rates_are_those_of_the_page_on_scale():
    page = (entries.ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    for rate in effort.rates()["rates"].values():
        assert f"{rate['tokens_per_second']:,} tokens / s" in page


def test_check_goes_table_by_table(tmp_path, capsys):
    same = {"started": "2026-11-01T00:00:00+00:00", "format": FORMAT, "seeds": {"method": 42}}
    for name in suites.members("cqadupstack"):
        config = {"dataset": {"name": name}, "model": entries.entry("model", "lateon")}
        write(tmp_path, plaid(named([0.47361]), dataset=name, config=config, **same))
    assert main(["check", f"results_dir={tmp_path}"]) == 0
    parts = re.split(r"^(\w+\.yaml): ", capsys.readouterr().out, flags=re.M)
    assert parts[1::2] == [path.name for path in FILES]
    by_file = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert "OK      cqadupstack lateon center=no plaid: measured 47.36, expected 47.36\n" in by_file["beir.yaml"]
    assert re.search(r"^\| lateon \| 26 \| 33\.9 M \| 2\.4 G \| \d+\.\d h \| .* \|$", by_file["beir.yaml"], re.M)
    assert "| lateon_reg_smve (to be trained first) | 8 |" in by_file["card.yaml"]
    assert main(["check", f"results_dir={tmp_path}", "strict=true"]) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("suites: {beir3", "suites: {beir99"), "unknown suite 'beir99'"),
        (("center: text", "center: txt"), "is not a file of expected values"),
        (("revision:", "commit:"), "a row has the unknown key commit"),
        (("scifact: 60.2", "scifact: [60.2, 1]"), "2 values for 1 depths"),
        (("datasets: {scifact: 33.5}", "datasets: [scifact]"), "is not a file of expected values"),
    ],
)
def test_a_wrong_row_is_a_sentence(tmp_path, change, message):
    (tmp_path / "some.yaml").write_text(ROWS.replace(*change))
    with pytest.raises(HarnessError, match=message) as raised:
        list(expected.check_file(tmp_path / "some.yaml", []))
    assert "\n" not in str(raised.value)


def test_a_method_that_reads_texts_takes_its_own_model_or_none(tmp_path):
    rows = '  - {model: lateon, center: "no", method: METHOD, datasets: {scifact: 60.2, trec-covid: 80}}\n'
    path, takes = tmp_path / "some.yaml", {}
    for method in ("bm25", "dense", "dense+model=denseon"):
        path.write_text(ROWS.split("  - ")[0] + rows.replace("METHOD", method))
        takes[method] = expected_text.section([*expected.check_file(path, [])])
    assert "| minilm |" in takes["dense"] and "| denseon |" in takes["dense+model=denseon"]
    assert expected_text.CAPTION not in takes["bm25"] and "MISSING lateon" in takes["bm25"]
    assert effort.tokens_per_document("scifact", 100) == 100 < effort.tokens_per_document("scifact")
