"""The wheel, installed into an empty folder and run from another: conf/ and the expected values are inside it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile

import pytest
import yaml

from harness.config import entries


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from a copy of the source, so that the checkout stays as it is."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in ("harness", "conf", "results/expected"):
        shutil.copytree(entries.ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(entries.ROOT / name, source / name)
    words = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(built), "."]
    found = subprocess.run([sys.executable, "-m", "pip", *words], cwd=source, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder that the wheel is installed in."""
    folder = tmp_path_factory.mktemp("installed")
    words = ["install", "--quiet", "--no-deps", "--no-index", "--target", str(folder), str(wheel)]
    found = subprocess.run([sys.executable, "-m", "pip", *words], cwd=folder, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return folder


@pytest.fixture
def command(installed, tmp_path):
    """Run a command of the installed wheel in an empty folder."""
    empty = tmp_path / "empty"
    empty.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HARNESS_")}
    environment |= {"PYTHONPATH": str(installed), "HARNESS_CACHE": str(tmp_path / "cache")}

    def run(*words):
        command = [sys.executable, "-m", "harness", *words]
        return subprocess.run(command, cwd=empty, capture_output=True, text=True, env=environment)

    return run


def test_every_module_and_file_is_in_it(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    files = (path for path in (entries.ROOT / "harness").rglob("*") if path.is_file())
    of_package = {path for path in files if path.parent.name != "__pycache__"}
    assert {path.relative_to(entries.ROOT).as_posix() for path in of_package} <= names
    for folder, inside in ((entries.CONF_DIR, "conf"), (entries.EXPECTED_DIR, "expected")):
        assert {f"harness/{inside}/{path.relative_to(folder).as_posix()}" for path in folder.rglob("*.yaml")} <= names
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"harness"}


def test_names_help_and_options_from_an_empty_folder(command):
    listed = command("ls", "models")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == entries.choices("model") and not listed.stderr
    assert "usage: python -m harness train" in command("train", "--help").stdout
    options = yaml.safe_load(command("run", "model=demo_ste_smve", "--cfg", "job").stdout)
    assert options["model"] == entries.entry("model", "demo_ste_smve") and options["results_dir"] is None


def test_results_belong_to_the_current_folder(command, tmp_path):
    found = command("table")
    assert found.returncode == 2 and f"nothing was measured in {tmp_path}/empty/results: use `run`" in found.stderr
    checked = command("check")
    assert checked.returncode == 1 and "MISSING" in checked.stdout  # the expected values are there
