"""`geometry` through the command line, on a tiny model of LateOn's architecture and a tiny data set; `compare`."""

from __future__ import annotations

import json
from hashlib import sha256

import numpy as np
import pytest
import reference
import torch
from tiny import in_memory

from harness.cli import main
from harness.config.entries import entry
from harness.data import beir
from harness.geometry import file, tables
from harness.geometry.moments import MEASURES
from harness.methods import registry
from harness.methods.muvera import FixedDimensionalEncoding, Muvera
from harness.methods.smve import Smve
from harness.ranking.resources import Resources
from harness.vectors.store import open_store

SETS = ("documents", "queries", "within_document", "within_query")
SPACES = ("raw", "centered", "own")


@pytest.fixture(scope="module")
def measured(lateon_like, tiny_dataset, tmp_path_factory):
    """Both methods in every space, on all documents: (words of the command, results folder, cache folder)."""
    results, cache = tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("cache")
    words = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", f"cache_dir={cache}", "progress=false"]
    assert main(["geometry", *words, f"results_dir={results}"]) == 0
    return words, results, cache


@pytest.fixture(scope="module")
def record(measured):
    return file.read(file_in(measured[1]))


@pytest.fixture(scope="module")
def vectors(measured, tiny_dataset):
    """Space -> token vectors of (documents, queries), text by text, less the means by loops."""
    folder = measured[2] / "tokens"
    stores = [
        open_store(next(folder.glob(f"lateon-like-tiny-{name}-*[!k]")))
        for name in ("documents", "queries", "mean-queries")
    ]
    docs, queries, others = ([store[row] for row in range(len(store))] for store in stores)
    mu_d, mu_q = (reference.token_mean(texts).astype(np.float32) for texts in (docs, others))
    minus = {"raw": (0 * mu_d, 0 * mu_d), "centered": (mu_d, mu_d), "own": (mu_d, mu_q)}
    return {space: ([d - a for d in docs], [q - b for q in queries]) for space, (a, b) in minus.items()}


@pytest.fixture(scope="module")
def exact(vectors):
    """MaxSim of each query with each document, as the model gives them, by triple loop."""
    docs, queries = vectors["raw"]
    return [[np.float32(reference.maxsim(query, document)) for document in docs] for query in queries]


def file_in(results):
    return file.path_of(results, "tiny", "lateon-like")


@pytest.mark.parametrize("space", SPACES)
def test_measures_equal_those_of_the_stored_vectors(record, vectors, space):
    for side, texts in zip(("documents", "queries"), vectors[space], strict=True):
        tokens = np.concatenate(texts)
        assert record[side][space] == pytest.approx(
            {**reference.spread(tokens), "n": len(tokens), "dim": 16}, rel=1e-4, abs=1e-5
        )
        values = np.linalg.svd(tokens.astype(np.float64), compute_uv=False) ** 2
        assert record["spectrum"][side][space] == pytest.approx((values / values.sum()).tolist(), abs=1e-5)


@pytest.mark.parametrize("space", SPACES)
def test_measures_within_texts_equal_those_of_the_stored_vectors(record, vectors, space):
    for side, texts in zip(("within_document", "within_query"), vectors[space], strict=True):
        wanted = {**reference.spread_within(texts, None), "dim": 16}
        assert record[side][space] == pytest.approx(wanted, rel=1e-4, abs=1e-5)


def test_a_record_says_what_was_done(record, measured):
    assert {key: record[key] for key in ("format", "dataset", "model")} == {
        "format": 1,
        "dataset": "tiny",
        "model": "lateon-like",
    }
    assert list(record["documents"]["raw"]) == [*MEASURES, "n", "dim"]
    for of in SETS:
        assert {space: set(found) for space, found in record[of].items()} == {
            space: {*MEASURES, "n", "dim"} for space in SPACES
        }
    assert record["notes"] == ["mu_Q: 5 of 5 queries of tiny/train"]
    assert {"dataset", "weights", "model", "query_mean", "geometry"} == set(record["identity"])
    assert record["seconds"] > 0 and record["commit"] and record["host"] and record["versions"]["torch"]
    assert str(measured[2]) not in json.dumps(record)  # no folders of this machine


