"""The folder of a training run: its files, when it may be replaced, and where a stopped run resumes.

started.json        everything that the result depends on; marks the folder as belonging to a training run
checkpoints/        the last two checkpoints, to resume from; deleted when the run is finished
head.safetensors    what was trained, for model.head=FILE (unless train.trainable=all)
model/              the complete model as PyLate saves it, for model.path=FOLDER (unless train.save_model=false)
log.jsonl           loss, both terms, learning rate, validation
training.json       options, data, validation before and after, versions, host; written last, as the completion marker
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from harness.models.untrusted import refuse_code
from harness.system.errors import HarnessError
from harness.system.files import replacing, write_json
from harness.system.paths import user_path

STARTED, DONE, HEAD, MODEL, LOG, CHECKPOINTS = (
    "started.json",
    "training.json",
    "head.safetensors",
    "model",
    "log.jsonl",
    "checkpoints",
)
_MEANS = "means.safetensors"


@dataclass(frozen=True)
class RunFolder:
    """A folder for one run and nothing else.

    Attributes
    ----------
    path : the folder
    identity : everything that the result depends on
    replaces : whether `begin` deletes an older run in the folder
    """

    path: Path
    identity: dict[str, Any]
    replaces: bool

    @classmethod
    def of(cls, path: Path, identity: dict[str, Any], inputs: list[str], overwrite: bool) -> RunFolder:
        """The folder at `path`, after checking it; nothing in it is changed.

        Parameters
        ----------
        inputs
            Files and folders that the run reads.
        overwrite
            Whether an older run may be replaced.

        Raises
        ------
        HarnessError
            If the folder has another run (unless `overwrite`), other files, or one of the `inputs`, or is a file.
        """
        for name in inputs:
            if user_path(name).resolve().is_relative_to(path.resolve()):
                raise HarnessError(f"train.output={path} contains {name}, which the run reads: choose another folder.")
        if path.exists() and not path.is_dir():
            raise HarnessError(f"train.output={path} is a file, expected a folder: choose another name.")
        if not path.exists() or not any(path.iterdir()):
            return cls(path, identity, replaces=False)
        found = _read(path / STARTED)
        if found is None:
            raise HarnessError(f"{path} has files that belong to no training run: set train.output to another folder.")
        differs = sorted(name for name in identity if found.get(name) != identity[name])
        if differs and not overwrite:
            raise HarnessError(
                f"{path} holds a run with different {', '.join(differs)}: set train.output to another folder, or "
                "overwrite=true to replace it."
            )
        return cls(path, identity, replaces=overwrite)

    @property
    def finished(self) -> bool:
        """Whether this run is complete."""
        return not self.replaces and (self.path / DONE).exists()

    def begin(self) -> None:
        """Mark the folder as this run's, after deleting the files of an older run if it `replaces` one.

        Raises
        ------
        HarnessError
            If the folder cannot be written.
        """
        try:
            if self.replaces:
                for name in (DONE, HEAD, LOG):
                    (self.path / name).unlink(missing_ok=True)
                for name in (MODEL, CHECKPOINTS):
                    shutil.rmtree(self.path / name, ignore_errors=True)
            write_json(self.path / STARTED, self.identity)
        except OSError as error:
            raise HarnessError(
                f"cannot write to {self.path} ({error.strerror}): set train.output to a folder that can be written."
            ) from error

    def keep_means(self, step: int, means: dict[str, torch.Tensor]) -> None:
        """Write the running means beside the checkpoint of a step, which makes the checkpoint usable."""
        with replacing(self.path / CHECKPOINTS / f"checkpoint-{step}" / _MEANS) as file:
            file.write(save({name: value.contiguous() for name, value in means.items()}))

    def checkpoint(self) -> tuple[Path, dict[str, torch.Tensor]] | None:
        """The last usable checkpoint and its running means; None if there is none.

        Raises
        ------
        HarnessError
            If it is damaged, or loading it would run code.
        """
        usable = [path.parent for path in (self.path / CHECKPOINTS).glob(f"checkpoint-*/{_MEANS}")]
        numbered = {int(path.name[11:]): path for path in usable if path.name[11:].isdecimal()}
        if not numbered:
            return None
        last = numbered[max(numbered)]
        refuse_code(last)
        try:
            return last, load_file(last / _MEANS)
        except (SafetensorError, OSError) as error:
            raise HarnessError(
                f"{last / _MEANS} is damaged ({error}): delete the folder {last} to resume from the one before it."
            ) from error

    def finish(self, facts: dict[str, Any]) -> None:
        """Write training.json, the completion marker, and delete the checkpoints."""
        write_json(self.path / DONE, {"identity": self.identity, **facts})
        shutil.rmtree(self.path / CHECKPOINTS, ignore_errors=True)


def _read(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None if there is none."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
