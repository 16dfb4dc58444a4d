"""An exported first stage: its reader, which knows nothing of the harness, makes the harness's own codes."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
import reference
import torch
from omegaconf import OmegaConf

from harness.cli import main
from harness.config import compose
from harness.config.options import CenterOptions
from harness.export.reader import Reader
from harness.measure import testbed as testbeds
from harness.methods.muvera import FixedDimensionalEncoding
from harness.methods.smve import SparseEncoding

CODES = {
    "muvera": ["method=muvera", "method.repetitions=3", "method.bits=3", "method.projection=4"],
    "muvera, no projection": ["method=muvera", "method.repetitions=2", "method.bits=2", "method.projection=null"],
    "smve": ["method=smve", "method.width=64", "method.keep=5", "method.repetitions=2"],
    "smve, hadamard": ["method=smve", "method.width=64", "method.keep=5", "method.anchors=hadamard"],
}
CENTERS = ("none", "corpus", "text", "shrunk")
OTHERS = [("muvera", "own"), ("smve", "corpus center.renormalize=true")]


@pytest.fixture(scope="module")
def words(lateon_like, tiny_dataset, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", f"cache_dir={cache}", "progress=false"]


def exported(words, folder, *more):
    assert main(["export", *words, *more, f"output={folder}"]) == 0
    return Reader(folder)


def of_the_harness(words, more):
    """The documents' and the queries' codes, made by the harness itself."""
    given = OmegaConf.to_container(compose.composed(compose.expand([*words, *more])), resolve=True)
    method, center = given.pop("method"), CenterOptions.of(given.pop("center"))
    testbed = testbeds.testbed_of(given, given["dataset"])
    shift = testbed.centering(center, testbed.query_mean(center))
    docs, queries = shift.apply_documents(testbed.docs), shift.apply_queries(testbed.queries)
    options = [value for name, value in method.items() if name not in ("name", "seeds")]
    kind = FixedDimensionalEncoding if method["name"] == "muvera" else SparseEncoding
    encoding = kind(docs.dim, *options, torch.device("cpu"))
    codes = encoding.documents(docs.rows(0, len(docs))), encoding.queries(queries.rows(0, len(queries)))
    return testbed, *(np.asarray(code if method["name"] == "muvera" else code.dense()) for code in codes)


@pytest.mark.parametrize(("code", "center"), [*product(CODES, CENTERS), *OTHERS])
def test_the_reader_makes_the_codes_of_the_harness(words, tmp_path, code, center):
    more = [*CODES[code], *f"center={center}".split(), "query_tokens=all"]
    reader = exported(words, tmp_path / "encoder", *more)
    testbed, documents, queries = of_the_harness(words, more)
    for row, expected in enumerate(documents):
        np.testing.assert_allclose(reader.document(testbed.docs[row]), expected, atol=2e-6)
    for row, expected in enumerate(queries):
        np.testing.assert_allclose(reader.query(testbed.queries[row]), expected, atol=1e-5)


def test_the_codes_are_those_of_the_definition(words, tmp_path, rng):
    reader = exported(words, tmp_path / "encoder", *CODES["muvera"], "center=none")
    tokens = rng.normal(size=(6, reader.options["dim"])).astype(np.float32)
    planes = np.moveaxis(reader.arrays["planes"], 2, 0)  # [dim, R, k]
    projections = np.moveaxis(reader.arrays["projections"], 2, 0)
    np.testing.assert_allclose(
        reader.document(tokens), reference.muvera_document(tokens, planes, projections), atol=1e-5
    )
    np.testing.assert_allclose(reader.query(tokens), reference.muvera_query(tokens, planes, projections), atol=1e-5)
    empty = np.zeros((0, reader.options["dim"]), np.float32)
    assert not reader.document(empty).any() and not reader.query(empty).any()


def test_the_folder_is_enough_by_itself(words, tmp_path):
    folder = tmp_path / "encoder"
    reader = exported(words, folder, *CODES["smve"], "center=corpus")
    program = (
        "import numpy as np, sys; from reader import Reader; "
        f"code = Reader('.').document(np.ones((2, {reader.options['dim']}), np.float32)); "
        "print(code.shape[0], 'harness' in sys.modules, 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["128", "False", "False"]
    lines = [line for line in (folder / "reader.py").read_text().splitlines() if line.strip() and '"""' not in line]
    assert len(lines) <= 40
    described = json.loads((folder / "encoder.json").read_text())
    assert described["method"] == "smve" and described["center"]["name"] == "corpus" and described["model"]["weights"]


def test_other_numbers_than_those_described_are_refused(words, tmp_path):
    folder = tmp_path / "encoder"
    exported(words, folder, *CODES["smve"], "center=corpus")
    content = bytearray((folder / "arrays.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "arrays.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="export it again"):
        Reader(folder)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["method=lemur", "output=x"], "`export` knows muvera and smve"),
        (["method=muvera"], "export needs output=FOLDER"),
        (["method=smve", "method.seeds=3", "output=x"], "method.seeds gives 3 draws of smve, and `export` writes one"),
        (["method=muvera,smve", "output=x"], "-m"),
    ],
)
def test_what_cannot_be_exported_is_refused(words, tmp_path, monkeypatch, capsys, more, sentence):
    monkeypatch.chdir(tmp_path)
    assert main(["export", *words, *more]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "x" / "encoder.json").exists()
