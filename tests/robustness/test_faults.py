"""Sweeps among faults: killed at any moment, on a disk that runs full, with files damaged or lost, four at once.

Whatever happens, the sweep that is started again ends with the same records, to the last bit of their scores, and has
repeated at most the stage that was unfinished; what is damaged is never believed, and named together with what to do.

All faults are drawn from one seed. Settings, from the environment:

    HARNESS_KILLS   how many kills of each of two sweeps (50), and a fifth of them of a sweep with two workers
    HARNESS_SEED    of all draws (0)

`make faults` runs all of it; a small part is among the usual tests.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import faults
import log_handlers
import numpy as np
import pytest
from extras import needs
from time_limit import no_longer_than

from harness import records
from harness.cli import main
from harness.commands import arguments
from harness.config.entries import ROOT
from harness.measure.artifacts import CANDIDATES, MAXSIM
from harness.methods import plaid
from harness.run import run
from harness.system import files
from harness.system.errors import HarnessError
from harness.vectors import build
from harness.vectors.build import JOURNAL, PARTS
from harness.vectors.store import LENGTHS, META, TOKENS

KILLS, SEED = int(os.environ.get("HARNESS_KILLS", "50")), int(os.environ.get("HARNESS_SEED", "0"))
SCORES = ("ndcg10", "candidate_recall", "candidates", "details", "per_query", "identity")
METHODS = ["-m", "center=none,corpus", "method=muvera,smve,plaid,exact", "reference=null", "progress=false"]
TINY_CHUNK, DEMO_CHUNK = 16, 128
CELLS = {"nonemuvera", "nonesmve", "noneplaid", "noneexact", "corpusmuvera", "corpussmve"}


@dataclass(frozen=True)
class Sweep:
    """What is run, in two folders of its own."""

    words: tuple[str, ...]
    chunk: int
    folder: Path

    @property
    def cache(self) -> Path:
        return self.folder / "c"

    @property
    def results(self) -> Path:
        return self.folder / "r"

    @property
    def command(self) -> list[str]:
        return ["run", *self.words, *METHODS, f"results_dir={self.results}", f"cache_dir={self.cache}"]

    def start(self, server: faults.Server, **how: object) -> faults.Sweep:
        return server.start([*self.command, "threads=1"], self.chunk, **how)

    def run(self, server: faults.Server, **how: object) -> tuple[int, str]:
        return self.start(server, **how).wait()

    def scores(self) -> dict[str, dict[str, object]]:
        found = {record.center + record.method: record for record in records.read_all(self.results)}
        return {name: {field: getattr(record, field) for field in SCORES} for name, record in found.items()}

    def clear(self) -> None:
        for folder in (self.cache, self.results):
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[faults.Server]:
    one = faults.Server(tmp_path_factory.mktemp("logs"))
    yield one
    one.stop()


@pytest.fixture(scope="module")
def demo_server(tmp_path_factory) -> Iterator[faults.Server]:
    one = faults.Server(tmp_path_factory.mktemp("logs"), demo=True)
    yield one
    one.stop()


@pytest.fixture
def tiny(lateon_like, tiny_dataset, tmp_path) -> Sweep:
    words = (f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", "depths=[0,5,20]")
    return Sweep(words, TINY_CHUNK, tmp_path)


@pytest.fixture
def demo(tmp_path) -> Sweep:
    """600 docstrings in 5 chunks; they are cut, and few queries are asked, so that most time is in many short steps."""
    words = ("model=demo", "dataset=docstrings", "depths=[0,50,100]", "model.document_length=32")
    return Sweep((*words, "dataset.evaluated=30"), DEMO_CHUNK, tmp_path)


@pytest.fixture
def seeded(request) -> np.random.Generator:
    """Randomness of a test's own."""
    return np.random.default_rng([SEED, *request.node.name.encode()])


# Kills


