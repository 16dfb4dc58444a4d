"""`train`, end to end: what it writes, what it says, and that a run is finished, gone on with, and repeated."""

from __future__ import annotations

import json
import shlex
import shutil

import numpy as np
import pytest
import scripts
import torch
from checkpoints import TEXTS, encoder
from omegaconf import OmegaConf
from safetensors.torch import load_file
from tiny import WORDS, with_dropout, write_dataset

from harness.cli import main
from harness.config import compose, entries
from harness.models import heads

pytestmark = pytest.mark.training
CPU = torch.device("cpu")
SMALL = "batch_size=4 max_steps=6 warmup=1 learning_rate=1e-3 log_every=1 validate_every=3 save_every=2".split()
RUNS = {
    "contrastive": "head",
    "ste_muvera": "head",
    "ste_smve": "head",
    "ste_muvera adapter": "adapter",
    "ste_muvera layers": "layers:1",
    "ste_muvera all": "all",
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Two folders of 40 documents; a query is the first words of its document; another one is judged 0."""
    rng, made = np.random.default_rng(5), []
    for name in ("one", "two"):
        docs = {f"d{i}": " ".join(rng.choice(WORDS, int(rng.integers(4, 12)))) for i in range(40)}
        queries = {f"q{i}": " ".join(docs[f"d{i}"].split()[:4]) for i in range(30)}
        qrels = {f"q{i}": {f"d{i}": 1, f"d{i + 7}": 0} for i in range(30)}
        made.append(write_dataset(tmp_path_factory.mktemp("sources") / name, docs, queries, qrels))
    return made


@pytest.fixture(scope="module")
def words(lateon_like, sources, tmp_path_factory):
    """The words of a command on the first source."""
    cache = tmp_path_factory.mktemp("cache")
    place = [f"model.path={lateon_like}", f"train_data.path={sources[0]}", f"cache_dir={cache}", "progress=false"]
    return [*place, "train_data.split=test", "train_data.validation_share=0.4", *(f"train.{word}" for word in SMALL)]


@pytest.fixture(scope="module")
def runs(words, tmp_path_factory):
    """Every objective's run of the head, and one of all weights."""
    folder = tmp_path_factory.mktemp("runs")
    for name, trainable in RUNS.items():
        more = [f"objective={name.split()[0]}", f"train.trainable={trainable}", f"train.output={folder / name}"]
        assert main(["train", *words, *more]) == 0
    return {name: folder / name for name in RUNS}


def facts(run):
    return json.loads((run / "training.json").read_text())


def log(run):
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def same(one, other):
    """Whether two runs have the same weights, to the last bit."""
    names = [path.relative_to(one) for path in one.rglob("*.safetensors")]
    assert names
    pairs = [(load_file(one / name), load_file(other / name)) for name in names if (other / name).exists()]
    return bool(pairs) and all(torch.equal(value, b[part]) for a, b in pairs for part, value in a.items())


EVERY = pytest.mark.parametrize("name", RUNS)


@EVERY
def test_a_run_leaves_these_files(runs, name):
    names = {path.name for path in runs[name].iterdir()}
    head = {"head.safetensors"} if RUNS[name] != "all" else set()
    assert names == {"model", "training.json", "log.jsonl", "started.json"} | head


@EVERY
def test_the_head_is_trained_and_the_backbone_if_asked(runs, lateon_like, tmp_path, name):
    before = encoder(lateon_like, tmp_path).pylate(None).state_dict()
    after = encoder(runs[name] / "model", tmp_path).pylate(None).state_dict()
    assert all(torch.isfinite(value).all() for value in after.values())
    if RUNS[name] == "head":
        assert all(torch.equal(v, after[part]) for part, v in load_file(runs[name] / "head.safetensors").items())
    moved = {part.split(".")[0] for part in before if not torch.equal(before[part], after[part])}
    whole = RUNS[name] in ("all", "layers:1")
    assert moved == ({"0", "1", "2", "3"} if whole else {"1", "2", "3"})
    if RUNS[name] == "layers:1":
        frozen = [part for part in before if "layers.0." in part or "embeddings" in part]
        assert frozen and all(torch.equal(before[part], after[part]) for part in frozen)


@EVERY
def test_the_log_has_both_terms_and_the_validation(runs, name):
    lines = log(runs[name])
    trained = [line for line in lines if "loss" in line]
    terms = {"maxsim"} if name == "contrastive" else {"maxsim", "codes"}
    assert [line["step"] for line in trained] == [1, 2, 3, 4, 5, 6]
    for line in trained:
        assert terms == {"maxsim", "codes"} & line.keys() and np.isfinite(line["grad_norm"])
        assert sum(line[term] for term in terms) == pytest.approx(line["loss"], abs=2e-3)
    measured = [line for line in lines if "eval_validation_exact" in line]
    assert [line["step"] for line in measured] == [0, 3, 6]
    kinds = {f"{method}_{kind}" for method in ("muvera", "smve") for kind in ("none", "corpus", "own")}
    for line in measured:
        assert {key.removeprefix("eval_validation_") for key in line if "validation" in key} == {
            "exact",
            "cosine",
        } | kinds
        assert all(0 <= line[f"eval_validation_{kind}"] <= 1 for kind in kinds)


@EVERY
def test_a_run_says_what_was_done(runs, words, name):
    found = facts(runs[name])
    assert found["steps"] == 6 and found["pairs"].keys() == {"one"} and found["pairs"]["one"] >= 8
    assert found["removed"] == {"one": {"queries": 0, "documents": 0}} and found["validation"]["documents"] == 40
    assert found["identity"]["objective"]["name"] == name.split()[0] and found["versions"]["torch"]
    assert found["before"] == {
        k.removeprefix("eval_validation_"): v for k, v in log(runs[name])[0].items() if k != "step"
    }
    last = [line for line in log(runs[name]) if "eval_validation_exact" in line][-1]
    assert found["after"] == pytest.approx({key: last[f"eval_validation_{key}"] for key in found["after"]})


@pytest.mark.parametrize("name", [name for name, trainable in RUNS.items() if trainable != "all"])
def test_the_head_gives_what_the_whole_model_gives(runs, lateon_like, tmp_path, name):
    for is_query, length in ((True, 12), (False, None)):
        whole = encoder(runs[name] / "model", tmp_path).encode(TEXTS, "x", is_query, length)
        head = encoder(lateon_like, tmp_path, head=str(runs[name] / "head.safetensors"))
        through, before = head.encode(TEXTS, "x", is_query, length), encoder(lateon_like, tmp_path)
        np.testing.assert_allclose(through.flat, whole.flat, atol=2e-3)
        assert np.abs(whole.flat - before.encode(TEXTS, "x", is_query, length).flat).max() > 0.01


def test_pylate_loads_the_model(runs):
    from pylate.models import ColBERT

    model = ColBERT(str(runs["ste_smve"] / "model"), device="cpu")
    (vectors,) = model.encode(["wing flow heat"], is_query=False)
    assert vectors.shape[1] == 16 and np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)


