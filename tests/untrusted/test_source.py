"""No code here runs data, or lets a library do so."""

from __future__ import annotations

import ast

import pytest
import yaml

from harness.config import entries

FORBIDDEN = {"eval", "exec", "compile", "__import__"}
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "tarfile"}
LOADS = {"torch.load", "yaml.load", "yaml.full_load", "yaml.unsafe_load", "yaml.load_all", "os.system", "os.popen"}
MAKES = {"instantiate", "import_module", "get_class", "get_method", "get_object", "import_from_string"}


def found_in(source):
    """What of a Python source could run code from data: calls and imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            imported = {alias.name for alias in node.names} & MAKES if isinstance(node, ast.ImportFrom) else set()
            found |= {f"import {name}" for name in {n.split(".")[0] for n in names} & MODULES | imported}
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if name in FORBIDDEN | LOADS or name.split(".")[-1] in MAKES:
            found.add(name)
        if name in ("np.load", "numpy.load") and given.get("allow_pickle") != "False":
            found.add("np.load without allow_pickle=False")
        if name.endswith("extractall") and "filter" not in given:
            found.add("extractall without filter")
        for keyword, right in (("shell", "False"), ("trust_remote_code", "False"), ("weights_only", "True")):
            if given.get(keyword, right) != right:
                found.add(f"{keyword}={given[keyword]}")
        if "fromfile" not in name and given.get("allow_pickle", "False") != "False":
            found.add("allow_pickle")
        if name.split(".")[-1] == "Environment" and given.get("autoescape") != "True":
            found.add("Environment without autoescape")
    return found


SOURCES = sorted(
    path for folder in ("examples", "harness", "results", "studies") for path in (entries.ROOT / folder).rglob("*.py")
)


def test_nothing_in_the_source_runs_data():
    found = {str(path.relative_to(entries.ROOT)): found_in(path.read_text(encoding="utf-8")) for path in SOURCES}
    assert len(found) > 80
    # One import by name: a module of harness/methods that has the name of a file of conf/method.
    named = {"harness/methods/registry.py": {"import import_module", "import_module"}}
    assert {name: some for name, some in found.items() if some} == named


@pytest.mark.parametrize(
    "source",
    [
        "eval('1')",
        "import pickle",
        "from joblib import load",
        "torch.load(path, weights_only=True)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text, Loader=yaml.Loader)",
        "subprocess.run('ls', shell=True)",
        "tar.extractall(folder)",
        "AutoModel.from_pretrained(x, trust_remote_code=options['trust'])",
        "hydra.utils.instantiate(config)",
        "from hydra.utils import get_class",
        "importlib.import_module(name)",
        "Environment(loader=loader)",
        "os.system('ls')",
    ],
)
def test_the_look_at_the_source_finds_what_it_looks_for(source):
    assert found_in(source)


def test_configurations_are_plain_yaml(tmp_path, marker, monkeypatch):
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "x.yaml").write_text(f"name: !!python/object/apply:os.mkdir ['{marker}']\n")
    monkeypatch.setattr(entries, "CONF_DIR", tmp_path / "conf")
    with pytest.raises(yaml.YAMLError):
        entries.entry("model", "x")
