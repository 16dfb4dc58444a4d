"""Edits of a command line: unknown and misspelt words, wrong types, odd numbers, paths."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from edits import one_of
from oddities import FOLDER_NAMES, OPTION_VALUES, UNKNOWN_WORDS

NUMBERS = ("threads", "batch_tokens", "memory_mb")
LENGTHS = ("model.query_length", "model.document_length")
SWITCHES = ("overwrite", "save_runs", "significance", "cost", "per_query", "dataset.keep_self_matches")
OTHERS = (
    *("depths", "format", "reference", "device", "shard", "method", "center", "model.dtype", "model.attention"),
    *("model.dim", "model.seed", "model.name", "dataset.name", "dataset.split", "dataset.docs", "dataset.query_length"),
    *("model.query_expansion", "model.head", "model.revision", "model.hub", "data_dir", "models_dir", "method.name"),
    *("method.width", "method.keep", "method.bits", "method.repetitions", "method.nbits", "method.seed"),
    *("center.renormalize", "hydra.verbose", "hydra/launcher", "hydra.mode", "suite", "experiment", "dataset", "model"),
)
METHOD_OF = {"method.width": "smve", "method.keep": "smve", "method.seed": "smve", "method.bits": "muvera"}
METHOD_OF |= {"method.repetitions": "muvera", "method.nbits": "plaid"}


@dataclass
class Words:
    """A command line that is being edited.

    Attributes
    ----------
    words : those after the command
    names : what a refusal may name
    effects : what the words change of the score, for the computation
    wrong : why the command must refuse; empty: it may do either
    is_read : whether all edits are such that the command must take them
    is_partial : whether the run measures a part of the documents only, so that there is no record yet
    """

    command: str
    words: list[str]
    root: Path
    names: set[str] = field(default_factory=set)
    effects: dict[str, int | bool] = field(default_factory=dict)
    wrong: str = ""
    is_read: bool = True
    is_partial: bool = False

    def value(self, option: str) -> str:
        return next(word.partition("=")[2] for word in self.words if word.startswith(f"{option}="))

    def set(self, option: str, value: str) -> None:
        """Set an option, in place of an earlier word of it."""
        self.words = [word for word in self.words if not word.startswith(f"{option}=")] + [f"{option}={value}"]
        self.names |= {option, value} - {""}


WordsEdit = Callable[[Words, np.random.Generator], str]


def unknown_word(words: Words, rng: np.random.Generator) -> str:
    word = one_of(rng, UNKNOWN_WORDS)
    words.words.insert(int(rng.integers(len(words.words) + 1)), word)
    key = word.partition("=")[0].strip("+~- ")
    words.names |= {word, key, key.partition(".")[2], word.partition("=")[2], "''"} - {""}
    words.is_read = False
    if word not in ("", "="):
        words.wrong = f"the word {word!r}"
    return f"the word {word!r} added"


def odd_value(words: Words, rng: np.random.Generator) -> str:
    option, value = one_of(rng, (*NUMBERS, *LENGTHS, *SWITCHES, *OTHERS, *OTHERS)), one_of(rng, OPTION_VALUES)
    words.set(option, value)
    method = METHOD_OF.get(option)
    if method:
        words.set("method", method)
    words.names.add(option.rpartition(".")[2])
    words.is_read = False
    value = "5" if value == "int(5)" else value
    whole = re.fullmatch(r"[1-9]\d*", value)
    if option in NUMBERS and not whole and value not in ("", "null", "${threads}"):
        words.wrong = f"{option}={value}"
    if option in SWITCHES and value.lower() not in ("true", "false", "yes", "off", ""):
        words.wrong = f"{option}={value}"
    if option in LENGTHS and whole and 4 <= int(value) <= 128:
        words.effects[option.partition(".")[2]] = int(value)
    elif option in LENGTHS and value not in ("", "null", "${threads}"):
        words.wrong = f"{option}={value}"
    if option == "dataset.query_length" and whole and 4 <= int(value) <= 128:
        words.effects["query_length"] = int(value)
    if option == "model.query_expansion" and value.lower() in ("true", "false", "yes", "off"):
        words.effects["query_expansion"] = value.lower() in ("true", "yes")
    words.is_partial |= (option, value) == ("shard", "1/2")
    if option == "dataset.keep_self_matches" and value.lower() in ("true", "yes"):
        words.effects["keeps_self_matches"] = True
    return f"{option}={value!r:.60}"


def right_value(words: Words, rng: np.random.Generator) -> str:
    """An option that changes how it is computed, or a length that changes the score."""
    option, value = one_of(
        rng,
        (
            *(("threads", "2"), ("batch_tokens", "1"), ("memory_mb", "1"), ("depths", "[0]"), ("depths", "[1000]")),
            *(("save_runs", "true"), ("format", "csv"), ("format", "latex"), ("cost", "true"), ("device", "cpu")),
            *(("model.query_length", "8"), ("model.document_length", "9"), ("model.document_length", "128")),
            *(
                ("dataset.keep_self_matches", "true"),
                ("model.name", "wing"),
                ("dataset.name", "wing"),
                ("shard", "1/1"),
            ),
            *(("dataset.docs", "24"), ("dataset.queries", "6"), ("model.dim", "16"), ("model.seed", "3")),
        ),
    )
    words.set(option, value)
    if "length" in option:
        words.effects[option.partition(".")[2]] = int(value)
    if option == "dataset.keep_self_matches":
        words.effects["keeps_self_matches"] = True
    return f"{option}={value}"


def odd_path(words: Words, rng: np.random.Generator) -> str:
    """A folder with an odd name: of the data set, the model, the results or the cache."""
    option = one_of(rng, ("dataset.path", "dataset.path", "model.path", "results_dir", "cache_dir"))
    name, before = one_of(rng, FOLDER_NAMES), Path(words.value(option))
    to = words.root / name
    if before.exists():
        before.rename(to)
    words.set(option, str(to))
    words.names |= {option.partition(".")[0], name, name.strip(), "\\t", "\\n", option}
    words.is_read = False
    return f"{option} is a folder called {name!r:.60}"


def wrong_path(words: Words, rng: np.random.Generator) -> str:
    option = one_of(rng, ("dataset.path", "model.path", "results_dir", "cache_dir", "model.head", "dataset.split"))
    file = words.root / "a-file"
    file.write_bytes(b"wing\n")
    values = ["", "nowhere", str(file), str(file / "x"), "/dev/null", "/proc/x", "x" * 300, ".", "a\x1bb"]
    value = one_of(rng, values if option.endswith("_dir") else [*values, "/"])
    words.set(option, value)
    words.names |= {option.partition(".")[0], option.rpartition(".")[2], "a-file", "corpus.jsonl", "\\x1b"}
    words.is_read = False
    if not option.endswith("_dir") and not (option == "model.head" and not value):
        words.wrong = f"{option}={value}"
    return f"{option}={value!r:.60}"


def word_dropped(words: Words, rng: np.random.Generator) -> str:
    """A word fewer, twice, or in another place."""
    kind = one_of(rng, ("dropped", "twice", "shuffled"))
    droppable = [i for i, word in enumerate(words.words) if word.startswith(("progress", "depths", "threads"))]
    if kind == "dropped":
        return f"{words.words.pop(one_of(rng, droppable))} dropped"
    if kind == "twice":
        word = one_of(rng, words.words)
        words.words.append(word)
        words.names.add(word.partition("=")[0])
        words.is_read = False
        return f"{word} twice"
    words.words = [words.words[i] for i in rng.permutation(len(words.words))]
    return "words in another order"


def other_command(words: Words, rng: np.random.Generator) -> str:
    command = one_of(
        rng,
        ("rum", "Run", "", " run", "run ", "-m", "--run", "tables", "ru", "run=1", "é", "\x1b[31m", "a\nb", "ls ls"),
    )
    words.command = command
    words.names |= {command.strip() or "command", "command"}
    words.wrong, words.is_read = f"the command {command!r}", False
    return f"the command {command!r}"


EDITS: tuple[WordsEdit, ...] = (
    *(
        unknown_word,
        unknown_word,
        odd_value,
        odd_value,
        odd_value,
        odd_value,
        odd_value,
        right_value,
        odd_path,
        odd_path,
    ),
    *(wrong_path, word_dropped, other_command),
)