def test_validation_is_what_evaluation_measures(runs, lateon_like, sources, tmp_path):
    """NDCG@10 of exact search with the trained head, on the held-out split, from the encoder on."""
    from harness.evaluation.ndcg import Evaluator
    from harness.methods.exact import Exact
    from harness.ranking.resources import Resources
    from harness.training import pairs

    named = {**entries.entry("train_data", "local"), "path": str(sources[0]), "split": "test", "validation_share": 0.4}
    held_out = pairs.load(named, None, tmp_path).validation
    trained = encoder(lateon_like, tmp_path, head=str(runs["ste_smve"] / "head.safetensors"))
    docs = trained.encode(held_out.docs, "docs", False, None)
    queries = trained.encode(held_out.queries, "queries", True, None)
    found = Exact().search(docs, queries, 10, Resources(CPU, 1 << 26, tmp_path)).ranking
    score = np.mean(Evaluator(held_out).ndcg10(found.rows))
    assert facts(runs["ste_smve"])["after"]["exact"] == pytest.approx(score, abs=0.02)


def test_the_first_study_measures_each_source_as_the_validation_does(runs, words, monkeypatch):
    """With one source, the study's look at it is the validation's at the whole."""
    (sources,) = scripts.of_study(monkeypatch, "ste", "sources")
    composed = compose.composed(compose.expand([*words, f"model.head={runs['ste_smve'] / 'head.safetensors'}"]))
    (line,) = sources._by_source(OmegaConf.to_container(composed, resolve=True))
    found = facts(runs["ste_smve"])
    assert {name: line[name] for name in ("queries", "documents")} == found["validation"]
    assert {name: line[name] for name in found["after"]} == pytest.approx(found["after"], abs=1e-4)


