"""Tests that passed in another run, to be left out of this one: CI has run the short tests on a bare machine before."""

from __future__ import annotations

from pathlib import Path

import pytest

_passed: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """The two options, each with a file of test names, one per line."""
    parser.addoption("--write-passed", type=Path, metavar="FILE", help="write the names of the tests that pass")
    parser.addoption("--leave-out", type=Path, metavar="FILE", help="leave out the tests that FILE names")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that a file names."""
    if path := config.option.leave_out:
        names = set(path.read_text(encoding="utf-8").splitlines())
        if left_out := [item for item in items if item.nodeid in names]:
            items[:] = [item for item in items if item.nodeid not in names]
            config.hook.pytest_deselected(items=left_out)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note a test that passes."""
    if report.when == "call" and report.passed:
        _passed.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the names, unless this is a process of pytest-xdist: all reports come to the one that started it."""
    if (path := session.config.option.write_passed) and not hasattr(session.config, "workerinput"):
        path.write_text("".join(f"{name}\n" for name in _passed), encoding="utf-8")
