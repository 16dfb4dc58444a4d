"""A record measured again: the same, within rounding, or different and why."""

from __future__ import annotations

import json
import shutil

import pytest

from harness import records
from harness.cli import main


@pytest.fixture(scope="module")
def measured(lateon_like, tiny_dataset, tmp_path_factory):
    """(Results folder, the words that find model, data set and cache.)"""
    results, cache = tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("cache")
    words = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", "depths=[0,5,20]", "progress=false"]
    words += [f"cache_dir={cache}", f"results_dir={results}"]
    assert main(["run", "-m", *words, "center=own", "method=muvera,plaid,exact"]) == 0
    places = [f"models_dir={lateon_like.parent}", f"data_dir={tiny_dataset.parent}", f"cache_dir={cache}"]
    return results, places


def path_of(results, method="muvera"):
    center = "own" if method == "muvera" else "none"
    return records.record_path(results, "tiny", "lateon-like", center, method)


@pytest.fixture
def tampered(measured, tmp_path):
    """A copy of the record of MUVERA after some change of its content."""

    def make(change):
        content = json.loads(path_of(measured[0]).read_text())
        del content["crc32"]  # as a record that was written like this
        change(content)
        path = tmp_path / "muvera.json"
        path.write_text(json.dumps(content))
        return path

    return make


def reproduce(path, *words):
    return main(["reproduce", str(path), *words])


@pytest.mark.parametrize("method", ["muvera", "plaid", "exact"])
def test_a_fresh_record_is_the_same_from_the_cache_and_encoded_again(method, measured, tmp_path, capsys):
    results, places = measured
    before = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert reproduce(path_of(results, method), *places) == 0
    text = capsys.readouterr().out
    assert "Verdict: same (all scores are equal to the last bit)." in text
    assert "Token vectors: from the cache (lateon-like-tiny-documents-" in text
    assert ("PLAID's index" in text) == (method == "plaid")
    assert "Inputs: the same.\nVersions: the same.\nHost: the same." in text
    assert reproduce(path_of(results, method), *places[:2], f"cache_dir={tmp_path}") == 0
    text = capsys.readouterr().out
    assert "Token vectors: computed." in text and "Verdict: same" in text
    assert {path: path.read_bytes() for path in results.rglob("*") if path.is_file()} == before


def test_several_records_are_reproduced_one_after_the_other(measured, tampered, capsys):
    results, places = measured
    changed = tampered(lambda content: content["identity"].update(weights="a" * 64))
    same = path_of(results, "exact")
    assert main(["reproduce", str(changed), str(same), *places]) == 1
    text = capsys.readouterr().out
    assert text.index(f"{changed}\n") < text.index("Verdict: different") < text.index(f"{same}\n")
    assert text.index(f"{same}\n") < text.index("Verdict: same")
    assert main(["reproduce", str(same), str(path_of(results, "plaid")), *places]) == 0
    capsys.readouterr()
    assert main(["reproduce", str(same), "/nowhere/smve.json", *places]) == 2
    found = capsys.readouterr()
    assert "the record /nowhere/smve.json does not exist" in found.err and not found.out  # before any work


def test_a_record_of_a_deeper_ranking_is_measured_as_deep(measured, lateon_like, tiny_dataset, tmp_path, capsys):
    words = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", measured[1][2], f"results_dir={tmp_path}"]
    for depths in ("[0,30]", "[0,7]"):  # the second adds to the first: the record's config names the last alone
        assert main(["run", *words, "method=smve", "method.seed=5", "reference=null", f"depths={depths}"]) == 0
    path = records.record_path(tmp_path, "tiny", "lateon-like", "corpus", "smve+seed=5")
    assert list(records.read(path).ndcg10) == ["0", "7", "30"]
    capsys.readouterr()
    assert reproduce(path, *measured[1]) == 0
    assert "| 30 |" in capsys.readouterr().out


def test_another_score_is_different(measured, tampered, capsys):
    def change(content):
        content["per_query"]["5"][2] += 0.25
        content["ndcg10"]["5"] += 0.25 / 8

    path = tampered(change)
    content = path.read_bytes()
    assert reproduce(path, *measured[1]) == 1
    text = capsys.readouterr().out
    assert "Verdict: different (scores differ by 1e-06 or more)." in text and "Inputs: the same." in text
    line = next(line for line in text.splitlines() if line.startswith("| 5 |"))
    assert "| -0.031 | 0.25 | 0 | 1 of 8 |" in line
    assert "| 0 | 0 | 0 | 0 of 8 |" in next(line for line in text.splitlines() if line.startswith("| 20 |"))
    assert path.read_bytes() == content


@pytest.mark.parametrize(("by", "code", "verdict"), [(5e-7, 0, "within rounding"), (2e-6, 1, "different")])
@pytest.mark.parametrize("where", ["per_query", "ndcg10", "candidate_recall"])
def test_rounding_is_told_from_difference(where, by, code, verdict, measured, tampered, capsys):
    def change(content):
        if where == "per_query":
            content["per_query"]["20"][0] += by
        else:
            content[where]["20"] += by

    assert reproduce(tampered(change), *measured[1]) == code
    assert f"Verdict: {verdict} (" in capsys.readouterr().out


