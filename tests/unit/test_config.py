"""Every option composes; short forms; names of variants."""

from __future__ import annotations

import ast
import re
import sys
from importlib.metadata import packages_distributions, requires

import pytest
from omegaconf import OmegaConf
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from harness.config import compose, entries, names, recommended, suites
from harness.methods import registry
from harness.system.errors import HarnessError

FOLDERS = ("local", "vectors")
"""Entries of folders, which compose with one alone."""
ENTRIES = [(group, name) for group in entries.GROUPS for name in entries.choices(group) if name not in FOLDERS]


@pytest.mark.parametrize(("group", "name"), ENTRIES)
def test_every_entry_composes(group, name):
    found = compose.composed([f"{group}={name}"])
    if (group, name) == ("center", recommended.NAME):
        assert OmegaConf.to_container(found[group]) == recommended.options(found.method.name)
    elif group != "experiment":
        assert found[group].name == name
        assert OmegaConf.to_container(found[group]) == entries.entry(group, name)


def test_a_file_that_is_only_extended_is_no_entry():
    assert (entries.CONF_DIR / "model" / "_defaults.yaml").is_file() and "_defaults" not in entries.choices("model")
    with pytest.raises(HarnessError, match="unknown model '_defaults'"):
        compose.composed(["model=_defaults"])


def test_every_suite_and_fallback_names_data_sets():
    known = entries.choices("dataset")
    for suite in entries.choices("suite"):
        assert set(suites.flat(suites.units(suite))) <= set(known)
    assert set(entries.entry("center", "own")["fallback"]) <= set(known)


def test_every_method_and_centering_has_code():
    from harness.vectors.centering import KINDS

    assert sorted([*KINDS, recommended.NAME]) == entries.choices("center")
    assert sorted(registry.all_methods()) == entries.choices("method")
    assert registry.all_methods()[:3] == ["plaid", "muvera", "smve"]
    for name in registry.all_methods():
        registry.make(entries.entry("method", name))


def test_what_lists_names_by_hand_lists_all_of_them():
    import harness
    from harness.vectors.centering import KINDS

    comments = dict(re.findall(r"^  - (\w+): \S+ +# (.*)$", (entries.CONF_DIR / "config.yaml").read_text(), re.M))
    for group in ("center", "index", "objective"):
        assert set(entries.choices(group)) <= set(re.findall(r"\w+", comments[group])), group
    assert set(KINDS) <= set(re.findall(r"``(\w+)``", harness.Centering.__doc__))
    for column in zip(*((kind.label, kind.space) for kind in KINDS.values()), strict=True):
        assert len(set(column)) == len(KINDS)  # rows of tables, and of geometry, are told apart


def test_an_entry_without_code_is_a_sentence(tmp_path, monkeypatch):
    from harness.vectors import centering

    with pytest.raises(HarnessError, match="conf/center/aside.yaml has no line in KINDS of harness/vectors/centering"):
        centering.refuse_unknown("aside")
    with pytest.raises(HarnessError, match="method=exact: its constructor does not take the options depth of conf"):
        registry.make({"name": "exact", "depth": 3})


def test_nothing_but_a_model_and_a_method_means_the_card():
    found = compose.composed(compose.expand(["model=lateon_reg", "method=smve"]))
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
        (["model=vectors", "model.path=x"], []),
        (["model=lateon", "model.path=x", "dataset.path=y"], ["dataset=local"]),
    ],
)
def test_short_forms(words, added):
    assert compose.expand(words) == [*words, *added]


def test_vectors_stand_for_a_model():
    assert compose.expand(["vectors=x", "method=smve"]) == ["model.path=x", "method=smve", "model=vectors"]
    with pytest.raises(HarnessError, match="vectors=FOLDER is a model by itself: leave model=lateon out"):
        compose.expand(["vectors=x", "model=lateon"])
    with pytest.raises(HarnessError, match="cannot use these options"):  # an option of an encoder
        compose.composed(compose.expand(["vectors=x", "model.dtype=bfloat16"]))