def test_cosine_histograms_are_of_the_same_pairs(record, vectors):
    found = record["cosines"]
    middles = (np.array(found["edges"][1:]) + found["edges"][:-1]) / 2
    for side in ("documents", "queries"):
        for space in SPACES:
            counts = np.array(found[side][space])
            assert counts.sum() == found["pairs"] == 1 << 20
            wanted = record[side][space]["mean_pairwise_cosine"]
            assert counts @ middles / counts.sum() == pytest.approx(wanted, abs=0.0115)  # half a bin, and chance
    assert found["documents"]["centered"] == found["documents"]["own"] != found["documents"]["raw"]


@pytest.mark.parametrize("space", SPACES)
def test_buckets_are_those_of_the_vectors_as_they_are_projected(record, vectors, space):
    options = registry.arguments(entry("method", "muvera"))
    fde = FixedDimensionalEncoding(16, **options, device=torch.device("cpu"))
    planes = fde.planes.numpy().reshape(16, 20, 5)
    for side, texts in zip(("documents", "queries"), vectors[space], strict=True):
        found = record["first_stages"]["muvera"][space]["buckets"][side]
        above = np.einsum("td,drk->rtk", np.concatenate(texts), planes) > 0
        counts = [np.unique(bits, axis=0, return_counts=True)[1] for bits in above]
        shares = [count / sum(map(len, texts)) for count in counts]
        entropy = np.mean([-(share @ np.log2(share)) for share in shares])
        assert found["n"] == sum(map(len, texts)) and found["entropy"] == pytest.approx(entropy, abs=1e-3)
        assert found["shares"][0] == pytest.approx(np.mean([share.max() for share in shares]), abs=1e-3)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize(("method", "code"), [("muvera", Muvera), ("smve", Smve)])
def test_a_first_stage_is_compared_with_maxsim_of_the_raw_vectors(
    record, vectors, exact, tmp_path, tiny_dataset, method, code, space
):
    """The method's own search of the centered store; the document d9 is left out for the query d9."""
    dataset = beir.read_folder("tiny", tiny_dataset, "test", None)
    options = registry.arguments(entry("method", method))
    stores = [in_memory(texts) for texts in vectors[space]]
    search = code(**options).search(*stores, 60, Resources(torch.device("cpu"), 1 << 26, tmp_path)).ranking
    spearman, recall = [], []
    for i, query in enumerate(dataset.queries):
        kept = [row for row, document in enumerate(dataset.docs) if document != query]
        of_row = dict(zip(search.rows[i].tolist(), search.scores[i].tolist(), strict=True))
        sides = [of_row[row] for row in kept], [exact[i][row] for row in kept]
        spearman.append(reference.spearman(*sides))
        orders = [np.argsort(-np.array(scores), kind="stable").tolist() for scores in sides]
        recall.append(reference.share_found(*orders, 10, 50))
    found = record["first_stages"][method][space]["agreement"]
    assert found["spearman"] == pytest.approx(np.mean(spearman), abs=1e-3)
    assert found["recall"]["50"] == pytest.approx(np.mean(recall), abs=1e-9)
    assert list(found["recall"]) == list(found["overlap"]) == ["10", "50"]
    assert (found["queries"], found["documents"]) == (8, 60)


def test_separation_is_of_the_raw_vectors(record, vectors, exact, tiny_dataset):
    """The spread of MaxSim over the documents that a query may find, for each of its tokens; axes of one sign."""
    dataset = beir.read_folder("tiny", tiny_dataset, "test", None)
    docs, queries = vectors["raw"]
    spreads = []
    for name, query, scores in zip(dataset.queries, queries, exact, strict=True):
        others = [score for document, score in zip(dataset.docs, scores, strict=True) if document != name]
        spreads.append(np.std(others) / len(query))
    tokens = np.concatenate(docs)
    dead = np.mean([abs(axis.mean()) > 2 * axis.std() for axis in tokens.T])
    assert record["separation"] == {
        "dead_axes": pytest.approx(dead),
        "maxsim_spread": pytest.approx(np.mean(spreads), rel=1e-4),
        "documents": 60,
        "queries": 8,
    }


def test_a_geometry_from_before_has_its_separation_added_and_the_rest_stays(measured, record, tmp_path):
    path = file_in(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({key: value for key, value in record.items() if key != "separation"}))
    assert main(["geometry", *measured[0], f"results_dir={tmp_path}"]) == 0
    assert file.read(path) == {**record, "seconds": file.read(path)["seconds"]}


def test_a_narrow_cone_is_said_before_a_sweep(record):
    cone = {**record, "documents": {"raw": {"mean_pairwise_cosine": 0.82}}}
    (line,) = tables.warnings(cone)
    assert "cosine of 0.82" in line and "in about 34 % of the cases (even: 3 %)" in line and "recommended" in line
    cone["documents"] = {"raw": {"mean_pairwise_cosine": 0.05}}
    assert tables.warnings(cone) == []


