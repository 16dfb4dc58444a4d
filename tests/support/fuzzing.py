"""The fuzz machine: draws an edit, runs the command in this process, and judges how it ended."""

from __future__ import annotations

import json
import resource
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import edits_of_files
import edits_of_judgements
import edits_of_models
import edits_of_records
import edits_of_texts
import edits_of_words
import meanings
import numpy as np
import pytest
import torch
from edits import Folder, base, drawn, one_of
from edits_of_models import ModelFolder
from edits_of_records import RecordFile
from edits_of_words import Words
from meanings import Meaning
from outcomes import Expected, Outcome, faults_of, faults_of_table, run
from scores import Encoder, expected
from tiny import WORDS

AREAS = {"data": 0.5, "model": 0.2, "words": 0.2, "records": 0.1}
MEMORY = 6 << 30  # bytes beyond what is in use: a huge number must not take all of the machine
METHODS = (*["exact"] * 17, "smve", "smve", "muvera", "muvera", "plaid")
OPTIONS = {"smve": ["method.width=256"], "muvera": ["method.repetitions=2"]}
FIXED = ("reference=null", "center=none", "progress=false", "threads=1", "depths=[0,50]")


@dataclass(frozen=True)
class Finding:
    """An edit that ended otherwise than it may."""

    seed: int
    number: int
    area: str
    edit: str
    faults: list[str]
    outcome: Outcome

    def __str__(self) -> str:
        return "\n".join(
            [
                f"HARNESS_SEED={self.seed} HARNESS_FIRST={self.number} HARNESS_EDITS=1   {self.area}: {self.edit}",
                *(f"  {fault}" for fault in self.faults),
                f"  command: {' '.join(self.outcome.words)!r:.1500}",
                f"  exit {self.outcome.code}",
                f"  stdout: {self.outcome.out[-700:]!r}",
                f"  stderr: {self.outcome.err[-1800:]!r}",
            ]
        )


