"""Words and files of conf/ that would run code, or read files, that the harness does not ship: all are refused.

A word may choose a launcher of Hydra by its name and set how it works; all other options of Hydra are its own.
`TARGETS` lists all that Hydra may instantiate.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from harness.config.entries import GROUPS
from harness.config.texts import is_text
from harness.system.errors import HarnessError, unknown

LAUNCHERS = ("basic", "joblib", "ray", "submitit_local", "submitit_slurm")


PRINT = ("-c", "--cfg")
"""Flags before the word `job`, or with it as their value."""
FLAGS = ("-m", "--multirun", "-h", "--help", *PRINT)


TARGETS = (
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
    "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
    "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher",
    "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher",
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher",
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher",
)
"""All that Hydra may instantiate; the harness itself makes nothing by a name in a configuration."""


COMMANDS = ("setup", "runtime_env", "env_set")
"""Options of Hydra and its launchers that are shell lines, packages to load, or variables that name such."""


_OF_HYDRA = re.compile(r"hydra\.(mode|verbose|run\.dir|sweep\.(dir|subdir)|launcher(\.[A-Za-z][A-Za-z0-9_-]*)+)")


def refuse_code(words: Sequence[str]) -> None:
    """Refuse words by which Hydra would run code or read files that are not the harness's."""
    for word in words:
        key, _, value = word.partition("=")
        name = key.lstrip("+~")
        if word.startswith("-"):
            if key not in FLAGS or (value and key not in PRINT):
                wrong = word if key in FLAGS else key
                raise HarnessError(f"unknown option {wrong}: expected one of {', '.join(FLAGS)}, or OPTION=VALUE.")
        elif not name:
            raise HarnessError(f"the word '{word}' names no option, expected OPTION=VALUE: write a name before '='.")
        elif re.search(
            r"_(target|args|partial|recursive|convert)_", key if is_text(word) and name not in GROUPS else word
        ):
            raise HarnessError(f"{word}: an override cannot name code to run; leave it out.")
        elif name == "hydra/launcher":
            for chosen in value.split(","):
                if chosen not in LAUNCHERS:
                    raise unknown("launcher", chosen, LAUNCHERS)
        elif "hydra" in key and (not _OF_HYDRA.fullmatch(name) or "${" in value):
            raise HarnessError(
                f"{word}: of Hydra's own options, expected hydra/launcher=NAME ({', '.join(LAUNCHERS)}), "
                "hydra.launcher.OPTION, hydra.mode, hydra.verbose, hydra.run.dir or hydra.sweep.dir, with plain values."
            )


def refuse_targets(config: Any) -> None:
    """The same for what the files of conf/ say, with Hydra's own options and those of logging's factories."""
    for key, value in _items(config):
        right = {"_target_": value in TARGETS, "class": str(value).startswith("logging."), "()": False}
        if str(value).startswith("ext://"):
            right[key] = value in ("ext://sys.stdout", "ext://sys.stderr")
        if not right.get(key, True):
            raise HarnessError(f"conf/ refers to code the harness does not ship ({key}: {value!r}): delete that line.")
        if key in COMMANDS and value:
            raise HarnessError(
                f"the option {key} is {value!r}, and no option may name commands: leave it out (workers have the "
                "environment of the command that starts them)."
            )


def refuse_launcher(hydra: Any, named: str) -> None:
    """Refuse a launcher that a file of conf/ chose, not a word, and options that would break a line of its script."""
    chosen = hydra["runtime"]["choices"]["hydra/launcher"]
    if chosen != named:
        raise HarnessError(
            f"conf/ selects the launcher {chosen!r}; launchers are chosen on the command line only: delete it from "
            f"conf/ and pass hydra/launcher={chosen}."
        )
    for key, value in _items(hydra["launcher"]):
        if not (key + str(value)).isprintable():
            raise HarnessError(f"the launcher's option {ascii(key)} is {ascii(value)}: expected a line of plain text.")


def _items(config: Any) -> Iterator[tuple[str, Any]]:
    """Every key of a configuration, at any depth, with its value."""
    for key, value in config.items() if isinstance(config, dict) else enumerate(config):
        yield str(key), value
        if isinstance(value, (dict, list)):
            yield from _items(value)
