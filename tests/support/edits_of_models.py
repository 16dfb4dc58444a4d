"""Edits of a model's folder: files that are missing or damaged, settings, vocabulary, weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from edits import one_of

JSON = ("config.json", "config_sentence_transformers.json", "modules.json", "sentence_bert_config.json")
ODD: tuple[Any, ...] = (None, 0, -1, 1, 7, 64, 10**9, 1.5, True, False, "", "wing", "32", [], ["wing"], {}, {"a": 1})


@dataclass
class ModelFolder:
    """A model that is being edited.

    Attributes
    ----------
    names : what a refusal may name
    is_read : whether all edits are such that the model must be read
    wrong : why no score can be right; empty: PyLate decides
    """

    path: Path
    names: set[str] = field(default_factory=set)
    is_read: bool = True
    wrong: str = ""

    def json(self, name: str) -> Any:
        return json.loads((self.path / name).read_text(encoding="utf-8"))

    def write(self, name: str, value: Any) -> None:
        (self.path / name).write_text(json.dumps(value), encoding="utf-8")
        self.names |= {name, self.path.name}
        self.is_read = False


ModelEdit = Callable[[ModelFolder, np.random.Generator], str]


def files(model: ModelFolder) -> list[Path]:
    return sorted(path for path in model.path.rglob("*") if path.is_file())


def lose_file(model: ModelFolder, rng: np.random.Generator) -> str:
    path = one_of(rng, files(model))
    kind = one_of(rng, ("missing", "missing", "empty", "a folder", "a link to nowhere"))
    path.unlink()
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a link to nowhere":
        path.symlink_to(model.path / "nowhere")
    model.names |= {model.path.name, path.name}
    model.is_read = False
    return f"{path.relative_to(model.path)}: {kind}"


def damage_file(model: ModelFolder, rng: np.random.Generator) -> str:
    path = one_of(rng, files(model))
    content = bytearray(path.read_bytes())
    if not content:
        return "nothing"
    place = int(rng.integers(len(content)))
    kind = one_of(rng, ("cut off", "flipped", "flipped", "prepended"))
    if kind == "cut off":
        path.write_bytes(content[:place])
    elif kind == "flipped":
        content[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
    else:
        path.write_bytes(
            one_of(rng, (b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"[", b"version https://git-lfs\n")) + content
        )
    model.names |= {model.path.name, path.name}
    model.is_read = False
    return f"{path.relative_to(model.path)}: {kind} at {place}"


def odd_setting(model: ModelFolder, rng: np.random.Generator) -> str:
    name = one_of(rng, JSON)
    found = model.json(name)
    entries = found if isinstance(found, list) else [found]
    entry = one_of(rng, entries)
    if not entry:
        return "nothing"
    key = one_of(rng, sorted(entry))
    kind = one_of(rng, ("dropped", "renamed", "retyped", "retyped", "retyped"))
    value = one_of(rng, ODD)
    if kind == "dropped":
        del entry[key]
    elif kind == "renamed":
        entry[f"{key}s"] = entry.pop(key)
    else:
        entry[key] = value
    model.write(name, found)
    model.names.add(key)
    return f"{name}: {key} {kind}{f' to {value!r}' if kind == 'retyped' else ''}"


def odd_pylate_setting(model: ModelFolder, rng: np.random.Generator) -> str:
    """One of PyLate's own settings."""
    name = "config_sentence_transformers.json"
    found = model.json(name)
    key = one_of(
        rng,
        (
            *("query_prefix", "document_prefix", "query_length", "document_length", "attend_to_expansion_tokens"),
            *("skiplist_words", "do_query_expansion", "prompts", "default_prompt_name", "similarity_fn_name"),
        ),
    )
    value = one_of(rng, (*ODD, "[Q] ", "wing ", ["wing", 5], {"query": "wing "}, "query", "cosine", 128, 129, 4096, -5))
    found[key] = value
    model.write(name, found)
    model.names.add(key)
    return f"{name}: {key} is {value!r}"


def odd_modules(model: ModelFolder, rng: np.random.Generator) -> str:
    found = model.json("modules.json")
    kind = one_of(
        rng, ("one dropped", "two exchanged", "one twice", "another type", "another path", "none", "reversed")
    )
    place = int(rng.integers(len(found)))
    if kind == "one dropped":
        del found[place]
    elif kind == "two exchanged":
        other = int(rng.integers(len(found)))
        found[place], found[other] = found[other], found[place]
    elif kind == "one twice":
        found.insert(place, found[place])
    elif kind == "another type":
        types = ("Pooling", "Normalize", "Dense", "Transformer", "Dropout", "")
        found[place]["type"] = f"{one_of(rng, ('pylate.models', 'sentence_transformers.models'))}.{one_of(rng, types)}"
    elif kind == "another path":
        found[place]["path"] = one_of(rng, ("", "9_Dense", "1_Dense", "2_Dense", ".", "..", "/", "1_Dense/", "1_dense"))
    else:
        found = [] if kind == "none" else found[::-1]
    model.write("modules.json", found)
    return f"modules.json: {kind} ({place})"


