"""The cache listed, verified and pruned, as real runs leave it."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import time

import numpy as np
import pytest
from holders import LOCK, MEASURING, holding

from harness.cache import inventory
from harness.cli import main
from harness.system.files import write_arrays

MODEL = "lateon-like"


@pytest.fixture(scope="module")
def used(lateon_like, tiny_dataset, tmp_path_factory):
    """What a run with PLAID, a shard's sums, a training run and Hydra leave; not to be changed."""
    folder = tmp_path_factory.mktemp("used")
    words = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", f"results_dir={folder / 'results'}"]
    words += [f"cache_dir={folder / 'cache'}", "depths=[0,5]", "progress=false", "center=none"]
    assert main(["run", "-m", *words, "method=plaid,smve"]) == 0
    kept = folder / "cache"
    write_arrays(kept / "tokens" / "a-documents-shard-1-of-2.sums.npz", sums=np.arange(9.0), tokens=3)
    for name, file in (("whole", "training.json"), ("stopped", "started.json")):
        (kept / "training" / name).mkdir(parents=True)
        (kept / "training" / name / file).write_text("{}")
    (kept / "hydra" / "2026-01-31" / "12-00-00").mkdir(parents=True)  # what a sweep with a launcher leaves
    (kept / "hydra" / "2026-01-31" / "12-00-00" / "multirun.yaml").write_text("hydra: {}\n")
    (kept / "mine.txt").write_text("not the harness's")
    return kept


@pytest.fixture
def kept(used, tmp_path):
    """A copy of it."""
    return shutil.copytree(used, tmp_path / "cache")


def one(kept, pattern):
    (found,) = kept.glob(pattern)
    return found


def documents(kept):
    return one(kept, "tokens/*-documents-*[0-9a-f]/meta.json").parent


def listed(kept, capsys):
    assert main(["cache", "ls", f"cache_dir={kept}", "format=csv"]) == 0
    return {line["name"]: line for line in csv.DictReader(io.StringIO(capsys.readouterr().out))}


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_stage_is_listed_with_its_size(kept, capsys):
    (documents(kept) / "meta.json").unlink()
    capsys.readouterr()
    found = listed(kept, capsys)
    kinds = [line["stage"] for line in found.values()]
    counts = {kind: kinds.count(kind) for kind in inventory.KINDS}
    assert counts == {
        **{"tokens": 2, "sums": 1, "plaid": 1, "index": 0, "exact": 0, "candidates": 2, "maxsim": 1},
        **{"data": 0, "training": 2, "hydra": 1, "other": 1},
    }
    for name, line in found.items():
        path = kept / name
        assert int(line["bytes"]) == sum(map(len, files(path).values() if path.is_dir() else [path.read_bytes()]))
    incomplete = {name for name, line in found.items() if line["complete"] == "false"}
    assert incomplete == {
        str(documents_of.relative_to(kept)) for documents_of in [one(kept, "tokens/*-documents-*[0-9a-f]")]
    } | {"training/stopped"}
    assert main(["cache", "ls", f"cache_dir={kept}"]) == 0
    text = capsys.readouterr().out
    assert all(f"| {name} |" in text for name in found) and "| tokens | 2 | 1 |" in text and "| all | 11 | 2 |" in text


def test_latex_is_refused(kept, capsys):
    assert main(["cache", "ls", f"cache_dir={kept}", "format=latex"]) == 2
    assert "format=latex: `cache ls` knows markdown and csv." in capsys.readouterr().err


def test_a_whole_cache_is_verified(kept, capsys):
    before = files(kept)
    capsys.readouterr()
    assert main(["cache", "verify", f"cache_dir={kept}"]) == 0
    assert capsys.readouterr().out.startswith("7 checked, 0 damaged; not checked: 1 incomplete, 3 without checksums.")
    assert files(kept) == before


