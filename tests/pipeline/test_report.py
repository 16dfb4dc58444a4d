"""The page of everything that was measured: what the records say, all of it, and nothing that runs or asks."""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from cells import cell, named, plaid
from drawings import first_stage, geometry, inputs, on_two_sets

from harness import figures, records, report, tables
from harness.cli import main
from harness.config import compose, entries, names
from harness.methods import registry
from harness.report import glance, published, rows
from harness.report.cell_commands import Commands
from harness.system import files
from harness.tables import MEAN, Row, expected, formats

SETS = ["scifact", "nfcorpus"]
HOSTILE = '<script>alert("x")</script>'
VOID = {"meta", "input", "path", "use", "rect", "circle"}


class Parsed(HTMLParser):
    """Every element as (tag, attributes, all text in it), in the order in which they begin."""

    def __init__(self, text):
        super().__init__()
        self.found, self._open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append([tag, dict(attrs), ""])
        if tag not in VOID:
            self._open.append(self.found[-1])

    def handle_startendtag(self, tag, attrs):
        self.found.append([tag, dict(attrs), ""])

    def handle_endtag(self, tag):
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        for element in self._open:
            element[2] += data

    def all(self, *tags, **attributes):
        wanted = {key.rstrip("_"): value for key, value in attributes.items()}
        return [
            (tag, attrs, " ".join(text.split()))
            for tag, attrs, text in self.found
            if (not tags or tag in tags)
            and all(value in (attrs.get(key) or "").split() for key, value in wanted.items())
        ]


@pytest.fixture
def some():
    return [
        *on_two_sets(),
        first_stage("smve", "own", notes=["mu_Q: 809 of 809 queries of scifact/train", "int8-rounded backbone"]),
    ]


def paged(some, datasets=SETS, geometries=()):
    return report.page(inputs(some, datasets, geometries), some)[0]


def lines(parsed, kind):
    """The texts of the cells of each line of a kind (`mean`, `set`) of both tables."""
    found, current = [], None
    for tag, attributes, text in parsed.all("tr", "th", "td"):
        if tag == "tr":
            current = [] if attributes.get("class") == kind else None
            found += [current] if current is not None else []
        elif current is not None:
            current.append(text)
    return found


# What it says


def test_every_value_of_the_table_is_in_the_page(some):
    found = inputs(some, SETS)
    table = tables.long_form(some, found.rows, SETS, found.depths)
    text = tables.markdown(table, SETS)
    expected = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| LateOn")]
    shown = [line[:2] + [line[3], line[2]] + line[4:7] for line in lines(Parsed(paged(some)), "mean")]
    assert len(expected) == 5 and shown[:5] == expected  # model, center, PLAID, method, rk=0, 50, 100
    assert ["LateOn", "PLAID", "45.00", "–", "–", "–"] in lines(Parsed(paged(some)), "mean")


def test_other_measures_and_agreement_have_tables_of_their_own(some):
    assert not Parsed(paged(some)).all("section", id="measures")
    shares = {"maxsim@100": 0.5, "maxsim@10": 0.75, "judged@10": 0.25}

    def with_measures(record):
        lists = {depth: [1.0] * len(values) for depth, values in record.per_query.items() if depth in record.ndcg10}
        scored = {name: {d: [share * v for v in own] for d, own in lists.items()} for name, share in shares.items()}
        return replace(record, measures=scored) if record.dataset == "scifact" else record

    parsed = Parsed(paged([with_measures(record) for record in some]))
    titles = ["judged@10", "recall of exact MaxSim's first 10", "recall of exact MaxSim's first 100"]
    (section,) = parsed.all("section", id="measures")
    assert [text for _, _, text in parsed.all("summary") if text in titles] == titles
    assert "75.00" in section[2] and "PLAID, LateOn: 50.00" in section[2] and "over scifact (scifact)" in section[2]
    assert parsed.all("a", href="#measures")


