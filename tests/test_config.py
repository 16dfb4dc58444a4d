"""Every option composes; short forms; names of variants."""

from __future__ import annotations

import ast

import pytest
from omegaconf import OmegaConf

from harness import config, run

ENTRIES = [(group, name) for group in config.GROUPS for name in config.choices(group) if name != "local"]


@pytest.mark.parametrize(("group", "name"), ENTRIES)
def test_every_entry_composes(group, name):
    found = config.composed([f"{group}={name}"])
    if group not in ("experiment",):
        assert found[group].name == name


def test_every_suite_and_fallback_names_data_sets():
    known = config.choices("dataset")
    for suite in config.choices("suite"):
        assert set(config.entry("suite", suite)["datasets"]) <= set(known)
    assert set(config.entry("center", "own")["fallback"]) <= set(known)


def test_every_method_and_centering_has_code():
    from harness.center import KINDS

    assert sorted(run.METHODS) == config.choices("method")
    assert sorted(KINDS) == config.choices("center")
    for name, method in run.METHODS.items():
        method(**{key: value for key, value in config.entry("method", name).items() if key != "name"})


def test_nothing_but_a_model_and_a_method_means_the_card():
    found = config.composed(config.expand(["model=lateon_reg", "method=smve"]))
    assert (found.suite.name, found.center.name, found.reference, found.dataset) == ("beir8", "corpus", "plaid", None)
    assert list(found.depths) == [0, 50, 100, 200, 400, 1000]


@pytest.mark.parametrize(
    ("words", "added"),
    [
        ([], ["experiment=demo"]),
        (["method=exact"], ["experiment=demo"]),
        (["model=lateon"], []),
        (["suite=beir3"], []),
        (["model.path=x"], ["model=local"]),
        (["model=lateon", "model.path=x", "dataset.path=y"], ["dataset=local"]),
    ],
)
def test_short_forms(words, added):
    assert config.expand(words) == [*words, *added]


def test_the_demo_is_a_sweep_over_heads_methods_and_centers():
    assert config.entry("experiment", "demo")["hydra"]["sweeper"]["params"] == {
        "model": "demo,demo_contrastive,demo_ste_muvera,demo_ste_smve",
        "center": "none,corpus",
        "method": "plaid,muvera,smve",
    }


def test_variants_have_names_of_their_own():
    shipped = config.entry("method", "smve")
    assert config.variant("method", shipped) == "smve"
    changed = {**shipped, "width": 16384, "anchors": "rotation"}
    assert config.variant("method", changed) == "smve+anchors=rotation+width=16384"
    assert (
        config.variant("method", {**config.entry("method", "muvera"), "projection": None}) == "muvera+projection=null"
    )


def test_a_local_model_is_named_by_its_folder():
    found = config.composed(config.expand(["model.path=/a/my model (3)/", "dataset.path=/b/c"]))
    assert (found.model.name, found.dataset.name) == ("my-model-3", "c")


def test_the_configuration_is_plain_data():
    """No `_target_`: nothing in a configuration names code to run."""
    for path in config.CONF_DIR.rglob("*.yaml"):
        assert "_target_" not in path.read_text()
    assert OmegaConf.is_config(config.composed(["model=lateon"]))


ORDER = (
    "errors files locks progress threads kernels shards store store_build docstrings datasets validation config "
    "provenance heads models encode center geometry ranking gpu maxsim anchors candidates occupancy evaluate agreement "
    "significance records failures stages trec subject plan diagnosis run units training bench tables "
    "geometry_tables per_query comparisons comparison_tables costs cache pruning cache_tables verdict reproduction "
    "estimate status figures checks report commands cli __main__"
).split()


def test_modules_import_only_what_comes_before_them():
    """One-way data flow, in the order of the README's list of files."""
    place = {name: i for i, name in enumerate(ORDER)}
    for path in sorted((config.ROOT / "harness").rglob("*.py")):
        module = path.relative_to(config.ROOT / "harness").with_suffix("").parts[0]
        if module == "__init__":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "harness":
                parts = node.module.split(".")[1:]
                for name in parts[:1] or [alias.name for alias in node.names]:
                    assert place[name] <= place[module], f"{path} imports {name}, which comes later"