def command(words, output, *more):
    return main(["train", *words, f"train.output={output}", *more])


def contents(folder):
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def test_a_finished_run_is_not_repeated(runs, words, capsys):
    run = runs["ste_smve"]
    before = contents(run)
    assert command(words, run, "objective=ste_smve") == 0
    found = capsys.readouterr()
    assert contents(run) == before and "finished before" in found.err
    assert f"model.head={run / 'head.safetensors'}" in found.out


def test_what_does_not_change_the_weights_is_no_other_run(runs, words):
    before = contents(runs["ste_smve"])
    more = ["objective=ste_smve", "train.log_every=3", "train.save_every=5", "train.save_model=false"]
    assert command(words, runs["ste_smve"], *more) == 0 and contents(runs["ste_smve"]) == before


def test_a_model_that_was_not_saved_is_a_sentence(runs, words, tmp_path, capsys):
    run = shutil.copytree(runs["ste_smve"], tmp_path / "run")
    shutil.rmtree(run / "model")
    assert command(words, run, "objective=ste_smve") == 2
    assert "was trained with train.save_model=false and has no model/" in capsys.readouterr().err
    assert command(words, run, "objective=ste_smve", "train.save_model=false") == 0


def test_a_training_that_diverges_is_a_sentence_and_leaves_no_head(words, tmp_path, capsys):
    assert command(words, tmp_path / "run", "train.learning_rate=1e38", "train.warmup=0", "train.log_every=1") == 2
    assert "the training diverged: its loss or its weights are no finite numbers" in capsys.readouterr().err
    assert not (tmp_path / "run" / "head.safetensors").exists()


OTHERS = {
    "objective=ste_smve train.learning_rate=1e-4": "train",
    "objective=ste_smve alpha=0.3": "alpha",
    "objective=ste_smve objective.codes.keep=8": "objective",
    "objective=ste_smve train_data.seed=1": "data",
    "objective=ste_smve model.query_length=20": "model",
    "objective=ste_smve model.seed=1": "model",
    "objective=contrastive": "alpha, objective",
}


@pytest.mark.parametrize("more", OTHERS)
def test_another_run_does_not_go_into_the_same_folder(runs, words, capsys, more):
    before = contents(runs["ste_smve"])
    assert command(words, runs["ste_smve"], *more.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and f"holds a run with different {OTHERS[more]}: set train.output" in error
    assert contents(runs["ste_smve"]) == before


@pytest.mark.slow
def test_overwrite_replaces_a_run(runs, words, tmp_path):
    run = shutil.copytree(runs["contrastive"], tmp_path / "copy")
    assert command(words, run, "objective=ste_smve", "overwrite=true") == 0
    assert same(run, runs["ste_smve"]) and not same(run, runs["contrastive"])


def test_the_same_seed_gives_the_same_weights(runs, words, tmp_path):
    """In another folder, and with validation and checkpoints at other steps."""
    more = ["objective=ste_smve", "train.validate_every=5", "train.save_every=100"]
    assert command(words, tmp_path / "again", *more, "train.save_model=false") == 0
    assert same(tmp_path / "again", runs["ste_smve"]) and not (tmp_path / "again" / "model").exists()


@pytest.mark.slow
def test_the_seed_orders_the_batches(runs, words, tmp_path):
    assert command(words, tmp_path / "other", "objective=ste_smve", "train.seed=1") == 0
    assert not same(tmp_path / "other", runs["ste_smve"])


@pytest.fixture
def kill(monkeypatch):
    """Kill the next run in the validation of step 3, after the checkpoint of step 2."""
    from harness.training.validate import Validation

    def at_the_second_call(*command_words):
        measure, calls = Validation.measure, []

        def measured(self, model):
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return measure(self, model)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Validation, "measure", measured)
            command(*command_words)

    return at_the_second_call