@dataclass
class Machine:
    """What edits have in common.

    Attributes
    ----------
    root : a folder of its own; each edit gets a folder in it
    measured : results of unedited data, with a record for each of three methods
    """

    root: Path
    model: Path
    measured: Path
    words: list[str]
    encoder: Encoder
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    _encoders: dict[tuple[Any, ...], Encoder] = field(default_factory=dict)

    @classmethod
    def made(cls, root: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
        """A machine in a folder, which is the current one meanwhile; nothing is written elsewhere by default."""
        monkeypatch.chdir(root)
        for name in ("CACHE", "RESULTS", "DATA", "MODELS"):
            monkeypatch.setenv(f"HARNESS_{name}", str(root / name.lower()))
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        monkeypatch.setattr("harness.config.options.default_results", lambda: root / "results")
        meanings.KNOWN |= {*WORDS, "."}
        folder = base(root / "earlier")
        folder.write()
        words = [f"model.path={model}", f"dataset.path={folder.path}", f"results_dir={root / 'measured'}"]
        words += [f"cache_dir={root / 'cache'}", *FIXED]
        outcome = run(["run", "-m", *words, "method=exact,smve,plaid"])
        assert outcome.code == 0, outcome.err
        return cls(root, model, root / "measured", words, Encoder(model))

    def edit(self, seed: int, number: int) -> Iterator[Finding]:
        """Make an edit, run the command, and judge: a finding, or nothing."""
        rng = np.random.default_rng([seed, number])
        area = str(rng.choice(list(AREAS), p=list(AREAS.values())))
        folder = self.root / f"{number}"
        folder.mkdir()
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        threads = torch.get_num_threads()
        resource.setrlimit(resource.RLIMIT_AS, (_memory() + MEMORY, hard))
        try:
            what, outcome, faults = getattr(self, f"_{area}")(folder, rng)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
            torch.set_num_threads(threads)
        shutil.rmtree(folder)
        self.counts[area, "finding" if faults else outcome.kind] += 1
        with open(self.root / "log.txt", "a", encoding="utf-8", errors="replace") as log:
            said = " ".join(line for line in outcome.err.splitlines() if line.startswith(("error:", "warning:")))
            log.write(f"{number}  {area}  {what!r}: {'FINDING' if faults else outcome.kind}  {said!r:.400}\n")
        if faults:
            yield Finding(seed, number, area, what, faults, outcome)

    def _command(self, folder: Path, data: Path, model: Path, method: str) -> list[str]:
        """The words of a run whose results are in a folder where there is an earlier record."""
        shutil.copytree(self.measured / "records" / "earlier", folder / "results" / "records" / "earlier")
        words = [f"model.path={model}", f"dataset.path={data}", f"results_dir={folder / 'results'}"]
        return [*words, f"cache_dir={folder / 'cache'}", *FIXED, f"method={method}", *OPTIONS.get(method, [])]

    def _data(self, folder: Path, rng: np.random.Generator) -> tuple[str, Outcome, list[str]]:
        data, what = edited_data(folder / "edited", rng)
        meaning = data.meaning()
        method = one_of(rng, METHODS)
        words = self._command(folder, data.path, self.model, method)
        wanted = Expected(data.names, data.is_read, meaning, lambda: expected(meaning, self.encoder))
        return what, *self._judged(["run", *words], folder, wanted, rng)

    def _model(self, folder: Path, rng: np.random.Generator) -> tuple[str, Outcome, list[str]]:
        model = ModelFolder(shutil.copytree(self.model, folder / "edited-model"))
        what = drawn(edits_of_models.EDITS, model, rng)
        data = base(folder / "plain")
        data.write()
        words = self._command(folder, data.path, model.path, "exact")
        meaning = data.meaning()
        try:
            encoder = Encoder(model.path) if not model.wrong else None
            scores = expected(meaning, encoder) if encoder else {}
            if not all(np.isfinite(value) for one in scores.values() for value in one):
                raise ValueError("scores that are not finite")
        except Exception as error:  # whatever PyLate raises
            scores, meaning = {}, Meaning(wrong=f"PyLate: {type(error).__name__}: {str(error)[:100]}")
        wanted = Expected(model.names, model.is_read, meaning, lambda: scores, or_warned=True)
        return what, *self._judged(["run", *words], folder, wanted, rng)

    def _words(self, folder: Path, rng: np.random.Generator) -> tuple[str, Outcome, list[str]]:
        data = base(folder / "data")
        data.write()
        model = shutil.copytree(self.model, folder / "model")
        words = Words("run", self._command(folder, data.path, model, "exact"), folder)
        what = drawn(edits_of_words.EDITS, words, rng)
        meaning = Meaning(wrong=words.wrong) if words.wrong else data.meaning()
        changed = {name: value for name, value in words.effects.items() if name != "keeps_self_matches"}
        meaning.keeps_self_matches = bool(words.effects.get("keeps_self_matches"))

        def scores() -> dict[str, Any]:
            key = tuple(sorted(changed.items()))
            if key not in self._encoders:
                self._encoders[key] = Encoder(self.model, **changed)
            return expected(meaning, self._encoders[key])

        wanted = Expected(words.names, words.is_read, meaning, scores, is_partial=words.is_partial)
        return what, *self._judged([words.command, *words.words], folder, wanted, rng)

    def _judged(
        self, words: Sequence[str], folder: Path, wanted: Expected, rng: np.random.Generator
    ) -> tuple[Outcome, list[str]]:
        """Run a command, and compare."""
        outcome, before, after, faults = _run(words, folder)
        new = [path for path in after if "records" in path.parts and path not in before and path.suffix == ".json"]
        new += [path for path in self.root.glob("results/records/*/*/*/*.json")]
        faults += faults_of(outcome, wanted, new)
        if outcome.code == 0 and not faults and len(new) == 1 and rng.random() < 0.2:
            results, name = new[0].parents[4], new[0].parents[2].name
            again = run(["table", f"results_dir={results}", "dataset=local", "dataset.path=x", f"dataset.name={name}"])
            faults += [f"table, {again.out!r:.300}: {fault}" for fault in faults_of_table(again, new)]
        shutil.rmtree(self.root / "results", ignore_errors=True)
        return outcome, faults

    def _records(self, folder: Path, rng: np.random.Generator) -> tuple[str, Outcome, list[str]]:
        results = folder / "results"
        shutil.copytree(self.measured, results)
        path = one_of(rng, sorted(results.glob("records/*/*/*/*.json")))
        record = RecordFile(path, results, {path.name, str(path), *path.parts[-4:-1]})
        whole = json.loads(path.read_text())
        what = f"{path.relative_to(results)}: {drawn(edits_of_records.EDITS, record, rng, twice=0)}"
        commands = [["table"], ["table", "format=csv"], ["table", "format=latex"], ["table", "significance=true"]]
        commands += [["table", "cost=true"], ["table", "per_query=true", "format=csv"], ["status"], ["report"]]
        command = one_of(rng, [*commands, *commands[:2], *commands[:2]])
        words = [*command, f"results_dir={results}"]
        if command == ["status"]:
            words += ["-m", *[word for word in self.words if "results_dir" not in word], "method=exact,smve,plaid"]
        outcome, _, _, faults = _run(words, folder)
        faults += faults_of_table(outcome, sorted(results.glob("records/*/*/*/*.json")), record.names)
        is_same = _json_of(path) == whole
        if outcome.code == 0 and record.sealed and path.is_file() and not is_same:
            faults.append("a record whose checksum fails is believed")
        return what, outcome, faults


def edited_data(path: Path, rng: np.random.Generator) -> tuple[Folder, str]:
    """A data set with one edit, or two: of its objects, or of its files, or of both."""
    folder = base(path)
    kind, words = one_of(rng, ("data", "data", "files", "files", "both")), []
    if kind != "files":
        words.append(drawn((*edits_of_texts.EDITS, *edits_of_judgements.EDITS), folder, rng))
    folder.write()
    if kind != "data":
        words.append(drawn(edits_of_files.EDITS, folder, rng, 0.1))
    return folder, "; then ".join(words)


def _run(words: Sequence[str], folder: Path) -> tuple[Outcome, dict[Path, bytes], dict[Path, bytes], list[str]]:
    """Run a command; its outcome, the files before and after, and which are lost or changed."""
    before = _bytes_of(folder)
    outcome = run(words)
    after = _bytes_of(folder)
    lost = [str(path) for path, content in before.items() if after.get(path) != content]
    return outcome, before, after, [f"lost or changed: {', '.join(lost)}"] * bool(lost)


def _bytes_of(folder: Path) -> dict[Path, bytes]:
    """The files of a folder but for those of the cache."""
    paths = [path for path in folder.rglob("*") if not path.is_relative_to(folder / "cache")]
    return {path: path.read_bytes() for path in paths if path.is_file()}


def _json_of(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def _memory() -> int:
    """Bytes of address space that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