def test_every_value_of_a_single_data_set_is_in_the_page(some):
    table = tables.long_form(some, [Row("lateon", "corpus", "smve")], SETS, [0, 50, 100])
    shown = [line for line in lines(Parsed(paged(some)), "set") if line[0] == "nfcorpus"]
    values = table[(table["dataset"] == "nfcorpus")][["ndcg10", "delta"]].to_numpy()
    assert ["nfcorpus", "30.00", *(f"{v:.2f} ({formats.signed(d)})" for v, d in values), "–", "–", "–"] in shown
    assert ["nfcorpus", "30.00", "–", "–", "–", "–", "–", "–"] in shown  # center own, which was not measured there


def test_marks_and_their_remark_are_those_of_the_table():
    better = [plaid(named([0.1] * 40)), first_stage("smve", "none", depths=[0])]
    better[1] = cell("smve", {"0": named([0.9] * 40)}, "none")
    text = Parsed(paged(better, ["scifact"])).all("body")[0][2]
    assert "90.00 (+80.0*)" in text and "Marked *: differs from PLAID, p < 0.05 in a two-sided" in text
    assert "Against PLAID: queries won / tied / lost." in text and "40 / 0 / 0" in text


def test_costs_stand_in_their_row():
    seconds = {"smve_encode_queries": 0.001, "smve_search": 0.003, "rerank": 0.02}
    one = first_stage("smve", "none", bytes={"index": 2_500_000}, seconds=seconds)
    parsed = Parsed(paged([one], ["scifact"]))
    assert lines(parsed, "mean")[1][-3:] == ["2.5 MB", "2.00", "10.00"]
    numbers = [attributes["data-number"] for _, attributes, _ in parsed.all("td", class_="cost")]
    assert "2500000.000000" in numbers and "" in numbers  # what is missing has no number


def test_the_answer_in_a_sentence(some):
    table = tables.long_form(some, inputs(some, SETS).rows, SETS, [0, 50, 100])
    ((model, sentences),) = glance.sentences(table, {("lateon", "corpus", "smve", "0"): "*"})
    assert model == "LateOn"
    assert sentences == [
        "PLAID 45.00.",
        "Best at rk=0: SMVE, center yes, 30.00 (-15.0*).",
        "No method comes within 1 point of PLAID.",
    ]
    near = [plaid(named([0.3, 0.31])), *some[4:5]]
    table = tables.long_form(near, inputs(near, ["scifact"]).rows, ["scifact"], [0, 50, 100])
    assert (
        glance.sentences(table, {})[0][1][2]
        == "Within 1 point of PLAID at rk=100 already: SMVE, center yes, 30.00 (-0.5)."
    )


def test_the_advice_is_the_first_thing_that_the_page_says():
    costs = {"bytes": {"index": 4000, "tokens": 30_000}, "details": {"documents": 10}}
    found = [
        cell("plaid", {"final": named([0.5] * 40)}, "none", seconds={"plaid_search": 4.0}, **costs),
        cell("muvera", {"0": named([0.5] * 40)}, seconds={"muvera_search": 0.4}, **costs),
    ]
    first, *_ = Parsed(paged(found, ["scifact"])).all("p", class_="glance")
    assert first[2].startswith("Advice, LateOn: The smallest within 0.5 points of PLAID, with 95 % confidence: MUVERA")


def test_published_next_to_measured(tmp_path):
    text = (
        "source: a card & a half\nsuite: beir3\ntolerance: {ok: 0.05, near: 0.3}\ndepths: [0]\nrows:\n"
        "  - {model: lateon, center: 'yes', method: smve, dataset: scifact, plaid: 60.1, ndcg10: [20.0]}\n"
        "  - {model: lateon, center: 'no', method: smve, dataset: scifact, ndcg10: [20.0]}\n"
    )
    (tmp_path / "card.yaml").write_text(text)
    (one,) = published.compared(tmp_path, [plaid(named([0.6])), first_stage("smve", "corpus")])
    assert (one.source, one.summary, one.measured) == ("a card & a half", "1 OK, 1 NEAR, 1 MISSING", True)
    assert one.lines["Verdict"].tolist() == ["OK", "NEAR", "MISSING"]
    assert one.lines.iloc[1].tolist()[-4:] == ["60.10", "60.00", "-0.10", "NEAR"]
    assert "up to 0.05 points" in one.tolerance and "NEAR: up to 0.3" in one.tolerance