@pytest.mark.parametrize(
    "trainable", ["head", *(pytest.param(other, marks=pytest.mark.slow) for other in ("adapter", "layers:1", "all"))]
)
def test_a_killed_run_goes_on_to_the_same_weights(words, sources, tmp_path, kill, capsys, trainable):
    """A batch comes from one of two sources; the means run over the batches."""
    both = [f"+train_data.sources.{path.name}={{split: test, pairs: 99, path: '{path}'}}" for path in sources]
    more = [*both, "objective=ste_smve", "objective.center=own", f"train.trainable={trainable}"]
    assert command(words, tmp_path / "whole", *more) == 0
    kill(words, tmp_path / "cut", *more)
    assert (tmp_path / "cut" / "checkpoints" / "checkpoint-2").is_dir()
    assert not (tmp_path / "cut" / "training.json").exists()
    assert command(words, tmp_path / "cut", *more) == 0
    assert "resumed from" in capsys.readouterr().err and same(tmp_path / "cut", tmp_path / "whole")
    assert facts(tmp_path / "cut")["before"] == facts(tmp_path / "whole")["before"]
    assert [line["step"] for line in log(tmp_path / "cut")] == [line["step"] for line in log(tmp_path / "whole")]


def test_a_killed_run_of_other_options_is_not_gone_on_with(runs, words, tmp_path, kill, capsys):
    kill(words, tmp_path / "cut", "objective=ste_smve")
    assert command(words, tmp_path / "cut", "objective=contrastive") == 2
    assert command(words, tmp_path / "cut", "objective=contrastive", "overwrite=true") == 0
    assert "resumed" not in capsys.readouterr().err and same(tmp_path / "cut", runs["contrastive"])


def test_nothing_but_a_run_is_replaced(words, lateon_like, runs, tmp_path, capsys):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "training.json").write_text("my notes")
    assert command(words, tmp_path / "thesis", "overwrite=true") == 2
    assert "has files that belong to no training run" in capsys.readouterr().err
    assert (tmp_path / "thesis" / "training.json").read_text() == "my notes"
    run = shutil.copytree(runs["contrastive"], tmp_path / "copy")
    (run / "notes.txt").write_text("mine")
    assert command(words, run, f"model.head={run / 'head.safetensors'}", "overwrite=true") == 2
    assert "which the run reads" in capsys.readouterr().err
    assert command(words, run, "objective=ste_smve", "train.batch_size=1000", "overwrite=true") == 2
    assert same(run, runs["contrastive"]) and (run / "notes.txt").read_text() == "mine"


def test_a_head_alone_is_not_what_all_weights_gave(words, runs, capsys):
    run, more = runs["ste_muvera all"], ["objective=ste_muvera", "train.trainable=all"]
    assert command(words, run, *more) == 0
    assert shlex.quote(f"model.path={run / 'model'}") + "\n" in capsys.readouterr().out
    assert command(words, run, *more, "train.save_model=false") == 2


def test_a_trained_head_is_trained_on(runs, words, tmp_path):
    head = runs["contrastive"] / "head.safetensors"
    assert command(words, tmp_path / "more", "objective=ste_smve", f"model.head={head}") == 0
    assert facts(tmp_path / "more")["before"] == pytest.approx(facts(runs["contrastive"])["after"], abs=1e-6)
    assert not same(tmp_path / "more", runs["ste_smve"])