def test_anchors_are_of_all_tokens(record):
    for space in SPACES:
        found = record["first_stages"]["smve"][space]
        for side in ("documents", "queries"):
            anchors = found["anchors"][side]
            assert anchors["n"] == record[side]["raw"]["n"] and 0 < anchors["gini_even"] < anchors["gini"] < 1
        tokens = [min(record[side]["raw"]["n"], most) for side, most in (("queries", 500), ("documents", 4000))]
        assert sum(found["zero_overlap"]["pairs"]) == tokens[0] * tokens[1]
    one, other = (record["first_stages"]["smve"][space]["anchors"]["documents"] for space in ("centered", "own"))
    assert one == other


def test_the_command_prints_what_it_wrote(measured, capsys):
    words, results, _ = measured
    assert main(["geometry", *words, f"results_dir={results}"]) == 0
    text = capsys.readouterr().out
    assert text.count("\n| within document ") == 3 and text.count("\n| muvera ") == text.count("\n| smve ") == 3
    assert "mu_Q: 5 of 5 queries of tiny/train." in text and f"Record: {file_in(results)}" in text
    assert "60 documents and 8 queries" in text and "recall@50" in text


def test_a_finished_geometry_is_not_computed_again(measured):
    words, results, _ = measured
    path = file_in(results)
    before = path.stat().st_mtime_ns, path.read_bytes()
    assert main(["geometry", *words, f"results_dir={results}"]) == 0
    assert main(["geometry", *words, f"results_dir={results}", "method=smve", "center=own"]) == 0
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before


def test_methods_and_centerings_are_added_and_the_rest_stays(measured, record, tmp_path):
    """One after the other gives what they give together; each line of the file is one key."""
    words = [*measured[0], f"results_dir={tmp_path}"]
    path, lines = file_in(tmp_path), []
    for more in (["method=muvera", "center=none"], ["method=muvera", "center=own"], ["method=smve", "center=none,own"]):
        assert main(["geometry", *(["-m"] if "," in more[1] else []), *words, *more]) == 0
        lines.append([line for line in path.read_text().splitlines() if ' "seconds":' not in line])
        stages = file.read(path)["first_stages"]
        for method, spaces in stages.items():
            for space, found in spaces.items():
                assert found == record["first_stages"][method][space]
    assert {method: list(spaces) for method, spaces in stages.items()} == {
        "muvera": ["raw", "own"],
        "smve": ["raw", "own"],
    }
    kept = [{line for line in some if ' "first_stages":' not in line} for some in lines]
    assert kept[0] == kept[1] == kept[2]


def test_a_variant_of_a_method_is_another_entry(measured, tmp_path):
    words = [*measured[0], f"results_dir={tmp_path}", "method=smve", "center=none"]
    assert main(["geometry", *words, "method.width=256"]) == 0
    assert main(["geometry", *words, "method.width=256", "method.keep=4"]) == 0
    assert list(file.read(file_in(tmp_path))["first_stages"]) == ["smve+width=256", "smve+keep=4+width=256"]


def test_a_comparison_is_of_documents_and_queries_drawn_by_their_ids(measured, vectors, tiny_dataset, tmp_path):
    sizes = ["geometry.documents=25", "geometry.queries=3"]
    words = [*measured[0], f"results_dir={tmp_path}", "method=muvera", "center=none"]
    assert main(["geometry", *words, *sizes]) == 0
    found = file.read(file_in(tmp_path))
    stage = found["first_stages"]["muvera"]["raw"]
    assert (stage["agreement"]["documents"], stage["agreement"]["queries"]) == (25, 3)
    dataset = beir.read_folder("tiny", tiny_dataset, "test", None)
    for side, names, most, texts in zip(
        ("documents", "queries"), (dataset.docs, dataset.queries), (25, 3), vectors["raw"], strict=True
    ):
        drawn = sorted(names, key=lambda name: sha256(name.encode()).hexdigest())[:most]
        assert stage["buckets"][side]["n"] == sum(
            len(text) for name, text in zip(names, texts, strict=True) if name in drawn
        )
    assert found["documents"]["raw"]["n"] == sum(map(len, vectors["raw"][0]))