def test_every_expected_value_is_in_the_page(some):
    page = Parsed(paged(some)).all("section", id="published")[0][2]
    for path in report.EXPECTED.glob("*.yaml"):
        for one in expected.check_file(path, some):
            assert f"{one.expected:.2f}" in page and one.source in page


def test_provenance_names_every_input():
    identity = {
        "weights": "w" * 64,
        "dataset": "d" * 64,
        "model": {"seed": 3, "dtype": "float32"},
        "method": {"name": "smve", "seed": 42},
        "center": {"name": "own", "query_mean": "q" * 64},
    }
    made = {
        "versions": {"torch": "2.9", "ranx": "0.3"},
        "host": {"cpu": "a CPU", "threads": 2},
        "commit": "c0ffee",
        "started": "2026-01-02T03:04:05+00:00",
        "notes": ["int8-rounded backbone"],
    }
    one = first_stage("smve", "own", identity=identity, details={"documents": 5183}, **made)
    text = Parsed(paged([one], ["scifact"])).all("section", id="origins")[0][2]
    for value in ["w" * 64, "d" * 64, "seed=3, dtype=float32", "seed=42", f"query_mean={'q' * 64}", "torch 2.9"]:
        assert value in text
    for value in ["cpu=a CPU, threads=2", "c0ffee", made["started"], "int8-rounded backbone", "5,183", "on scifact"]:
        assert value in text


def test_figures_are_in_the_page_and_described(some):
    parsed = Parsed(paged(some, geometries=[geometry()]))
    labels = [attributes["aria-label"] for _, attributes, _ in parsed.all("svg")]
    assert len(labels) == 6 and len(set(labels)) == 6
    assert "mean NDCG@10 × 100 against rerank depth, documents: PLAID 45;" in labels[0]
    assert "MUVERA, raw 25 to 35; SMVE, centered 30 to 40." in labels[0]
    assert "Geometry: LateOn on scifact" in [text for _, _, text in parsed.all("summary")]
    assert all(kind.caption for kind in figures.KINDS.values())
    other = geometry(model="lateon_reg")
    assert len(Parsed(paged(some, geometries=[other])).all("svg")) == 1  # not of the table's models


# What it must not do


def test_text_of_records_cannot_run(some, monkeypatch):
    odd = {
        "model": HOSTILE,
        "notes": [HOSTILE, f"mu_Q: {HOSTILE}"],
        "versions": {HOSTILE: HOSTILE},
        "host": {"cpu": HOSTILE},
        "commit": HOSTILE,
        "started": HOSTILE,
        "identity": {"weights": HOSTILE, "method": {"x": HOSTILE}, "center": {HOSTILE: 1}, "model": {"a": [HOSTILE]}},
    }
    hostile = [
        plaid(named([0.5, 0.5]), HOSTILE, model=HOSTILE),
        first_stage(f"smve+{HOSTILE}", f"corpus+{HOSTILE}", HOSTILE, **odd),
    ]
    plain = Parsed(paged([plaid(named([0.5, 0.5])), first_stage("smve", "corpus")], ["scifact"]))
    parsed = Parsed(paged(hostile, [HOSTILE]))
    assert len(parsed.all("script")) == 1 and HOSTILE in parsed.all("main")[0][2]
    assert {tag for tag, _, _ in parsed.found} <= {tag for tag, _, _ in plain.found}
    assert parsed.all("tr", class_="set")[0][1]["id"] == "row1-1"
    assert not any(name.startswith("on") for _, attributes, _ in parsed.found for name in attributes)


def test_the_page_asks_nobody_for_anything(some):
    text = paged(some, geometries=[geometry()])
    parsed = Parsed(text)
    assert not re.search(r"https?:|//[a-z]|@import|fetch\(|XMLHttpRequest|WebSocket|import\(|sendBeacon", text)
    assert not parsed.all("link", "img", "iframe", "object", "embed", "base")
    for _, attributes, _ in parsed.found:
        assert not attributes.keys() & {"src", "srcset", "action", "style", "xlink:href", "background"}
        assert attributes.get("href", "#").startswith("#")
        assert "url(" not in str(attributes).replace("url(#", "")