def test_dropout_can_be_left_out(runs, words, lateon_like, tmp_path, capsys):
    """The tiny model has none: a copy of it with dropout, trained without, comes out the same."""
    path = with_dropout(lateon_like, tmp_path / "model")
    other = [word for word in words if not word.startswith("model.path")]
    more = [f"model.path={path}", "objective=ste_muvera", "train.trainable=layers:1"]
    assert command(other, tmp_path / "with", *more) == 0
    assert "train.dropout=false takes about half" in capsys.readouterr().err
    assert command(other, tmp_path / "without", *more, "train.dropout=false") == 0
    assert "dropout" not in capsys.readouterr().err
    wanted, found, dropped = (
        load_file(run / "head.safetensors")
        for run in (runs["ste_muvera layers"], *map(tmp_path.joinpath, ("without", "with")))
    )
    assert all(torch.equal(found[name], value) for name, value in wanted.items())
    assert not all(torch.equal(dropped[name], value) for name, value in wanted.items())


def test_a_sweep_has_a_folder_for_each(words, tmp_path, capsys):
    """Without train.output: in the cache, named by what the run depends on."""
    elsewhere = [word for word in words if not word.startswith("cache_dir")]
    more = [f"cache_dir={tmp_path}", "train.save_model=false", "train.max_steps=1", "alpha=0.1,0.9"]
    assert main(["train", "-m", *elsewhere, *more, "objective=ste_smve"]) == 0
    folders = sorted((tmp_path / "training").iterdir())
    assert len(folders) == 2 and all(path.name.startswith("lateon-like-ste_smve-") for path in folders)
    assert {facts(path)["identity"]["alpha"] for path in folders} == {0.1, 0.9}
    out = capsys.readouterr().out
    assert all(str(path) in out for path in folders)
    stores = [path for path in (tmp_path / "tokens").iterdir() if path.is_dir()]
    assert len(stores) == 2 * 2  # sides of the source, and of the rest of the validation: one backbone for both


def test_the_backbone_is_read_from_the_cache(runs, words, tmp_path, monkeypatch):
    """A head's training encodes nothing that was encoded before."""
    monkeypatch.setattr("harness.vectors.encode.vectors", lambda *_: pytest.fail("texts were encoded again"))
    assert command(words, tmp_path / "run", "objective=contrastive", "train.max_steps=1") == 0


FAILING = {
    "train.batch_size=1000": "no source has the 1000 training pairs of a batch: set train.batch_size to fewer",
    "train_data.path=/nowhere": "/nowhere does not exist",
    "train_data.split=dev": "this data set has the splits test",
    "train_data.validation_share=0": "expected at least one of each",
    "objective=ste_smve objective.codes.anchors=cosine": "anchors",
    "objective=ste_smve objective.codes.keep=0": "keep",
    "objective=ste_mvuera": "unknown objective 'ste_mvuera'; did you mean 'ste_muvera'?",
    "objective.center=mean": "objective.center=mean: expected one of none, corpus, own.",
    "objective.query_tokens=none": "objective.query_tokens=none: expected one of all, real, words.",
    "train.trainable=layers:3": "layers:3 are more layers than the 2 of this model",
    "alpha=1.5": "alpha=1.5: expected a number from 0 to 1",
    "objective=contrastive alpha=0.5": "alpha=0.5: expected 0 with objective=contrastive",
    "train.dropout=0.1": "train.dropout=0.1: expected true or false",
    "train.trainable=heads": "train.trainable=heads: expected head, adapter, layers:N or all.",
    "model.head=/nowhere.safetensors": "the head /nowhere.safetensors does not exist",
}


@pytest.mark.parametrize("more", FAILING)
def test_what_cannot_be_trained_is_a_sentence(words, tmp_path, capsys, more):
    changed = {word.split("=")[0] for word in more.split()}
    kept = [word for word in words if word.split("=")[0] not in changed]
    assert command(kept, tmp_path / "run", *more.split()) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and FAILING[more] in error
    assert not (tmp_path / "run" / "training.json").exists()


def test_the_shipped_objectives_differ_in_codes_alone():
    shipped = {name: entries.entry("objective", name) for name in entries.choices("objective")}
    assert all(entry["name"] == name for name, entry in shipped.items())
    assert shipped["contrastive"]["alpha"] == 0 and len({tuple(entry) for entry in shipped.values()}) == 1
    evaluated = {entries.entry("method", name)["seed"] for name in ("muvera", "smve")}
    assert not evaluated & {entry["codes"].get("seed") for entry in shipped.values()}