def odd_vocabulary(model: ModelFolder, rng: np.random.Generator) -> str:
    found = model.json("tokenizer.json")
    words: dict[str, int] = found["model"]["vocab"]
    kind = one_of(
        rng, ("one word less", "one word more", "2,000 words more", "an id twice", "an id moved", "none", "special")
    )
    word = one_of(rng, sorted(words))
    if kind == "one word less":
        del words[word]
    elif kind == "one word more":
        words["zeppelin"] = max(words.values()) + 1
    elif kind == "2,000 words more":
        words |= {f"word{i}": len(words) + i for i in range(2000)}
    elif kind == "an id twice":
        words[word] = words[one_of(rng, sorted(words))]
    elif kind == "an id moved":
        words[word] = one_of(rng, (10**6, 10**4, len(words) + 5))
    elif kind == "none":
        words.clear()
    elif found["added_tokens"]:
        del found["added_tokens"][int(rng.integers(len(found["added_tokens"])))]
    model.write("tokenizer.json", found)
    return f"tokenizer.json: {kind} ({word})"


def odd_weights(model: ModelFolder, rng: np.random.Generator) -> str:
    import torch
    from safetensors.torch import load_file, save_file

    path = one_of(rng, sorted(model.path.rglob("*.safetensors")))
    weights = load_file(path)
    name = one_of(rng, sorted(weights))
    kind = one_of(
        rng, ("dropped", "NaN", "one NaN", "infinite", "zero", "huge", "cut", "renamed", "float16", "integers", "none")
    )
    value = weights[name]
    if kind in ("dropped", "renamed"):
        del weights[name]
        weights |= {f"{name}.old": value} if kind == "renamed" else {}
    elif kind == "one NaN":
        value.view(-1)[int(rng.integers(value.numel()))] = torch.nan
    elif kind == "cut":
        weights[name] = value[:-1].contiguous()
    elif kind == "none":
        weights = {}
    else:
        change = {"NaN": torch.nan, "infinite": torch.inf, "zero": 0.0, "huge": 1e30}
        weights[name] = torch.full_like(value, change[kind]) if kind in change else value
        weights[name] = value.half() if kind == "float16" else value.int() if kind == "integers" else weights[name]
    save_file(weights, path, metadata={"format": "pt"})
    model.names |= {model.path.name, path.name}
    model.is_read = False
    return f"{path.relative_to(model.path)}: {name} {kind}"


def extra_file(model: ModelFolder, rng: np.random.Generator) -> str:
    name = one_of(
        rng, ("README.md", "notes.json", "vocab.txt", "adapter_config.json", "1_Dense/old.json", "pytorch_model.bin")
    )
    content = one_of(rng, (b"", b"{}", b"wing\nflow\n", b"\xff\xfe\0", b"[1,"))
    (model.path / name).write_bytes(content)
    model.names |= {model.path.name, Path(name).name}
    model.is_read = False
    return f"{name} added: {content!r}"


def move_folder(model: ModelFolder, rng: np.random.Generator) -> str:
    kind = one_of(rng, ("1_Dense renamed", "1_Dense and 2_Dense exchanged", "the folder in another", "the folder gone"))
    model.names.add(model.path.name)
    model.is_read = False
    one, other, spare = model.path / "1_Dense", model.path / "2_Dense", model.path / "dense"
    if kind == "1_Dense renamed":
        one.rename(spare)
    elif kind.startswith("1_Dense and"):
        one.rename(spare), other.rename(one), spare.rename(other)
    elif kind == "the folder gone":
        shutil.rmtree(model.path)
    else:
        inner = model.path.with_name("inner")
        model.path.rename(inner)
        model.path.mkdir()
        inner.rename(model.path / "inner")
    return kind


EDITS: tuple[ModelEdit, ...] = (
    *(lose_file, lose_file, damage_file, damage_file, damage_file, odd_setting, odd_setting, odd_setting),
    *(odd_pylate_setting, odd_pylate_setting, odd_pylate_setting, odd_modules, odd_modules, odd_vocabulary),
    *(odd_weights, odd_weights, extra_file, move_folder),
)