def test_the_policy_allows_the_pages_own_style_and_script_alone(some):
    parsed = Parsed(paged(some))
    (policy,) = [attributes["content"] for _, attributes, _ in parsed.all("meta") if "http-equiv" in attributes]
    own = {
        tag: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for tag, _, text in parsed.found
        if tag in ("style", "script")
    }
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{own['style']}'; script-src 'sha256-{own['script']}'; "
        "base-uri 'none'; form-action 'none'"
    )


def test_the_same_records_give_the_same_bytes(some):
    assert paged(some, geometries=[geometry()]) == paged(some, geometries=[geometry()])


def test_ids_are_there_once_and_are_found(some):
    parsed = Parsed(paged(some, geometries=[geometry(), geometry(dataset="nfcorpus")]))
    ids = Counter(attributes["id"] for _, attributes, _ in parsed.found if "id" in attributes)
    assert set(ids.values()) == {1}
    used = {attributes["href"][1:] for _, attributes, _ in parsed.found if attributes.get("href")}
    used |= {found for _, attributes, _ in parsed.found for found in re.findall(r"url\(#(.*?)\)", str(attributes))}
    assert used and used <= ids.keys()


def test_without_javascript_everything_is_there(some):
    parsed = Parsed(paged(some))
    hidden = [(tag, attributes.get("id")) for tag, attributes, _ in parsed.found if "hidden" in attributes]
    assert hidden == [("form", "controls")]
    assert all("open" in attributes for _, attributes, _ in parsed.all("details"))
    form = parsed.all("form")[0][2]
    assert all(text in form for _, _, text in parsed.all("button"))  # no button that would do nothing


# How it looks


def css():
    return (entries.ROOT / "harness" / "report" / "page.css").read_text()


def test_there_is_a_print_and_a_dark_style():
    printed = css().split("@media print")[1]
    assert "display: none" in printed and all(
        f"--{kind}{i}: #fff" in printed for kind in ("loss", "gain") for i in (1, 4)
    )
    assert "prefers-color-scheme: dark" in css() and "prefers-reduced-motion" in css()


def luminance(color):
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_shades_are_read_and_told_apart_in_grey(theme):
    found = dict(re.findall(r"--(\w+): (#\w{6})", css().split(":root {")[theme + 1].replace("#fff;", "#ffffff;")))

    def contrast(one, other):
        dark, light = sorted((luminance(found[one]), luminance(found[other])))
        return (light + 0.05) / (dark + 0.05)

    for kind in ("loss", "gain"):
        steps = ["paper", *(f"{kind}{i}" for i in range(1, 5))]
        assert all(contrast("ink", step) >= 4.5 for step in steps)
        assert all(contrast(one, other) > 1.04 for one, other in zip(steps, steps[1:], strict=False))
    assert contrast("soft", "paper") >= 4.5 and contrast("link", "paper") >= 4.5


@pytest.mark.parametrize(
    ("delta", "shade"),
    [(0.04, "even"), (-0.44, "even"), (-0.46, "loss1"), (-2, "loss2"), (-5, "loss3"), (-45, "loss4"), (0.5, "gain1"),
     (15, "gain4")],
)  # fmt: skip
def test_shades_follow_the_number_shown(delta, shade):
    assert rows.shade(float(delta)) == shade


# Commands


def composed(command):
    words = shlex.split(command)
    assert words[:4] == ["python", "-m", "harness", "run"]
    return compose.composed(compose.expand([word for word in words[4:] if word != "-m"]))


RECORDED = list(records.read_all(entries.ROOT / "results"))


@pytest.mark.parametrize("dataset", sorted({record.dataset for record in RECORDED}))
def test_commands_make_the_committed_cells(dataset):
    """Composed, the command of a cell has the options that its record was made with."""
    mine = [record for record in RECORDED if record.dataset == dataset][::7]
    commands = Commands(RECORDED, dataset, [dataset])
    for record in mine:
        found = composed(commands.of_cell(Row(record.model, record.center, record.method), dataset))
        assert found.dataset.name == dataset and found.model.name == record.config["model"]["name"]
        assert dict(found.method) == {"seeds": None, **record.config["method"]}
        if not registry.end_to_end(record.method):
            assert names.variant("center", dict(found.center)) == record.center
            assert list(map(str, found.depths)) == list(record.ndcg10)