DAMAGED = {
    "tokens/*-documents-*/tokens.f16": "fail their checksum",
    "tokens/*-documents-*/lengths.i32": "fail their checksum",
    "tokens/*-queries-*/tokens.f16": "fail their checksum",
    "plaid/*/centroids.npy": "centroids.npy",
    "plaid/*/complete.json": "complete.json",
    "tokens/*/meta.json": "meta.json",
    "stages/*/*/*/*/smve-*.candidates.npz": ".candidates.npz is damaged",
    "stages/*/*/*/*/smve-*.maxsim.npz": ".maxsim.npz is damaged",
    "tokens/*.sums.npz": ".sums.npz is damaged",
}


@pytest.mark.parametrize("pattern", DAMAGED)
def test_damage_of_each_kind_is_named(pattern, kept, capsys):
    path = sorted(kept.glob(pattern))[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content[: len(content) // 2] if path.suffix == ".json" else content)
    assert main(["cache", "verify", f"cache_dir={kept}"]) == 1
    line, total = capsys.readouterr().out.strip().splitlines()
    stage = path if path.suffix == ".npz" else path.parent
    assert DAMAGED[pattern] in line and str(stage) in line and "delete" in line
    assert total.startswith("7 checked, 1 damaged;")


def test_files_that_are_too_short_or_missing_are_named(kept, capsys):
    short = one(kept, "tokens/*-documents-*/tokens.f16")
    short.write_bytes(short.read_bytes()[:-2])
    missing = one(kept, "plaid/*/centroids.npy")
    missing.unlink()
    write_arrays(one(kept, "stages/*/*/*/*/smve-*.candidates.npz"), rows=np.zeros(1))
    assert main(["cache", "verify", f"cache_dir={kept}"]) == 1
    tokens, index, candidates, total = capsys.readouterr().out.strip().splitlines()
    assert f"{short} has" in tokens and str(missing) in index and "KeyError: 'place'" in candidates
    assert "3 damaged" in total


def test_pruning_a_whole_cache_deletes_nothing(kept, capsys):
    before = files(kept)
    assert main(["cache", "prune", f"cache_dir={kept}", "delete=true"]) == 0
    assert "0 deleted, 0 bytes." in capsys.readouterr().out and files(kept) == before


def test_what_is_incomplete_is_listed_and_deleted_only_on_demand(kept, capsys):
    store, index = documents(kept), one(kept, "plaid/*/complete.json").parent
    (store / "meta.json").unlink()
    (index / "complete.json").unlink()
    before = files(kept)
    size = sum(len(content) for path, content in before.items() if path.parent in (store, index))
    assert main(["cache", "prune", f"cache_dir={kept}"]) == 0
    text = capsys.readouterr().out
    assert f"| tokens/{store.name} |" in text and f"| plaid/{index.name} |" in text
    assert f"2 would be deleted, {size} bytes; delete=true deletes them." in text and files(kept) == before
    assert main(["cache", "prune", f"cache_dir={kept}", "delete=true"]) == 0
    assert f"2 deleted, {size} bytes." in capsys.readouterr().out
    assert files(kept) == {path: content for path, content in before.items() if path.parent not in (store, index)}


def test_age_takes_what_is_complete_but_no_results(kept, capsys):
    young, past = documents(kept), time.time() - 10 * 86_400
    for path in [*kept.rglob("*"), kept]:
        if path != young and young not in path.parents:
            os.utime(path, (past, past))
    assert main(["cache", "prune", f"cache_dir={kept}", "older=11", "delete=true"]) == 0
    assert "0 deleted" in capsys.readouterr().out
    assert main(["cache", "prune", f"cache_dir={kept}", "older=9", "delete=true"]) == 0
    assert "8 deleted" in capsys.readouterr().out
    left = {name for name, line in listed(kept, capsys).items() if line["stage"] != "hydra"}
    assert left == {f"tokens/{young.name}", "training/whole", "mine.txt"}


def test_a_held_lock_protects(kept, capsys):
    store = documents(kept)
    (store / "meta.json").unlink()
    before = files(store)
    with holding(LOCK, store.with_name(store.name + ".lock")):
        for words in ([], ["delete=true"], ["delete=true", "older=0"]):
            assert main(["cache", "prune", f"cache_dir={kept}", *words]) == 0
            assert store.name not in capsys.readouterr().out.replace(f"plaid/{store.name}", "")
            assert files(store) == before
    assert main(["cache", "prune", f"cache_dir={kept}", "delete=true"]) == 0
    assert not store.exists()


def test_a_lock_that_was_taken_after_the_listing_protects(kept):
    from harness.cache import pruning

    store = documents(kept)
    (store / "meta.json").unlink()
    (listed_before,) = pruning.prunable(inventory.stages(kept), kept, None)
    with holding(LOCK, store.with_name(store.name + ".lock")):
        assert not pruning.delete(listed_before, kept)
    (store / "meta.json").write_text(json.dumps({}))  # as if that process had finished it
    assert not pruning.delete(listed_before, kept) and store.exists()


def test_a_store_that_is_being_encoded_since_it_was_listed_stays(kept):
    from harness.cache import pruning
    from harness.vectors import build

    path, texts = kept / "tokens" / "m-d-documents-x", [np.ones((2, 8), np.float32)] * 6

    def stopped(start, stop):
        if start == 2:
            raise KeyboardInterrupt
        return texts[start:stop]

    with pytest.raises(KeyboardInterrupt):
        build.fill(path, list("abcdef"), stopped, {"i": 1}, 2)
    (listed_before,) = pruning.prunable(inventory.stages(kept), kept, None)
    tried = []

    def pruned_meanwhile(start, stop):
        tried.append(pruning.delete(listed_before, kept))
        return texts[start:stop]

    store = build.build_store(path, list("abcdef"), pruned_meanwhile, {"i": 1}, 2)
    assert tried == [False, False] and len(store) == 6


def test_a_stage_of_cells_that_are_being_measured_since_it_was_listed_stays(kept):
    from harness.cache import pruning

    listed_before = [stage for stage in pruning.prunable(inventory.stages(kept), kept, 0) if stage.kind == "candidates"]
    with holding(MEASURING, kept, "tiny", MODEL):
        assert listed_before and not any(pruning.delete(stage, kept) for stage in listed_before)
    assert all(pruning.delete(stage, kept) for stage in listed_before)


def test_what_cells_are_being_measured_with_stays_whatever_its_age(kept, capsys):
    before = {
        path: content for path, content in files(kept).items() if path.parts[len(kept.parts)] in ("tokens", "plaid")
    }
    with holding(MEASURING, kept, "tiny", f"{MODEL}+head=x"):
        assert main(["cache", "prune", f"cache_dir={kept}", "older=0", "delete=true"]) == 0
    left = files(kept)
    assert all(left.get(path) == content for path, content in before.items() if not path.name.endswith(".sums.npz"))
    assert not (kept / "training" / "stopped").exists() and not list(kept.glob("tokens/*.npz"))
    with holding(MEASURING, kept, "other", MODEL):
        assert main(["cache", "prune", f"cache_dir={kept}", "older=0", "delete=true"]) == 0
    assert not list(kept.glob("tokens/*/*")) and not list(kept.glob("plaid/*/*"))


def test_a_name_with_a_plus_protects_its_stores(tmp_path):
    from harness.cache import pruning

    for name in ("a+b-tiny-documents-0", "a-tiny-documents-0", "c-tiny-documents-0"):
        (tmp_path / "tokens" / name).mkdir(parents=True)
    with holding(MEASURING, tmp_path, "tiny", "a+b+head=x"):
        (gone,) = pruning.prunable(inventory.stages(tmp_path), tmp_path, 0)
    assert gone.path.name.startswith("c-")


def test_a_pruned_cache_is_filled_again(kept, lateon_like, tiny_dataset, tmp_path):
    assert main(["cache", "prune", f"cache_dir={kept}", "older=0", "delete=true"]) == 0
    words = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", f"results_dir={tmp_path / 'r'}"]
    assert main(["run", *words, f"cache_dir={kept}", "method=exact", "reference=null", "depths=[0,5]"]) == 0
    assert documents(kept).is_dir() and main(["cache", "verify", f"cache_dir={kept}"]) == 0