def test_other_weights_in_the_record_are_named_though_scores_agree(measured, tampered, capsys):
    assert reproduce(tampered(lambda content: content["identity"].update(weights="a" * 64)), *measured[1]) == 1
    text = capsys.readouterr().out
    assert "Inputs: differ (record, now): weights: aaaaaaaaaaaa, " in text
    assert "Verdict: different (another input, and so another cell)." in text and "0 of 8" in text


def test_other_weights_on_disk_are_named(measured, lateon_like, tmp_path, capsys):
    other = shutil.copytree(lateon_like, tmp_path / "other")
    (other / "more.txt").write_text("one more file that a checkpoint is made of")
    assert reproduce(path_of(measured[0]), *measured[1], f"model.path={other}") == 1
    assert "Inputs: differ (record, now): weights: " in capsys.readouterr().out


def test_an_option_that_is_given_is_named(measured, capsys):
    assert reproduce(path_of(measured[0]), *measured[1], "method.seed=7") == 1
    assert "Inputs: differ (record, now): method.seed: 42, 7." in capsys.readouterr().out


def test_of_the_earlier_format_hashes_and_seeds_are_found_where_it_has_them(measured, tampered, capsys):
    def older(content):
        del content["sha256"], content["seeds"]
        content["format"] = 1

    now, then = records.read(path_of(measured[0])), records.read(tampered(older))
    assert then.sha256 == {name: now.sha256[name] for name in ("config", "data", "weights")}
    assert then.seeds == now.seeds and then.format == 1
    assert reproduce(tampered(older), *measured[1]) == 0 and "Verdict: same" in capsys.readouterr().out


def test_other_queries_are_named(measured, tampered, capsys):
    assert reproduce(tampered(lambda content: content["per_query"]["queries"].reverse()), *measured[1]) == 1
    assert "queries: 8, 8 (not the same ids in the same order)" in capsys.readouterr().out


def test_another_version_and_host_are_named_and_change_no_verdict(measured, tampered, capsys):
    def change(content):
        content["versions"]["torch"] = "1.0"
        content["host"] |= {"cpu": "abacus", "gpu": "none such"}

    assert reproduce(tampered(change), *measured[1]) == 0
    text = capsys.readouterr().out
    assert "Versions: differ (record, now): torch: 1.0, " in text and "Verdict: same" in text
    assert "Host: differ (record, now): cpu: abacus, " in text and "gpu: none such, nothing" in text


BAD = {
    "format": (lambda content: content.update(format=9), "has format 9, expected 1"),
    "field": (lambda content: content.pop("identity"), "is damaged (KeyError: 'identity')"),
    "scores": (lambda content: content["per_query"]["5"].pop(), "expected the score of each of its 8 queries"),
    "config": (lambda content: content["config"].pop("method"), "has no usable config (KeyError: 'method')"),
    "option": (lambda content: content["config"]["method"].update(magic=3), "has the option magic, which this version"),
    "value": (lambda content: content["config"].update(memory_mb=0), "memory_mb=0: expected a whole number"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_record_that_cannot_be_used_is_a_sentence(what, measured, tampered, capsys):
    change, expected = BAD[what]
    assert reproduce(tampered(change), *measured[1]) == 2
    found = capsys.readouterr()
    assert found.err.startswith("error: ") and expected in found.err and found.err.count("\n") == 1 and not found.out


def test_half_a_file_is_a_sentence(measured, tmp_path, capsys):
    (tmp_path / "half.json").write_text(path_of(measured[0]).read_text()[:300])
    assert reproduce(tmp_path / "half.json") == 2
    assert "is damaged (JSONDecodeError" in capsys.readouterr().err


def test_what_is_not_at_hand_is_a_sentence(measured, tmp_path, capsys):
    path, (models, data, cache) = path_of(measured[0]), measured[1]
    cases = {
        "the record's model was the folder 'lateon-like', which is not in models_dir=null": ["models_dir=null", data],
        "the record's dataset was the folder 'tiny', which is not in data_dir=": [models, f"data_dir={tmp_path}"],
        "the model folder /nowhere does not exist": [data, "model.path=/nowhere"],
        "the data set folder /nowhere does not exist": [models, "dataset.path=/nowhere"],
    }
    for expected, words in cases.items():
        assert reproduce(path, cache, *words) == 2
        found = capsys.readouterr()
        assert expected in found.err and found.err.count("\n") == 1 and not found.out


@pytest.mark.parametrize("word", ["method=plaid", "model=lateon", "memory_mb=64,128"])
def test_overrides_of_another_cell_are_refused(word, measured, capsys):
    assert reproduce(path_of(measured[0]), *measured[1], word) == 2
    assert f"error: {word}: the record says which cell it is" in capsys.readouterr().err