def finished(sweep: Sweep) -> dict[Path, tuple[int, int]]:
    """All files that are part of something finished: their inodes and times, which change if they are written again."""
    found = [*sweep.cache.glob("stages/*/*/*/*/[!.]*.npz"), *sweep.results.glob("records/*/*/*/[!.]*.json")]
    for store in sweep.cache.glob("tokens/*/"):
        parts = [part for part in store.glob(f"{PARTS}/*-*.npz") if not part.name.startswith(".")]
        found += [store / META, *store.glob("*.f16"), *store.glob("*.i32")] if (store / META).exists() else parts
    for marker in sweep.cache.glob(f"plaid/*/{plaid.MARKER}"):
        found += [marker, *(marker.parent / name for name in json.loads(marker.read_text())["files"])]
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def check_nothing_was_repeated(before: dict[Path, tuple[int, int]], sweep: Sweep) -> None:
    for path, was in before.items():
        if path.exists():
            assert (path.stat().st_ino, path.stat().st_mtime_ns) == was, f"{path} was made again"
        else:
            assert path.parent.name == PARTS and was_appended(path), f"{path} is gone"


def was_appended(part: Path) -> bool:
    """Whether a chunk's part went because the store has its rows."""
    store, start = part.parent.parent, int(part.name.split("-")[0])
    if (store / META).exists():
        return True
    lines = (store / JOURNAL).read_text().splitlines()[1:]
    return any(json.loads(line)["start"] == start for line in lines if line.endswith("}"))


def kind(step: str) -> str:
    """What of a sweep a line of its log belongs to."""
    kinds = {"/records/": "record", "/plaid/": "plaid", PARTS: "part", "/tokens/": "store", "/hydra/": "start"}
    kinds |= {CANDIDATES: "candidates", MAXSIM: "maxsim", "/failures/": "record"}
    return next((name for pattern, name in kinds.items() if pattern in step), "start")


def is_killed(one: faults.Sweep, rng: np.random.Generator, changes: int, seconds: float) -> bool:
    """Kill a sweep at a random moment: soon after one of its changes, or at any time; False: it had ended before."""
    after, delay = int(rng.integers(1, changes)), float(rng.exponential(0.02))
    if rng.random() < 0.4:
        after, delay = 1, float(rng.uniform(0, seconds))
    late = None
    while not one.has_ended():
        if late is None and len(one.steps) >= after:
            late = time.monotonic() + delay
        if late is not None and time.monotonic() >= late:
            one.kill()
            return True
        time.sleep(0.001)
    return False


def killed_until_done(
    server: faults.Server, sweep: Sweep, rng: np.random.Generator, most: int, changes: int, seconds: float
) -> list[str]:
    """Run a sweep again and again until it is not killed; what it was at when it was."""
    at: list[str] = []
    before: dict[Path, tuple[int, int]] = {}
    while True:
        one = sweep.start(server)
        killed = len(at) < most and is_killed(one, rng, changes, seconds)
        code, said = one.wait()
        assert not [step for step in one.steps if step.startswith("read")], "a temporary file was read"
        check_nothing_was_repeated(before, sweep)
        if code == 0:
            return at
        assert killed and code == -9, said
        at.append(kind((one.steps or [""])[-1]))
        before = finished(sweep)