def test_heads_of_a_run_are_those_of_its_model(runs, tmp_path):
    for name, run in runs.items():
        if RUNS[name] == "all":
            continue
        model = encoder(run / "model", tmp_path).pylate(None)
        what = "layers:1" if RUNS[name] == "layers:1" else "head"  # an adapter is part of its model's head
        assert heads.parameters(model, what).keys() == load_file(run / "head.safetensors").keys(), name


def test_what_is_not_a_head_is_not_trained_on(runs, words, tmp_path, capsys):
    for name in ("ste_muvera adapter", "ste_muvera layers"):
        head = f"model.head={runs[name] / 'head.safetensors'}"
        assert command(words, tmp_path / "more", "objective=ste_smve", head) == 2
        assert f"holds {RUNS[name]}, expected a head to train on" in capsys.readouterr().err


def test_what_was_trained_is_measured_and_reproduced(runs, words, lateon_like, tiny_dataset, tmp_path, capsys):
    """For every kind, `run`, `geometry` and `reproduce` read the weights that `train` wrote, as it says to."""
    place = [f"cache_dir={tmp_path / 'cache'}", f"results_dir={tmp_path}", "progress=false"]
    more = ["method=muvera", "reference=null", "depths=[0,20]", f"dataset.path={tiny_dataset}", *place]
    weights = set()
    for name in ("ste_muvera adapter", "ste_muvera layers", "ste_muvera all"):
        assert command(words, runs[name], "objective=ste_muvera", f"train.trainable={RUNS[name]}") == 0
        said = shlex.split(capsys.readouterr().out.splitlines()[-1])[4:]
        said.append(f"model.name={name.replace(' ', '-')}")
        assert main(["run", *said, *more]) == 0
        assert main(["geometry", *said, f"dataset.path={tiny_dataset}", "geometry.queries=5", *place]) == 0
        (record,) = (tmp_path / "records").glob(f"*/{name.replace(' ', '-')}*/corpus/muvera.json")
        given = [word for word in said if "model.path" in word or "model.head" in word]
        data = f"dataset.path={tiny_dataset}"
        assert main(["reproduce", str(record), *given, data, f"cache_dir={tmp_path / 'other'}", "progress=false"]) == 0
        weights.add(json.loads(record.read_text())["identity"]["weights"])
    assert len(weights) == 3


@pytest.mark.slow
def test_query_lengths_and_what_codes_see_are_another_run(words, runs, sources, tmp_path):
    """Each only where it is set; `real` changes nothing where a model does not expand its queries."""
    source = f"+train_data.sources.one={{split: test, pairs: 99, path: '{sources[0]}'"
    identities = {}
    for name, more in {"plain": "", "long": ", query_length: 40"}.items():
        assert command(words, tmp_path / name, "objective=ste_smve", source + more + "}") == 0
        identities[name] = facts(tmp_path / name)["identity"]
    assert same(tmp_path / "plain", runs["ste_smve"]) and not same(tmp_path / "long", tmp_path / "plain")
    assert identities["plain"] == facts(runs["ste_smve"])["identity"]
    assert {key for key in identities["plain"] if identities["plain"][key] != identities["long"][key]} == {"data"}
    real = ["objective=ste_smve", "objective.query_tokens=real"]
    assert command(words, tmp_path / "real", *real) == 0
    assert command(words, tmp_path / "unexpanded", *real, "model.query_expansion=false") == 0
    assert command(words, tmp_path / "all", "objective=ste_smve", "model.query_expansion=false") == 0
    assert not same(tmp_path / "real", runs["ste_smve"]) and same(tmp_path / "unexpanded", tmp_path / "all")
    assert "query_tokens" in facts(tmp_path / "real")["identity"]["objective"]
    assert "query_tokens" not in facts(tmp_path / "all")["identity"]["objective"]