def changed(group, name, **options):
    return {**entries.entry(group, name), **options}


def test_a_command_names_every_option_that_differs():
    made = {
        "dataset": changed("dataset", "scifact", query_length=64),
        "model": changed("model", "lateon", dtype="bfloat16", query_expansion=False, path="my models"),
        "center": changed("center", "own", fallback=["nfcorpus"], max_queries=10),
        "method": changed("method", "muvera", projection=None),
    }
    one = first_stage("muvera+projection=null", "own+fallback=nfcorpus", model="lateon+dtype=bfloat16", config=made)
    row = Row(one.model, one.center, one.method)
    command = Commands([one], "scifact", ["scifact"]).of_cell(row, "scifact")
    assert command == (
        "python -m harness run dataset=scifact dataset.query_length=64 model=lateon model.dtype=bfloat16 "
        "'model.path=my models' model.query_expansion=false center=own 'center.fallback=[nfcorpus]' "
        "center.max_queries=10 method=muvera method.projection=null 'depths=[0,50,100]'"
    )
    found = composed(command)
    assert found.model.path == "my models" and list(found.center.fallback) == ["nfcorpus"]
    assert found.method.projection is None and list(found.depths) == [0, 50, 100]


def test_folders_are_named_by_their_paths():
    local = {
        "dataset": {**entries.entry("dataset", "local"), "name": "mine", "path": "my-data"},
        "model": {**entries.entry("model", "local"), "name": "colbert", "path": "colbert"},
    }
    one = first_stage("smve", "none", "mine", model="colbert", config=local)
    command = Commands([one], "mine", ["mine"]).of_cell(Row("colbert", "none", "smve"), "mine")
    assert "dataset.path=my-data dataset.name=mine model.path=colbert center=none" in command
    found = composed(command)
    assert (found.dataset.name, found.model.name) == ("mine", "colbert")


def test_trained_heads_are_named_by_their_folders_and_records_by_theirs():
    results = entries.ROOT / "results" / "ste"
    found = [
        one for one in records.read_all(results, ["cranfield"]) if one.method == "muvera" and one.center == "corpus"
    ]
    lines = Commands(found, "cranfield", ["cranfield"], results)
    said = [lines.of_cell(Row(one.model, one.center, one.method), "cranfield") for one in found]
    assert len(set(said)) == 4 and all(line.endswith(" results_dir=results/ste") for line in said)
    for one, line in zip(found, said, strict=True):
        options = composed(line).model
        assert options.head.endswith("_s0.safetensors") and names.variant("model", dict(options)) == one.model
    elsewhere = Commands(found, "cranfield", ["cranfield"], Path("/elsewhere")).of_cell(
        Row("x", "own", "muvera"), "cisi"
    )
    assert "results_dir" not in elsewhere


def test_one_command_for_all_data_sets(some):
    row = Row("lateon", "corpus", "smve")
    assert Commands(some, "x", SETS).of_row(row) == (
        "python -m harness run -m dataset=scifact,nfcorpus model=lateon center=corpus method=smve 'depths=[0,50,100]'"
    )
    beir3 = [*SETS, "arguana"]
    assert (
        Commands([], "beir3", beir3).of_row(row)
        == "python -m harness run suite=beir3 model=lateon center=corpus method=smve"
    )
    assert "center" not in Commands([], "beir3", beir3).of_row(Row("lateon", "none", "plaid"))
    other = first_stage("smve", "corpus", config={"method": changed("method", "smve", seed=1)})
    assert Commands([*some, other], "x", SETS).of_row(row) is None
    assert composed(Commands([], "beir3", beir3).of_row(row)).suite.name == "beir3"


def test_every_cell_has_its_command(some):
    codes = [text for _, _, text in Parsed(paged(some)).all("code")]
    assert len(codes) == 6 * (1 + len(SETS)) and all(map(composed, codes))


# The command line