def check_kills(server: faults.Server, sweep: Sweep, rng: np.random.Generator, kills: int, capsys) -> None:
    """Kill a sweep `kills` times, a few times before each time that it completes."""
    began = time.monotonic()
    undisturbed = sweep.start(server)
    code, said = undisturbed.wait()
    assert code == 0, said
    expected, changes, seconds = sweep.scores(), len(undisturbed.steps), time.monotonic() - began
    assert expected.keys() == CELLS
    at: list[str] = []
    completed = 0
    while len(at) < kills:
        sweep.clear()
        most = min(kills - len(at), int(rng.integers(4, 9)))
        at += killed_until_done(server, sweep, rng, most, changes // 3, seconds / 3)
        assert sweep.scores() == expected
        assert main(["cache", "verify", f"cache_dir={sweep.cache}"]) == 0, capsys.readouterr().out
        completed += 1
    report(capsys, f"{len(at)} kills of {completed} sweeps of {seconds:.0f} s: {dict(Counter(at))}", began)


def report(capsys, text: str, began: float) -> None:
    """Say what was done, for a reader who asked for minutes of faults."""
    with capsys.disabled():
        print(f"\n  {text}, {time.monotonic() - began:.0f} s", flush=True)  # noqa: T201


@pytest.mark.faults
def test_a_demo_sweep_killed_at_any_moment_ends_with_the_same_records(demo_server, demo, seeded, capsys):
    check_kills(demo_server, demo, seeded, KILLS, capsys)


@pytest.mark.faults
def test_a_tiny_sweep_killed_at_any_moment_ends_with_the_same_records(server, tiny, seeded, capsys):
    check_kills(server, tiny, seeded, KILLS, capsys)


# Kills of a sweep with many workers, as a user starts it: Python, Hydra and joblib are killed like all the rest


def processes(session: int) -> list[int]:
    """The live processes of a session, its leader first."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            state, _, _, of = stat.read_text().rpartition(")")[2].split()[:4]
            if int(of) == session and state != "Z":
                found.append(int(stat.parent.name))
    return sorted(found, key=lambda pid: (pid != session, pid))


def kill_some(session: int, rng: np.random.Generator) -> str:
    """kill -9 of a whole sweep, of its first process alone, or of one of the others; which of them."""
    there = processes(session)
    if not there:
        return ""
    what = str(rng.choice(["all", "first", "other"]))
    victims = {"all": there, "first": there[:1], "other": [int(rng.choice(there[1:]))] if there[1:] else []}[what]
    for pid in victims:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return what if victims else ""


def killed_workers_until_done(sweep: Sweep, rng: np.random.Generator, most: int, seconds: float) -> list[str]:
    """Run a sweep with two workers until it ends well, beside those that an earlier one left alone; what was killed."""
    command = [sys.executable, "-m", "harness", *sweep.command, "hydra/launcher=joblib"]
    at: list[str] = []
    begun: list[int] = []
    before: dict[Path, tuple[int, int]] = {}
    try:
        while True:
            log = sweep.folder / "said"
            with open(log, "w") as said:
                one = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said, start_new_session=True)
            begun.append(one.pid)
            while len(at) < most and one.poll() is None:
                time.sleep(float(rng.uniform(0, seconds)))
                at += [what] if (what := kill_some(one.pid, rng)) else []
            code = one.wait(300)
            check_nothing_was_repeated(before, sweep)
            if code == 0:
                return at
            assert at, log.read_text()
            before = finished(sweep)
    finally:
        for session in begun:  # workers that were left alone wait five minutes for more
            for pid in processes(session):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.faults
@needs("joblib")
def test_a_sweep_with_many_workers_of_which_any_are_killed_ends_with_the_same_records(server, tiny, seeded, capsys):
    began = time.monotonic()
    assert tiny.run(server)[0] == 0
    expected, at, completed = tiny.scores(), [], 0
    while len(at) < KILLS // 5:
        tiny.clear()
        at += killed_workers_until_done(tiny, seeded, int(seeded.integers(3, 7)), 20)
        assert tiny.scores() == expected
        assert main(["cache", "verify", f"cache_dir={tiny.cache}"]) == 0, capsys.readouterr().out
        completed += 1
    report(capsys, f"{len(at)} kills of {completed} sweeps with two workers: {dict(Counter(at))}", began)


# Four sweeps on one cache


def check_four(server: faults.Server, sweep: Sweep, expected: dict, rng: np.random.Generator, seconds: float) -> int:
    """Four runs of one sweep at once, of which up to three are killed; how many were."""
    sweep.clear()
    runs = [sweep.start(server) for _ in "four"]
    doomed = sorted((float(rng.uniform(0, 2 * seconds)), i) for i in rng.permutation(4)[: rng.integers(0, 4)])
    began, killed = time.monotonic(), 0
    for moment, i in doomed:
        time.sleep(max(0.0, began + moment - time.monotonic()))
        if not runs[i].has_ended():
            runs[i].kill()
    said = []
    for one in runs:
        code, text = one.wait()
        assert code in (0, -9), text
        killed += code == -9
        said.append(text)
        assert not [step for step in one.steps if step.startswith("read")], "a temporary file was read"
    assert sweep.scores() == expected
    written = Counter(line.split(": NDCG@10")[0] for text in said for line in text.splitlines() if ": NDCG@10" in line)
    assert max(written.values()) == 1, f"computed twice: {written}"
    assert len(written) >= len(CELLS) - killed, "one that was killed may not have said what it had written"
    return killed


@pytest.mark.faults
@pytest.mark.parametrize("size", ["tiny", "demo"])
def test_four_runs_on_one_cache_go_on_where_killed_ones_stopped(size, request, seeded, capsys):
    sweep = request.getfixturevalue(size)
    server = request.getfixturevalue("server" if size == "tiny" else "demo_server")
    began = time.monotonic()
    assert sweep.run(server)[0] == 0
    expected, seconds = sweep.scores(), time.monotonic() - began
    killed = [check_four(server, sweep, expected, seeded, seconds) for _ in range(6 if size == "tiny" else 2)]
    report(capsys, f"{len(killed)} times four runs, of which {sum(killed)} were killed", began)


# Full disks


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of its own, to be mounted with a size."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("a file system of limited size cannot be mounted here (that takes root)")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def resize(disk: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", disk], check=True)


REMEDY = re.compile(r"free some space|that can be written|a full disk stops it")


def check_full(sweep: Sweep, code: int, said: str) -> str:
    """That a sweep without space said so in a sentence that names a place and a remedy; what had no space, in short."""
    assert code in (1, 2) and "Traceback" not in said, said
    errors = [line for line in said.splitlines() if REMEDY.search(line)]
    assert errors and all(str(sweep.cache) in line or str(sweep.results) in line for line in errors), said
    text = errors[0].partition("cannot ")[2] or errors[0]
    kinds = {"token store": "token store", "PLAID": "PLAID index", CANDIDATES: "candidates", MAXSIM: "maxsim"}
    return next((name for pattern, name in {**kinds, "record": "record"}.items() if pattern in text), "other")


@pytest.mark.faults
@pytest.mark.parametrize("full", ["cache", "cache without inodes", "results"])
def test_a_full_disk_is_named_and_nothing_on_it_believed(server, tiny, small_disk, seeded, capsys, full):
    began, places = time.monotonic(), []
    assert tiny.run(server)[0] == 0
    expected = tiny.scores()
    side = tiny.results if full == "results" else tiny.cache
    sizes = [-(-path.stat().st_size // 4096) * 4096 if path.is_file() else 4096 for path in side.rglob("*")]
    for _ in range(8):
        tiny.clear()
        for path in (tiny.cache, tiny.results):
            if path.is_symlink():
                path.unlink()
        shutil.rmtree(small_disk / "x", ignore_errors=True)
        (small_disk / "x").mkdir()
        side.symlink_to(small_disk / "x")
        least, most = (20, len(sizes)) if "inodes" in full else (4096, sum(sizes))
        resize(small_disk, f"{'nr_inodes' if 'inodes' in full else 'size'}={int(seeded.integers(least, most))}")
        code, said = tiny.run(server, composed=False)
        if code:
            places.append(check_full(tiny, code, said))
        resize(small_disk, "size=64m,nr_inodes=100000")
        code, said = tiny.run(server)
        assert code == 0 and tiny.scores() == expected, said
        assert main(["cache", "verify", f"cache_dir={tiny.cache}"]) == 0
    report(capsys, f"a full disk ({full}): {dict(Counter(places))}", began)


@pytest.mark.faults
def test_files_that_may_not_grow_are_named_and_not_believed(server, tiny, seeded, capsys):
    began, places = time.monotonic(), []
    assert tiny.run(server)[0] == 0
    expected, largest = tiny.scores(), max(path.stat().st_size for path in tiny.cache.rglob("*") if path.is_file())
    for _ in range(8):
        tiny.clear()
        code, said = tiny.run(
            server, composed=False, file_bytes=int(np.exp(seeded.uniform(np.log(1 << 14), np.log(largest))))
        )
        if code:
            places.append(check_full(tiny, code, said))
        code, said = tiny.run(server)
        assert code == 0 and tiny.scores() == expected, said
    report(capsys, f"files that may not grow: {dict(Counter(places))}", began)


# Damage


@pytest.fixture
def here(tiny, small_chunks, capsys) -> Run:
    return Run(tiny, capsys)


class Run:
    """A tiny sweep in this process, whose folders can be put back to what they were after it had completed."""

    def __init__(self, sweep: Sweep, capsys) -> None:
        self.sweep, self.capsys, self.kept = sweep, capsys, sweep.folder / "kept"
        self.configs = arguments.cells(*arguments.split(sweep.command[1:]), lambda options: None)[0]
        log_handlers.forget()
        assert self() == (0, "")
        self.expected = sweep.scores()
        assert self.expected.keys() == CELLS
        for folder in (sweep.cache, sweep.results):
            faults.copied(folder, self.kept / folder.name)

    def __call__(self) -> tuple[int, str]:
        """Run it; the exit code and the errors. What Hydra does takes most of such a run, and is done once."""
        failures = run(self.configs)
        return int(bool(failures)), "\n".join(failures)

    def verify(self) -> tuple[int, str]:
        code = main(["cache", "verify", f"cache_dir={self.sweep.cache}"])
        return code, self.capsys.readouterr().out

    def restore(self, without: str) -> None:
        """All files as they were; `without` those of the cache that would make the damaged ones needless."""
        for folder in (self.sweep.cache, self.sweep.results):
            faults.copied(self.kept / folder.name, folder)
        for path in self.sweep.cache.glob(without) if without else []:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def until_right(self) -> list[tuple[str, list[Path]]]:
        """Run, and do what it says, until nothing is wrong: then all scores are the same. What it said and deleted."""
        steps: list[tuple[str, list[Path]]] = []
        for _ in range(8):
            code, said = self()
            if code == 0:
                assert self.sweep.scores() == self.expected, "something wrong was believed"
                return steps
            assert code == 1, said
            steps.append((said, put_right(said, self.sweep.folder)))
        raise AssertionError(f"it never comes right: {steps[-1][0]}")


NAMED = (
    r"delete the folder (\S+) and run again",
    r"(\S+) is damaged \(.*\): delete it and run",
    r"token store (\S+) was made from other inputs: delete that folder",
)


def put_right(said: str, folder: Path) -> list[Path]:
    """Do what sentences say; what was deleted, all of it in `folder`."""
    gone = []
    for pattern in NAMED:
        for name in re.findall(pattern, said):
            path = Path(name)
            assert path.is_relative_to(folder), said
            if path.exists():
                gone.append(path)
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert gone, f"no sentence says what to delete: {said}"
    return gone


SOME = (faults.cut, faults.cut, faults.flip, faults.flip, faults.flip, faults.empty, faults.delete)
KINDS = {
    "tokens": ("tokens/*/tokens.f16", "stages"),
    "lengths": ("tokens/*/lengths.i32", "stages"),
    "meta": ("tokens/*/meta.json", "stages"),
    "PLAID's marker": (f"plaid/*/{plaid.MARKER}", "stages/*/*/*/*/plaid-*"),
    "candidates": (f"stages/*/*/*/*/*{CANDIDATES}", ""),
    "maxsim": (f"stages/*/*/*/*/*{MAXSIM}", ""),
}
"""Kind -> (its files, what to take away so that they are needed)."""


def is_alike(path: Path, damaged: bytes | None, whole: bytes, *besides: str) -> bool:
    """Whether damaged JSON says the same as before, but for what stands under some names."""
    try:
        one, other = json.loads(damaged or b""), json.loads(whole)
    except ValueError:
        return False
    return path.suffix == ".json" and {**one, **dict.fromkeys(besides)} == {**other, **dict.fromkeys(besides)}


def check_damage(here: Run, path: Path, damage: faults.Damage, rng: np.random.Generator) -> str:
    """That one damaged file is named, or made again; which of them."""
    whole, name = path.read_bytes(), str(path.relative_to(here.sweep.folder))
    what = f"{name}: {damage(path, rng)}"
    content = path.read_bytes() if path.exists() else None
    shutil.rmtree(here.sweep.results)
    code, text = here.verify()
    # No score depends on the seconds; whether the identity is the right one, a run alone can tell.
    harmless = is_alike(path, content, whole, "seconds")
    if content is not None and not is_alike(path, content, whole, "seconds", "identity"):
        assert code == 1 and (str(path) in text or str(path.parent) in text), f"{what}: not found by cache verify"
    try:
        steps = here.until_right()
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from error
    for said, gone in steps[:1]:
        assert all(path == one or path.is_relative_to(one) for one in gone), f"{what}: {said}"
    if steps:
        return "named"
    assert content is None or path.read_bytes() != content or harmless, f"{what}: believed"
    return "harmless" if harmless else "made again"


@pytest.mark.faults
@pytest.mark.parametrize("what", KINDS)
def test_a_damaged_file_of_the_cache_is_named_or_made_again(here, seeded, what):
    began, counts, (places, without) = time.monotonic(), Counter(), KINDS[what]
    for damage in SOME * 2:
        here.restore(without)
        path = seeded.choice(sorted(here.sweep.cache.glob(places)))
        counts[check_damage(here, path, damage, seeded)] += 1
    report(here.capsys, f"damage to {what}: {dict(counts)}", began)


@pytest.mark.faults
def test_damage_to_each_file_of_an_index_is_named(here, seeded):
    began, counts = time.monotonic(), Counter()
    (index,) = [marker.parent for marker in here.sweep.cache.glob(f"plaid/*/{plaid.MARKER}")]
    names = sorted(json.loads((index / plaid.MARKER).read_text())["files"])
    for name in names:
        for damage in seeded.permutation(np.array(faults.DAMAGES))[:2]:
            here.restore("stages/*/*/*/*/plaid-*")
            counts[check_damage(here, index / name, damage, seeded)] += 1
    report(here.capsys, f"damage to {len(names)} files of an index: {dict(counts)}", began)


@pytest.mark.faults
def test_damage_fails_the_cells_that_need_it_alone(here, seeded):
    cases = [("smve", CANDIDATES), ("muvera", MAXSIM), ("plaid", CANDIDATES)]
    for (what, end), without in product(cases, ("", f"stages/*/*/*/*/muvera-*{MAXSIM}", f"stages/*/*/*/*/*{MAXSIM}")):
        here.restore(without)
        if not list(here.sweep.cache.glob(f"stages/*/*/*/*/{what}-*{end}")):
            continue
        path = seeded.choice(sorted(here.sweep.cache.glob(f"stages/*/*/*/*/{what}-*{end}")))
        faults.flip(path, seeded)
        shutil.rmtree(here.sweep.results)
        code, said = here()
        assert code == 1 and str(path) in said
        assert here.sweep.scores().keys() == CELLS - {path.parent.name + what}


@pytest.mark.faults
@pytest.mark.parametrize("kind", [CANDIDATES, MAXSIM, "record"])
def test_files_in_each_others_place_are_named(here, seeded, kind):
    pattern = "r/records/*/*/*/[!p]*.json" if kind == "record" else f"c/stages/*/*/*/*/[!p]*{kind}"
    for _ in range(6):
        here.restore("")
        one, other = seeded.choice(sorted(here.sweep.folder.glob(pattern)), 2, replace=False)
        content = one.read_bytes()
        one.write_bytes(other.read_bytes())
        other.write_bytes(content)
        if kind != "record":
            shutil.rmtree(here.sweep.results)
        code, said = here()
        assert code == 1 and str(one) in said and str(other) in said
        if kind == "record":
            one.unlink()
            other.unlink()
        here.until_right()


@pytest.mark.faults
def test_files_that_are_removed_between_runs_are_made_again_or_asked_for(here, seeded):
    began, named = time.monotonic(), 0
    for _ in range(10):
        here.restore("")
        shutil.rmtree(here.sweep.results)
        for path in [path for path in sorted(here.sweep.cache.rglob("*")) if path.is_file()]:
            if seeded.random() < 0.3:
                path.unlink()
        for folder in sorted(here.sweep.cache.glob("[tp]*/*/")):
            if seeded.random() < 0.2:
                shutil.rmtree(folder)
        named += len(here.until_right())
    report(here.capsys, f"10 times files removed; {named} times asked to delete the rest of them", began)


# Damage to a store that is being written


class Stopped(BaseException):
    """What stops a build, or one that has no end."""


def built(path: Path, texts: list[np.ndarray]) -> tuple[bytes, ...]:
    """The bytes of a store of some texts, in chunks of four."""
    names = [f"t{i}" for i in range(len(texts))]
    store = build.build_store(path, names, lambda start, stop: texts[start:stop], {"weights": "w"}, 4)
    return (store.path / TOKENS).read_bytes(), (store.path / LENGTHS).read_bytes()


def build_half(path: Path, texts: list[np.ndarray], monkeypatch) -> None:
    """Leave a store as it is when its third chunk was appended, and this is not in the journal yet."""
    calls = []

    def append(file, data: bytes) -> None:
        calls.append(data)
        if len(calls) == 9:
            raise Stopped
        files.append(file, data)

    with monkeypatch.context() as patched, pytest.raises(Stopped):
        patched.setattr(build, "append", append)
        built(path, texts)


def check_half(path: Path, texts: list[np.ndarray], whole: tuple[bytes, ...]) -> str:
    """That a store with some damage is built, perhaps after its sentences were followed; what was the case."""
    for said in range(4):
        try:
            with no_longer_than(10, Stopped):
                assert built(path, texts) == whole, "something wrong was believed"
            return "named" if said else "built"
        except HarnessError as error:
            put_right(str(error), path)
    raise AssertionError("it never comes right")


def check_half_written(tmp_path: Path, texts: list[np.ndarray], monkeypatch, rng: np.random.Generator, draws: int):
    whole, half, path = built(tmp_path / "whole", texts), tmp_path / "half", tmp_path / "s"
    build_half(path, texts, monkeypatch)
    faults.copied(path, half)
    counts: Counter[str] = Counter()
    for pattern in (JOURNAL, TOKENS, LENGTHS, f"{PARTS}/*.npz"):
        for damage in (*faults.DAMAGES, *[faults.flip] * draws):
            faults.copied(half, path)
            damaged = rng.choice(sorted(path.glob(pattern)))
            what = f"{damaged.relative_to(path)}: {damage(damaged, rng)}"
            try:
                counts[f"{pattern} {check_half(path, texts, whole)}"] += 1
            except (AssertionError, Stopped) as error:
                raise AssertionError(f"{what}: {error}") from error
    return dict(counts)


@pytest.mark.faults
def test_damage_to_a_store_that_is_being_written_is_named_or_made_good(tmp_path, ragged, monkeypatch, seeded, capsys):
    began = time.monotonic()
    counts = check_half_written(tmp_path, ragged, monkeypatch, seeded, 200)
    report(capsys, f"damage to a half-written store: {counts}", began)


def test_some_damage_to_a_store_that_is_being_written_is_named_or_made_good(tmp_path, ragged, monkeypatch, seeded):
    check_half_written(tmp_path, ragged, monkeypatch, seeded, 10)


# Damage to results


@pytest.mark.faults
def test_a_damaged_record_is_named(here, seeded):
    began, counts, believed = time.monotonic(), Counter(), []
    for damage in (*SOME, *[faults.flip] * 30):
        here.restore("")
        path = seeded.choice(sorted(here.sweep.results.glob("records/*/*/*/*.json")))
        what = damage(path, seeded)
        code, said = here()
        if code:
            assert str(path) in said and ("delete it" in said or "overwrite=true" in said), said
            path.unlink()
            here.until_right()
            counts["named"] += 1
        elif here.sweep.scores() != here.expected:
            believed.append(f"{path.name}: {what}")
        else:
            counts["made again" if damage is faults.delete else "without any effect on scores"] += 1
    report(here.capsys, f"damage to records: {dict(counts)}, believed: {len(believed)} {believed[:3]}", began)
    assert not believed


@pytest.mark.faults
def test_a_damaged_note_of_a_failure_stops_nothing(here, seeded):
    (cell,) = here.sweep.results.glob("records/*/*/corpus/smve.json")
    note = here.sweep.results / "failures" / cell.relative_to(here.sweep.results / "records").with_suffix(".txt")
    for damage in faults.DAMAGES:
        here.restore("")
        note.parent.mkdir(parents=True)
        note.write_text("it failed\n")
        damage(note, seeded)
        (here.sweep.results / cell.relative_to(here.sweep.results)).unlink()
        assert here.until_right() == [] and not note.exists()


@pytest.mark.faults
def test_damaged_sums_of_a_shard_are_named(tiny, small_chunks, capsys, seeded):
    words = ["run", *tiny.words, "method=smve", "reference=null", "progress=false"]
    words += [f"results_dir={tiny.results}", f"cache_dir={tiny.cache}"]
    for shard in ("1/2", "2/2", "1/2"):  # the mean needs the sums of both
        main([*words, f"shard={shard}"])
    expected, first = tiny.scores(), sorted(tiny.cache.glob("tokens/*.sums.npz"))[0]
    faults.copied(tiny.cache, tiny.folder / "kept")
    for damage in SOME:
        faults.copied(tiny.folder / "kept", tiny.cache)
        for folder in (tiny.cache / "stages", tiny.results):
            shutil.rmtree(folder, ignore_errors=True)
        damage(first, seeded)
        main([*words, "shard=2/2"])
        capsys.readouterr()
        if first.exists():
            code, said = main(["cache", "verify", f"cache_dir={tiny.cache}"]), capsys.readouterr().out
            assert code == 1 and str(first) in said
            assert main([*words, "shard=1/2"]) == 1, "believed"
            assert put_right(capsys.readouterr().err, tiny.folder) == [first]
        main([*words, "shard=1/2"])
        assert main([*words, "shard=2/2"]) == 0 and tiny.scores() == expected != {}


# A little of everything, for the usual tests


def test_a_tiny_sweep_that_is_killed_three_times_ends_with_the_same_records(server, tiny, seeded, capsys):
    check_kills(server, tiny, seeded, 3, capsys)


def test_some_damage_to_a_cache_is_named_or_made_again(here, seeded):
    for what, damage in (("tokens", faults.flip), ("candidates", faults.cut), ("maxsim", faults.empty)):
        places, without = KINDS[what]
        here.restore(without)
        check_damage(here, seeded.choice(sorted(here.sweep.cache.glob(places))), damage, seeded)
