"""What attacks are made of: a payload whose running leaves a mark."""

from __future__ import annotations

import io
import json
import zlib

import numpy as np
import torch
from safetensors.torch import load_file

from harness.cli import main


class Payload:
    """An object whose unpickling makes the marker."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def pickled(marker):
    """An array that only a pickle can hold."""
    array = np.empty(1, dtype=object)
    array[0] = Payload(marker)
    return array


def refused(words, capsys):
    """The one sentence that a command says instead of doing anything."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    return said


def in_a_zip(marker):
    archive = io.BytesIO()
    every = "rows scores facts seconds sums tokens lengths".split()
    np.savez(archive, **{name: pickled(marker) for name in every})
    return archive.getvalue()


def plant(path, content):
    """A file with the checksum that the harness's own have: an attacker writes it as well as we do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content + b"crc32 %08x\n" % zlib.crc32(content))


def to_pickle(path, marker):
    """Weights as a pickle with a payload, in place of the safetensors."""
    torch.save({**load_file(path), "more": Payload(marker)}, path.with_name("pytorch_model.bin"))


def change(path, **values):
    """Some values of a JSON file."""
    found = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**found, **values}))


def module(model, number, **values):
    """Some values of an entry of modules.json."""
    found = json.loads((model / "modules.json").read_text())
    found[number] |= values
    (model / "modules.json").write_text(json.dumps(found))


def pickled_backbone(model, marker):
    to_pickle(model / "model.safetensors", marker)
    (model / "model.safetensors").unlink()