def written(tmp_path, some, geometries=()):
    for record in some:
        records.write(tmp_path, record)
    for one in geometries:
        files.write_json(tmp_path / "geometry" / one["dataset"] / f"{one['model']}.json", one)
    return f"results_dir={tmp_path}"


def test_the_command_prints_the_file_that_it_wrote(some, tmp_path, capsys):
    place = written(tmp_path, some, [geometry()])
    assert main(["report", "dataset=scifact,nfcorpus", place]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/report.html\n"
    first = (tmp_path / "report.html").read_bytes()
    target = tmp_path / "my pages" / "one.html"
    assert main(["report", "dataset=scifact,nfcorpus", place, f"output={target}"]) == 0
    assert target.read_bytes() == first and first.startswith(b"<!doctype html>")


def test_options_of_the_table_choose_its_rows(some, tmp_path, capsys):
    place = written(tmp_path, some)
    assert main(["report", "dataset=scifact", "method=smve", "center=corpus", "depths=[0,50]", place]) == 0
    shown = lines(Parsed((tmp_path / "report.html").read_text()), "mean")
    assert [line[1:3] for line in shown] == [["yes", "SMVE"], ["PLAID", "60.00"]] and len(shown[0]) == 9


def test_without_words_all_that_was_measured_is_shown(some, tmp_path, capsys):
    place = written(tmp_path, some, [geometry()])
    assert main(["report", place]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "scifact" in page and "nfcorpus" in page
    capsys.readouterr()
    assert main(["table", place, "depths=[0,50]"]) == 0
    assert "Mean NDCG@10 x 100 over all (nfcorpus, scifact)" in capsys.readouterr().out
    assert main(["plot", place]) == 0
    assert f"{tmp_path}/figures/depth-all.svg" in capsys.readouterr().out.splitlines()


def test_one_suite_that_was_measured_keeps_its_name(some, tmp_path, capsys):
    place = written(tmp_path, [replace(one, dataset="docstrings") for one in some if one.dataset == "scifact"])
    assert main(["table", place, "depths=[0,50]"]) == 0
    assert "over demo (docstrings)" in capsys.readouterr().out


def test_where_nothing_fits_the_sentence_says_what_was_measured(some, tmp_path, capsys):
    place = written(tmp_path, some)
    for words in (["model=demo", "dataset=scifact"], ["model=lateon", "suite=demo"], ["experiment=demo"]):
        for command in ("table", "report"):
            assert main([command, place, *words]) == 2
            error = capsys.readouterr().err
            assert "nothing was measured on " in error and error.count("\n") == 1
            assert "measured were the data sets nfcorpus, scifact with the models lateon" in error


ERRORS = {
    "dataset=arguana": "nothing was measured on arguana in {place}; measured were the data sets nfcorpus, scifact "
    "with the models lateon: name some of these (dataset=nfcorpus model=lateon), or no data set and no model to see "
    "all.",
    "dataset=scifact output={place}/records/scifact/lateon/none/plaid.json/x.html": "cannot write the report",
    "dataset=scifact output={place}": "set output to a file that can be written.",
    "dataset=scifact output=": "output=: expected a file, or null.",
    "dataset=scifct": "unknown data set 'scifct'; did you mean 'scifact'?",
}


@pytest.mark.parametrize("words", ERRORS)
def test_errors_are_one_sentence_and_exit_code_2(words, some, tmp_path, capsys):
    place = written(tmp_path, some)
    assert main(["report", place, *words.format(place=tmp_path).split()]) == 2
    found = capsys.readouterr()
    assert found.err.startswith("error: ") and ERRORS[words].format(place=tmp_path) in found.err
    assert found.err.count("\n") == 1 and found.out == "" and not list(tmp_path.glob(".*.tmp"))


def test_what_was_not_measured_has_no_number(some):
    line = rows.blocks(
        inputs(some, SETS),
        tables.long_form(some, inputs(some, SETS).rows, SETS, [0, 50, 100]),
        {},
        Commands(some, "x", SETS),
    )
    (line,) = [one for one in line if one.row == Row("lateon", "none", "smve")]
    assert line.row == Row("lateon", "none", "smve") and line.mean.name == MEAN
    assert {value.number for value in [*line.mean.values, *line.mean.costs]} == {""}