def test_the_demo_is_a_sweep_over_methods_and_centers_and_another_one_over_heads():
    swept = {name: entries.entry("experiment", name)["hydra"]["sweeper"]["params"] for name in ("demo", "demo_trained")}
    assert swept["demo"] == {"center": "none,corpus,recommended", "method": "plaid,muvera,smve"}
    heads = {"model": "demo,demo_contrastive,demo_ste_muvera,demo_ste_smve"}
    assert swept["demo_trained"] == {**heads, **swept["demo"]}


def test_variants_have_names_of_their_own():
    shipped = entries.entry("method", "smve")
    assert names.variant("method", shipped) == "smve"
    changed = {**shipped, "width": 16384, "anchors": "rotation"}
    assert names.variant("method", changed) == "smve+anchors=rotation+width=16384"
    assert (
        names.variant("method", {**entries.entry("method", "muvera"), "projection": None}) == "muvera+projection=null"
    )


def test_a_local_model_is_named_by_its_folder():
    found = compose.composed(compose.expand(["model.path=/a/my model (3)/", "dataset.path=/b/c"]))
    assert (found.model.name, found.dataset.name) == ("my-model-3", "c")


def test_a_variant_of_a_local_model_has_a_name_of_its_own():
    def name_of(*words):
        found = compose.composed(compose.expand(["model.path=/a/mine", *words]))
        return names.model_name(OmegaConf.to_container(found.model))

    assert name_of() == "mine" and name_of("model.revision=x") == "mine"
    assert name_of("pool=hierarchical", "pool.factor=3") == "mine+pool=hierarchical+pool_factor=3"
    assert name_of("model.dtype=bfloat16", "model.head=b/my.safetensors") == "mine+dtype=bfloat16+head=my"


def test_another_engines_run_has_its_own_name():
    assert names.variant("method", {"name": "foreign-anserini", "run": "ab" * 32}) == "foreign-anserini"


def test_the_configuration_is_plain_data():
    """No `_target_`: nothing in a configuration names code to run."""
    for path in entries.CONF_DIR.rglob("*.yaml"):
        assert "_target_" not in path.read_text()
    assert OmegaConf.is_config(compose.composed(["model=lateon"]))


ROOMS = (
    "system kernels config data models vectors ranking indexes methods evaluation records tables advice measure export "
    "geometry training run api foreign sweep cache reproduce bench figures report commands cli __main__"
).split()


PEERS = ("lateweave", "maxsim_cpu", "muvera")
"""Optional packages that the benchmark compares with, where they are installed."""


def test_every_package_that_is_imported_is_declared():
    """As a dependency, or for an extra; triton comes with torch, where there is one."""
    declared = {canonicalize_name(Requirement(line).name) for line in requires("late-interaction-harness")}
    names, imported = packages_distributions(), set()
    for path in (entries.ROOT / "harness").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
            elif isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
    outside = imported - set(sys.stdlib_module_names) - {"harness", "triton", *PEERS}
    missing = {name for name in outside if not declared & {canonicalize_name(one) for one in names.get(name, [name])}}
    assert len(outside) > 20 and not missing


def test_rooms_import_only_rooms_before_them():
    """One-way data flow, in the order of docs/architecture.md."""
    place = {name: i for i, name in enumerate(ROOMS)}
    for path in sorted((entries.ROOT / "harness").rglob("*.py")):
        room = path.relative_to(entries.ROOT / "harness").with_suffix("").parts[0]
        if room == "__init__":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "harness":
                parts = node.module.split(".")[1:]
                for name in parts[:1] or [alias.name for alias in node.names]:
                    assert place[name] <= place[room], f"{path} imports {name}, which comes later"


def test_a_composition_is_the_callers_own():
    """Hydra composes the same words once; what one caller changes is not what the next one gets."""
    words = ["model=demo", "dataset=docstrings", "method=muvera"]
    first = compose.composed(words)
    first.method.repetitions = 1
    assert compose.composed(words).method.repetitions == 20