def test_a_first_stage_of_other_options_is_not_believed(measured, tmp_path, capsys):
    """The default of a method may change; its name stays."""
    path = file_in(tmp_path)
    path.parent.mkdir(parents=True)
    changed = json.loads(file_in(measured[1]).read_text())
    changed["first_stages"]["muvera"]["raw"]["options"]["repetitions"] = 10
    path.write_text(json.dumps(changed))
    assert main(["geometry", *measured[0], f"results_dir={tmp_path}"]) == 1
    assert "was made with other options of muvera: set overwrite=true" in capsys.readouterr().err
    assert json.loads(path.read_text()) == changed


def test_a_geometry_of_other_inputs_is_neither_believed_nor_replaced_unasked(measured, tmp_path, capfd):
    words = [*measured[0], f"results_dir={tmp_path}", "center=none"]
    assert main(["geometry", *words, "method=muvera"]) == 0
    path = file_in(tmp_path)
    before = path.read_bytes()
    capfd.readouterr()
    assert main(["geometry", *words, "method=muvera", "geometry.queries=3"]) == 1
    errors = capfd.readouterr().err
    assert "was made with different geometry: set overwrite=true to replace it, or model.name" in errors
    assert path.read_bytes() == before and "Traceback" not in errors
    assert main(["geometry", *words, "method=smve", "method.width=64", "geometry.queries=3", "overwrite=true"]) == 0
    assert list(file.read(path)["first_stages"]) == ["smve+width=64"]
    assert file.read(path)["identity"]["geometry"]["queries"] == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"format": 1', "is damaged"),
        ("[]", "is damaged"),
        ('{"format": 7}', "has format 7, expected 1"),
        ('{"format": 1}', "is damaged"),
    ],
)
def test_a_file_that_is_no_geometry_is_named_and_kept(measured, tmp_path, capfd, content, said):
    path = file_in(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text(content)
    assert main(["geometry", *measured[0], f"results_dir={tmp_path}", "method=muvera", "center=none"]) == 1
    errors = capfd.readouterr().err
    assert said in errors and str(path) in errors and "Traceback" not in errors and path.read_text() == content


def test_few_documents_are_compared_without_recall(measured, tmp_path, capsys):
    """One document, of which there is no order, and for a query of its id none at all."""
    words = [*measured[0], f"results_dir={tmp_path}", "center=none", "method=muvera"]
    assert main(["geometry", *words, "geometry.documents=1"]) == 0
    follows = file.read(file_in(tmp_path))["first_stages"]["muvera"]["raw"]["agreement"]
    assert follows == {"spearman": 0, "recall": {}, "overlap": {}, "queries": 8, "documents": 1}


BAD = {
    "method=plaid center=none": "method=plaid is no first stage on token vectors: expected muvera or smve or lemur",
    "-m method=exact,smve center=own": "method=exact is no first stage on token vectors",
    "method=bm25 center=none": "method=bm25 is no first stage on token vectors",
    "center=corpus center.renormalize=true": "center=corpus+renormalize=true: a geometry has no variants of",
    "center.renormalize=true": "center.renormalize=true: expected false where nothing",
    "method=smve center=own shard=1/2": "shard=1/2: a geometry describes a whole corpus, so leave shard out.",
    "method=muvera,smve": "names several values, which is a sweep: add -m",
    "geometry.documents=0": "geometry.documents=0: expected a whole number of at least 1.",
    "geometry.queries=null": "geometry.queries=null: expected a whole number of at least 1.",
    "geometry.query=3": "Could not override 'geometry.query'",
    "method=muveraa": "unknown method 'muveraa'; did you mean 'muvera'?",
}


@pytest.mark.parametrize("words", BAD)
def test_one_sentence_and_exit_code_2(words, tiny_dataset, tmp_path, capfd):
    places = [f"dataset.path={tiny_dataset}", f"cache_dir={tmp_path}/c", f"results_dir={tmp_path}/r"]
    assert main(["geometry", "model=demo", *places, *words.split()]) == 2
    errors = capfd.readouterr().err
    assert errors.startswith("error: ") and BAD[words] in errors and errors.count("\n") == 1
    assert not (tmp_path / "r").exists()


def test_a_missing_data_set_does_not_stop_the_others(measured, tiny_dataset, tmp_path, capfd):
    words = [word for word in measured[0] if not word.startswith("dataset")]
    words += [f"results_dir={tmp_path}", "method=muvera", "center=none"]
    assert main(["geometry", "-m", *words, f"dataset.path=/nowhere,{tiny_dataset}"]) == 1
    found = capfd.readouterr()
    assert "nowhere  lateon-like: the data set folder /nowhere does not exist" in found.err
    assert "Traceback" not in found.err and f"Record: {file_in(tmp_path)}" in found.out


def geometry_file(results, dataset, model, value, **changed):
    """A file of which every measure is `value`, but for what is changed in the raw documents."""
    measures = dict.fromkeys(MEASURES, value)
    found = {"format": 1, "dataset": dataset, "model": model}
    found |= {key: {} for key in ("spectrum", "cosines", "first_stages", "identity")}
    found |= {of: {space: dict(measures) for space in SPACES} for of in SETS}
    found["documents"]["raw"].update(changed)
    path = file.path_of(results, dataset, model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found))


