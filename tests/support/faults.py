"""Sweeps in processes that may be killed at any moment, a disk that runs full, and damage to files.

A sweep takes seconds to import what it needs, and little longer for itself. So one process, `Server`, imports all of it
once and forks a child for each sweep; the child is in a session of its own, writes down what it does to files before it
does it, and may be killed by another process. The server starts no threads, so that its forks are whole.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

DEMO = {"packages": ("networkx", "numpy", "scipy"), "documents": 600, "characters": 600}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "TOKENIZERS_PARALLELISM": "false"}
_PIPE_BYTES = 1 << 20  # holds all that a sweep says, so that it need not be read meanwhile


@dataclass
class Sweep:
    """A run in a child of the server.

    Attributes
    ----------
    log : a line for each change of a file (not of locks) in its folders, written before it is done
    """

    server: Server
    pid: int
    log: Path

    @property
    def steps(self) -> list[str]:
        """The log's lines so far."""
        return self.log.read_text().splitlines() if self.log.exists() else []

    def kill(self) -> None:
        """kill -9 of everything that belongs to it; nothing if it has ended."""
        os.killpg(self.pid, signal.SIGKILL)  # it waits for its parent at least: the pid is its own

    def has_ended(self) -> bool:
        """Whether there is nothing left to kill."""
        state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state == "Z"

    def wait(self, seconds: float = 300) -> tuple[int, str]:
        """Exit code (-9: killed) and all that it said; one that does not end in time is killed, and a failure."""
        late = time.monotonic() + seconds
        while not self.has_ended():
            if time.monotonic() > late:
                self.kill()
                raise AssertionError(f"it hangs: {self.steps[-3:]}\n{self.server.ask(wait=self.pid)['said'][-2000:]}")
            time.sleep(0.002)
        answer = self.server.ask(wait=self.pid)
        return answer["code"], answer["said"]


