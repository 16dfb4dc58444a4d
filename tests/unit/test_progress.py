"""Progress without a terminal, on a clock that the test sets; warnings that a command gives once."""

from __future__ import annotations

import logging
import time

import pytest
import torch

from harness.system import messages
from harness.system.progress import EVERY, QUIET, LogLines, Progress, TerminalBar, bar, duration


class Clock:
    """A clock that stands still until the test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def lines(caplog):
    """The lines that progress wrote so far."""
    caplog.set_level(logging.INFO, "harness")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "harness.system.progress"]


@pytest.fixture
def clock():
    return Clock()


def phase(clock, total=1000, unit="documents"):
    return LogLines("encode adi", total, unit, torch.device("cpu"), clock)


def test_a_long_phase_writes_a_line_at_its_start_every_minute_and_at_its_end(clock, lines):
    began = clock.now
    with phase(clock) as progress:
        for second in range(1, 151):
            clock.now = began + second
            progress.report()  # as often as the thread likes
            if second % 30 == 0:
                progress.update(200)
    assert lines() == [
        "encode adi: started, 1,000 documents on cpu",
        "encode adi: 200 of 1,000 documents after 60 s, about 4 min left",
        "encode adi: 600 of 1,000 documents after 2 min, about 80 s left",
        "encode adi: done, 1,000 documents in 150 s",
    ]


def test_a_quick_phase_writes_nothing(clock, lines):
    with phase(clock) as progress:
        clock.now += QUIET - 0.1
        progress.update(1000)
        progress.report()
    assert lines() == []


def test_a_phase_whose_thread_never_got_to_run_still_writes_its_end(clock, lines):
    with phase(clock) as progress:
        clock.now += QUIET
        progress.update(1000)
    assert lines() == ["encode adi: done, 1,000 documents in 5 s"]


def test_a_phase_without_parts_is_not_counted(clock, lines):
    with phase(clock, total=1) as progress:
        clock.now += QUIET
        progress.report()
        clock.now += 10 * EVERY
        progress.report()  # late, as after a call that held the interpreter's lock
        progress.report()
    assert lines() == [
        "encode adi: started on cpu",
        "encode adi: running for 10 min",
        "encode adi: done in 605 s",
    ]


def test_what_others_have_done_is_counted_in_the_position_and_not_in_the_rate(clock, lines):
    with phase(clock) as progress:
        progress.move_to(800)
        clock.now += QUIET
        progress.report()
        progress.update(100)
        clock.now += EVERY - QUIET
        progress.report()
        clock.now += EVERY
        progress.update(100)
    assert lines()[1:] == [
        "encode adi: 900 of 1,000 documents after 60 s, about 60 s left",
        "encode adi: done, 200 documents in 120 s",
    ]


def test_a_total_may_be_known_later(clock, lines):
    with phase(clock, total=0, unit="steps") as progress:
        progress.total = 50
        clock.now += QUIET
        progress.report()
    assert lines()[0] == "encode adi: started, 50 steps on cpu"


def test_an_error_ends_the_phase_with_what_was_done(clock, lines):
    with pytest.raises(ValueError, match="no"), phase(clock) as progress:
        progress.update(7)
        clock.now += 8
        raise ValueError("no")
    assert lines() == ["encode adi: stopped, 7 documents in 8 s"]


def test_the_thread_writes_by_itself(monkeypatch, lines):
    monkeypatch.setattr("harness.system.progress.QUIET", 0.0)
    with LogLines("build", 1, "documents") as progress:
        progress._thread.join(0.01)  # it goes on until the phase ends
        deadline = time.monotonic() + 60
        while not lines() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert lines() == ["build: started", "build: done in 0 s"]
    assert not progress._thread.is_alive()


def test_a_bar_on_a_terminal_lines_elsewhere_and_nothing_if_not_asked_for(monkeypatch, capsys):
    assert type(bar("x", 3, show=False)) is Progress
    assert type(bar("x", 3, show=True)) is LogLines
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert type(bar("x", 3, show=False)) is Progress
    with bar("reading", 3, show=True) as progress:
        assert type(progress) is TerminalBar
        progress.move_to(1)
        progress.update(2)
    assert "reading:  33%" in capsys.readouterr().err


@pytest.mark.parametrize(("seconds", "text"), [(4.4, "4 s"), (119.0, "119 s"), (720.0, "12 min"), (12_600.0, "3.5 h")])
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_a_warning_is_given_once_by_a_command(caplog):
    log = logging.getLogger("harness.tests")
    messages.forget()
    for name in ("a", "b", "a", "a"):
        messages.warn_once(log, "%s is missing", name)
    assert caplog.messages == ["warning: a is missing", "warning: b is missing"]
    messages.forget()
    messages.warn_once(log, "%s is missing", "a")
    assert len(caplog.messages) == 3