def row(text, *cells):
    """The cells after the first ones of a table's row."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    return next(one[len(cells) :] for one in rows if tuple(one[: len(cells)]) == cells)


@pytest.fixture
def two_models(tmp_path):
    """Two models on two common data sets; each has one more of its own."""
    geometry_file(tmp_path, "adi", "one", 2.0, stable_rank=4.0, mean_pairwise_cosine=0.5)
    geometry_file(tmp_path, "cacm", "one", 4.0, stable_rank=6.0, mean_pairwise_cosine=0.1)
    geometry_file(tmp_path, "adi", "other", 2.0, stable_rank=5.0, mean_pairwise_cosine=0.2)
    geometry_file(tmp_path, "cacm", "other", 1.0, stable_rank=7.5, mean_pairwise_cosine=0.0)
    geometry_file(tmp_path, "cisi", "one", 1000.0)
    geometry_file(tmp_path, "scifact", "other", 1000.0)
    return tmp_path


def compare(results, *words):
    return main(["geometry", "compare", f"results_dir={results}", *words])


def test_models_are_compared_over_their_common_data_sets(two_models, capsys):
    assert compare(two_models, "a=one", "b=other") == 0
    text = capsys.readouterr().out
    assert row(text, "documents", "raw", "stable rank") == ["5.000", "6.250", "+25.0 %"]
    assert row(text, "documents", "raw", "mean pairwise cosine") == ["0.300", "0.100", "-0.200"]
    assert row(text, "within query", "centered", "effective rank") == ["3.000", "1.500", "-50.0 %"]
    assert row(text, "of", "space", "measure") == ["one", "other", "change"]
    assert "Means over adi, cacm;" in text and text.count("\n| ") == 4 * 2 * 5


@pytest.mark.parametrize("words", ["dataset=cacm", "dataset=cacm,scifact"])
def test_models_are_compared_on_the_data_sets_asked_for(two_models, capsys, words):
    assert compare(two_models, "a=one", "b=other", words) == 0
    text = capsys.readouterr().out
    assert row(text, "documents", "raw", "stable rank") == ["6.000", "7.500", "+25.0 %"] and "over cacm;" in text


COMPARE_BAD = {
    "": "geometry compare needs two models: a=MODEL b=MODEL",
    "a=one": "geometry compare needs two models",
    "b=one": "geometry compare needs two models",
    "a=one b=": "geometry compare needs two models",
    "a=one b=one": "geometry compare needs two models",
    "a=one b=othre": "there is no geometry of 'othre' (known: one, other): run `python -m",
    "a=one b=other dataset=cisi": "one and other have no geometry of a common data set (adi, cacm, cisi; adi, cacm",
    "a=one b=other dataset=nope": "unknown data set 'nope'",
    "a=one b=other results_dir=/nowhere": "there is no geometry of 'one' (there is none in /nowhere)",
}


@pytest.mark.parametrize("words", COMPARE_BAD)
def test_a_comparison_that_cannot_be_is_one_sentence_and_exit_code_2(two_models, capsys, words):
    place = [] if "results_dir" in words else [f"results_dir={two_models}"]
    assert main(["geometry", "compare", *place, *words.split()]) == 2
    found = capsys.readouterr()
    assert found.err.startswith("error: ") and COMPARE_BAD[words] in found.err
    assert found.err.count("\n") == 1 and found.out == ""


def test_a_measure_of_zero_has_no_change_in_percent(two_models, capsys):
    """Within the documents where none has two tokens, all measures are 0."""
    geometry_file(two_models, "cacm", "one", 0.0)
    assert compare(two_models, "a=one", "b=other", "dataset=cacm") == 0
    assert "Traceback" not in capsys.readouterr().err
