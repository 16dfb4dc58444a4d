"""The import of a package waits until one of its attributes is used."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.config.entries import ROOT
from harness.system.later import import_later

CONTENT = {
    "__init__.py": "from one.part import Part, value\nanswer = 2 * value\n",
    "part.py": "value = 21\nclass Part: pass\n",
    "other.py": "import one\nvalue = one.answer\n",
}


@pytest.fixture
def one(tmp_path, monkeypatch):
    """Write a package `one`, which is not imported yet, and give its folder."""
    folder = tmp_path / "one"
    folder.mkdir()
    for name, content in CONTENT.items():
        (folder / name).write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    finders = list(sys.meta_path)
    yield folder
    sys.meta_path[:] = finders
    for name in [name for name in sys.modules if name.split(".")[0] == "one"]:
        del sys.modules[name]


def test_a_package_runs_when_a_name_of_it_is_asked_for(one):
    import_later("one")
    import one as package

    assert "one.part" not in sys.modules and "answer" not in vars(package)
    assert package.answer == 42 and "one.part" in sys.modules
    assert not hasattr(package, "no such name")


def test_a_package_runs_before_a_module_of_it(one):
    import_later("one")
    from one.part import Part

    package = sys.modules["one"]
    assert vars(package)["answer"] == 42 and package.Part is Part  # the module ran once
    assert package.part is sys.modules["one.part"] and package.part.__spec__.origin.endswith("part.py")


def test_a_package_runs_before_a_module_that_it_does_not_import(one):
    import_later("one")
    import one.other

    assert one.other.value == 42


def test_a_module_can_be_imported_without_its_package(one):
    import_later("one", its_modules_now=True)
    from one.part import value

    assert value == 21 and "answer" not in vars(sys.modules["one"])
    from one import answer

    assert answer == 42


def test_a_package_that_was_imported_stays_and_one_that_is_not_there_is_missed_when_imported(one):
    import one as package

    import_later("one")
    assert sys.modules["one"] is package and vars(package)["answer"] == 42
    import_later("one_that_nobody_wrote")
    assert "one_that_nobody_wrote" not in sys.modules


def test_a_package_that_fails_says_so_and_is_tried_again(one):
    (one / "__init__.py").write_text("raise OSError('no driver')\n")
    import_later("one")
    import one as package

    with pytest.raises(OSError, match="no driver"):
        package.answer  # noqa: B018
    with pytest.raises(OSError, match="no driver"):
        package.other  # noqa: B018
    (one / "__init__.py").write_text(CONTENT["__init__.py"])
    assert package.answer == 42


def test_threads_wait_for_the_one_that_runs_a_package(one):
    (one / "__init__.py").write_text("import time\ntime.sleep(0.2)\nanswer = 42\n")
    import_later("one")
    import one as package

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: package.answer, range(4))) == [42] * 4


def test_a_table_is_printed_without_torch():
    code = (
        "import sys; from harness.cli import main; main(['table', 'suite=offline8']); print('torch.nn' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "| Model |" in found.stdout and found.stdout.splitlines()[-1] == "False"