class Server:
    """Starts sweeps, each in a process of its own, without the seconds of imports.

    Parameters
    ----------
    logs : folder of the sweeps' logs
    demo : whether to read the demonstration's texts beforehand, once for all sweeps
    """

    def __init__(self, logs: Path, demo: bool = False) -> None:
        self.logs, self.started = logs, 0
        environment = {key: value for key, value in os.environ.items() if not key.startswith("HARNESS_C")}
        root = Path(__file__).resolve().parents[2]
        self.process = subprocess.Popen(
            [sys.executable, __file__, *(["demo"] if demo else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            env={**environment, **ONE_THREAD, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(root)},
        )
        assert self.process.stdout is not None and json.loads(self.process.stdout.readline()) == "ready"

    def ask(self, **request: Any) -> dict[str, Any]:
        """The server's answer."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def start(
        self, words: Sequence[str], chunk: int, die_before: str = "", file_bytes: int = 0, composed: bool = True
    ) -> Sweep:
        """Start `python -m harness` with some words.

        Parameters
        ----------
        chunk
            Documents that are encoded together: few, so that a small corpus has several chunks.
        die_before
            Pattern of a line of the log: the sweep kills itself instead of doing that.
        file_bytes
            No file can grow beyond this; 0: no such limit.
        composed
            Whether the server itself has Hydra read the words, once for all sweeps of the same words: it takes seconds.
        """
        self.started += 1
        log = self.logs / f"{self.started}.log"
        request = {"words": list(words), "chunk": chunk, "log": str(log), "die": die_before, "file_bytes": file_bytes}
        return Sweep(self, self.ask(start={**request, "composed": composed})["pid"], log)

    def run(self, words: Sequence[str], chunk: int, **how: Any) -> tuple[int, str]:
        """Start a sweep and wait for it."""
        return self.start(words, chunk, **how).wait()

    def stop(self) -> None:
        """End the server."""
        self.process.communicate()


def _serve() -> None:
    """What the server's process does: answers requests, one line of JSON each, until there are none."""
    from functools import cache

    from fast_plaid import search  # noqa: F401 (imported for the children)
    from pylate import models  # noqa: F401
    from sentence_transformers import util  # noqa: F401

    from harness.commands import arguments  # noqa: F401
    from harness.data import docstrings
    from harness.system import provenance  # noqa: F401

    pairs = cache(docstrings.pairs)
    docstrings.pairs = lambda packages, *options: pairs(tuple(packages), *options)  # type: ignore[assignment]
    if "demo" in sys.argv:
        docstrings.pairs(*DEMO.values())  # type: ignore[arg-type]
    provenance.code(), provenance.commit(), provenance.versions()  # the same for all, though someone edits the code
    cells = arguments.cells

    @cache
    def composed(words: tuple[str, ...]) -> Any:
        flags, overrides = arguments.split(words[1:])
        return cells(flags, overrides, lambda options: None)

    said: dict[int, int] = {}
    answers = os.fdopen(os.dup(1), "w")
    print(json.dumps("ready"), file=answers, flush=True)  # noqa: T201 (the protocol)
    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            if request["start"]["composed"]:
                found = composed(tuple(request["start"]["words"]))
                arguments.cells = lambda *arguments, found=found: found
            else:
                arguments.cells = cells
            end, begin = os.pipe()
            fcntl.fcntl(begin, 1031, _PIPE_BYTES)  # F_SETPIPE_SZ, which Python 3.9 has no name for
            pid = os.fork()
            if not pid:
                os.close(end)
                _sweep(request["start"], begin)
            os.close(begin)
            said[pid] = end
            answer: dict[str, Any] = {"pid": pid}
        else:
            pid = request["wait"]
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            with os.fdopen(said.pop(pid), "rb") as file:
                answer = {"code": code, "said": file.read().decode()}
        print(json.dumps(answer), file=answers, flush=True)  # noqa: T201


def _sweep(request: dict[str, Any], output: int) -> None:
    """What a child does, and its end."""
    from harness.cli import main
    from harness.config import shards
    from harness.vectors import centering, encode

    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    for number, place in enumerate((null, output, output)):
        os.dup2(place, number)
    for module in (shards, encode, centering):
        module.CHUNK = request["chunk"]  # type: ignore[attr-defined]
    _log_changes(Path(request["log"]), [w.partition("=")[2] for w in request["words"] if "_dir=" in w], request["die"])
    if request["file_bytes"]:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_bytes"], request["file_bytes"]))
    code = 70
    try:
        code = main(request["words"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _log_changes(log: Path, folders: list[str], die: str) -> None:
    """Have Python say what is done to files in some folders, before it is done."""
    place = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    changes = {"os.rename": 1, "os.remove": 0, "os.rmdir": 0}

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            what = "write" if flags & (os.O_WRONLY | os.O_RDWR) else "read"
        elif event in changes:
            path, what = arguments[changes[event]], event[3:]
        else:
            return
        path = os.fspath(path) if isinstance(path, (str, bytes, os.PathLike)) else ""
        path = path.decode() if isinstance(path, bytes) else path
        of_interest = what != "read" or path.endswith((".tmp", ".part"))
        if not of_interest or path.endswith(".lock") or ".probe." in path or not path.startswith(tuple(folders)):
            return
        line = f"{what} {path}"
        try:
            os.write(place, f"{line}\n".encode())
        except OSError:  # a limit on the size of files, which is meant for others
            pass
        if die and fnmatch(line, die):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


# Damage: each changes one file, and gives what it did in words.

Damage = Callable[[Path, np.random.Generator], str]


def cut(path: Path, rng: np.random.Generator) -> str:
    """Truncate a file at a random place."""
    length = int(rng.integers(1, max(2, path.stat().st_size)))
    os.truncate(path, length)
    return f"cut at {length}"


def flip(path: Path, rng: np.random.Generator) -> str:
    """Flip a random bit of a file."""
    content = bytearray(path.read_bytes())
    place, bit = int(rng.integers(len(content))), int(rng.integers(8))
    content[place] ^= 1 << bit
    path.write_bytes(content)
    return f"bit {bit} of byte {place} flipped"


def empty(path: Path, rng: np.random.Generator) -> str:
    """Leave nothing in a file."""
    path.write_bytes(b"")
    return "emptied"


def delete(path: Path, rng: np.random.Generator) -> str:
    """Remove a file."""
    path.unlink()
    return "deleted"


DAMAGES: tuple[Damage, ...] = (cut, flip, empty, delete)


def copied(source: Path, target: Path) -> None:
    """Make one folder the copy of another."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)


if __name__ == "__main__":
    _serve()
