"""A command: what it is called with, what it does, and the options that it reads."""

from __future__ import annotations

import difflib
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.config import documented, entries
from harness.config.texts import quoted
from harness.config.untrusted import LAUNCHERS, PRINT, refuse_code
from harness.system.errors import HarnessError
from harness.system.later import import_later

HELP = ("-h", "--help")
_WITH_OPTIONS = ("model", "dataset", "center", "method", "index", "objective", "train_data")
"""Groups whose entries have options to set; the others are lists of names."""
VECTORS = {
    "vectors": "a folder of token vectors that you made, instead of a model; for model=vectors model.path=FOLDER",
}
SHORT_FORMS = {
    "query_tokens": "all, real or words: what the first stage sees of a query; for center.query_tokens",
    "pool": "hierarchical: fewer token vectors per document, as `pool.factor` says; for model.pool",
    "pool.factor": "2, 3, ...: one of how many token vectors is kept; for model.pool_factor",
}
"""Words that commands which measure read, although conf/ has them under other names, with what they mean."""
_WIDTH, _INDENT = 110, 28


@dataclass(frozen=True)
class Command:
    """A command of the command line.

    Attributes
    ----------
    name : as it is typed
    words : what may follow the name, for the usage line
    about : what it does; the first sentence stands in the list of commands
    reads : the options that it reads, by their names in conf/config.yaml. ``model`` is a group's entry and its options,
        ``model=`` the entry alone, ``model.`` the options alone, ``train.`` a section, ``hydra`` launchers
    examples : two lines to copy, without ``python -m harness``
    run : gets the words after the name, prints, and returns the exit code
    sweeps : whether it takes -m and --cfg job
    kept : what an interrupted command leaves, and how to go on
    own : options that are not in conf/, with what they mean
    parts : commands of the command, by their names
    computes : whether it computes with tensors; what only reads results starts without torch
    """

    name: str
    words: str
    about: str
    reads: tuple[str, ...]
    examples: tuple[str, ...]
    run: Callable[[Sequence[str]], int]
    sweeps: bool = False
    kept: str = "nothing was changed: the same command starts over."
    own: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, Command] = field(default_factory=dict)
    computes: bool = True

    def __call__(self, words: Sequence[str]) -> int:
        """Answer --help, refuse what the command does not read, or run it; returns the exit code."""
        if words and words[0] in self.parts:
            return self.parts[words[0]](words[1:])
        if set(HELP) & set(words):
            sys.stdout.write(self.help())
            return 0
        self.check(words)
        if not self.computes:
            import_later("torch")
        return self.run(words)

    @property
    def summary(self) -> str:
        """The first sentence of `about`."""
        return " ".join(self.about.split()).partition(". ")[0].removesuffix(".")

    def check(self, words: Sequence[str]) -> None:
        """Refuse the flags and options that the command does not read.

        Raises
        ------
        HarnessError
            For the first of them, with those that it does read.
        """
        others = [word for word, before in zip(words, ["", *words], strict=False) if before not in PRINT or "=" in word]
        refuse_code([quoted(word) for word in others])
        for word in others:
            if word.startswith("-"):
                if not self.sweeps:
                    raise HarnessError(f"{word}: `{self.name}` is no sweep and knows only the flag --help.")
                continue
            key = option_of(word)
            if key and self.reads and not self.does_read(key):
                known = [name for option in self.reads for name in _named(option)]
                near = difflib.get_close_matches(key, known, n=1, cutoff=0.7)
                hint = f" (did you mean '{near[0]}'?)" if near else ""
                raise HarnessError(f"{word}: `{self.name}` does not read {key}{hint}; it reads {', '.join(known)}.")

    def does_read(self, key: str) -> bool:
        """Whether the command reads an option, by its dotted name."""
        for option in self.reads:
            base = option.rstrip("=.")
            if key == base or (not option.endswith("=") and key.startswith((f"{base}.", f"{base}/"))):
                return True
        return False

    def help(self) -> str:
        """The page of --help: what the command does, its options with their defaults, and examples."""
        called = f"python -m harness {self.name}"
        parts = [f"usage: {called} {self.words}".rstrip(), *map(_filled, self.about.split("\n\n"))]
        if self.parts:
            lines = [_line(f"{self.name} {name}", part.summary) for name, part in self.parts.items()]
            parts.append("\n".join([f"commands (`{called} NAME --help` has their options):", *lines]))
        if self.reads:
            parts.append("\n".join(["options, with their defaults (conf/config.yaml):", *self._options()]))
        flags = [_line("-h, --help", "print this page")]
        if self.sweeps:
            flags.append(_line("-m, --multirun", "a sweep: every combination of the values, as in center=none,own"))
            flags.append(_line("-c, --cfg job", "print the options as YAML (of a sweep: those of its first cell)"))
        parts.append("\n".join(["flags:", *flags]))
        parts.append("\n".join(["examples:", *(f"  python -m harness {line}" for line in self.examples)]))
        return "\n\n".join(parts) + "\n"

    def _options(self) -> Iterator[str]:
        """A line for each option."""
        known = documented.documented()
        for option in self.reads:
            base = option.rstrip("=.")
            group = base.partition(".")[0]
            if option in self.own:
                yield _line(f"{option}=", self.own[option])
            elif option == "hydra":
                yield _line("hydra/launcher=basic", f"many workers: {' | '.join(LAUNCHERS)}")
                yield _line("hydra.launcher.OPTION=", "one option of the launcher")
            elif option.endswith(".") and base not in entries.GROUPS:  # a section
                yield from (self._documented(one) for name, one in known.items() if name.startswith(option))
            elif "." in base:  # of a group's entry for a folder
                yield self._documented(documented.documented_local(group)[base])
            else:
                if not option.endswith("."):
                    yield self._documented(known[base], option.endswith("="))
                if base in _WITH_OPTIONS and not option.endswith("="):
                    yield _line(f"{base}.OPTION=", f"one option of conf/{base}/NAME.yaml")

    def _documented(self, option: documented.Option, no_default: bool = False) -> str:
        default = "" if no_default or option.default == "???" else option.default
        return _line(f"{option.name}={default}", option.about(self.name.split()[0]))


def option_of(word: str) -> str:
    """The option that a word sets; nothing for a flag, a name or a file."""
    found = re.match(r"[+~]*((hydra/)?\w[\w.]*)(@[\w.]*)?=", word)
    return found[1] if found else ""


def _named(option: str) -> list[str]:
    """How an item of `Command.reads` is called in messages."""
    base = option.rstrip("=.")
    if option == "hydra":
        return ["hydra/launcher", "hydra.launcher.OPTION"]
    if option.endswith("="):
        return [base]
    nested = [f"{base}.OPTION"] if option.endswith(".") or base in _WITH_OPTIONS else []
    return nested if option.endswith(".") else [base, *nested]


def _line(name: str, text: str) -> str:
    """A name and what it means, indented."""
    indent = " " * _INDENT
    if len(name) > _INDENT - 3:
        return f"  {name}\n{textwrap.fill(text, _WIDTH, initial_indent=indent, subsequent_indent=indent)}"
    return textwrap.fill(text, _WIDTH, initial_indent=f"  {name:{_INDENT - 2}}", subsequent_indent=indent)


def _filled(paragraph: str) -> str:
    return textwrap.fill(" ".join(paragraph.split()), _WIDTH)
