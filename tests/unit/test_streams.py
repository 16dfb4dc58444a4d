"""Standard output that is closed, full or of a few letters, and a home that cannot be written."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.config.entries import ROOT
from harness.system import files, homes, streams

TABLE = "table suite=beir3 results_dir=results"
NEEDS_FULL = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")


def shell(command, **variables):
    line = command.replace("{harness}", f"{sys.executable} -m harness")
    environment = {**os.environ, "PYTHONUNBUFFERED": "", **variables}  # buffered, as it is for most users
    return subprocess.run(["bash", "-c", line], cwd=ROOT, env=environment, capture_output=True, check=False)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_table_in_few_letters(encoding):
    found = shell("{harness} " + TABLE, PYTHONIOENCODING=encoding)
    assert found.returncode == 0 and found.stderr == b""
    assert "| answerai-colbert-small | no | 51.98 | MUVERA |" in found.stdout.decode(encoding)


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        ("{harness} " + TABLE + " >&-", 2, "error: standard output is closed, expected a place for the result: write"),
        ("{harness} " + TABLE + " 2>&-", 0, ""),
        ("{harness} tabel 2>&-", 2, ""),
        pytest.param("{harness} ls > /dev/full", 2, "error: cannot write to standard output (No sp", marks=NEEDS_FULL),
        pytest.param("{harness} tabel 2> /dev/full", 2, "", marks=NEEDS_FULL),
        pytest.param("{harness} plot suite=beir3 what=depth figures_dir=$FOLDER 2> /dev/full", 0, "", marks=NEEDS_FULL),
        ("{harness} --help | head -1; exit ${PIPESTATUS[0]}", 0, ""),
    ],
)
def test_streams_that_cannot_be_written(command, code, message, tmp_path):
    found = shell(command, FOLDER=str(tmp_path))
    said = found.stderr.decode()
    assert found.returncode == code and said.startswith(message) and said.count("\n") == bool(message)


def test_a_full_disk_is_not_taken_for_standard_output(tmp_path):
    path = tmp_path / "one.json"
    with pytest.raises(OSError, match="No space") as found, files.replacing(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    said = str(streams.unwritable(found.value))
    assert said == f"cannot write to {path} (No space left on device): free some space, or write elsewhere."
    assert streams.unwritable(PermissionError(errno.EACCES, "Permission denied", str(path))) is None


def test_libraries_get_a_place_where_the_home_cannot_be_written(tmp_path, monkeypatch):
    for variable in homes.VARIABLES:
        monkeypatch.setenv(variable, "")  # so that it is put back
        monkeypatch.delenv(variable)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    homes.place([str(tmp_path / "cache")])
    assert not set(homes.VARIABLES) & set(os.environ)
    monkeypatch.setenv("HOME", str(tmp_path / "file"))  # in which no folder can be made
    monkeypatch.setenv("IR_DATASETS_HOME", "mine")
    homes.place([None, str(tmp_path / "file"), str(tmp_path / "cache")])
    assert os.environ["NUMBA_CACHE_DIR"] == str(tmp_path / "cache" / "numba")
    assert os.environ["IR_DATASETS_HOME"] == "mine"
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    homes.place([str(tmp_path / "file")])
    folder = Path(os.environ["NUMBA_CACHE_DIR"]).parent  # numba runs what it finds there
    assert folder.is_dir() and folder.stat().st_mode & 0o777 == 0o700
