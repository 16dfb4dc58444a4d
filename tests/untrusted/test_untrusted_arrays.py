"""Arrays, stores and indexes that are pickles are not read.

Each attack is made for real: its payload would make a file, the marker.
"""

from __future__ import annotations

import io
import json
import pickle
import zlib

import numpy as np
import pytest
from attacks import Payload, in_a_zip, pickled, plant
from tiny import unit

from harness.measure import artifacts
from harness.methods.plaid import MARKER as PLAID_MARKER
from harness.methods.plaid import Plaid
from harness.system import files
from harness.system.errors import HarnessError
from harness.vectors.build import PARTS, build_store
from harness.vectors.store import META


def in_a_single_array(marker):
    archive = io.BytesIO()
    np.save(archive, pickled(marker), allow_pickle=True)
    return archive.getvalue()


def as_it_is(marker):
    return pickle.dumps(Payload(marker))


FORMS = pytest.mark.parametrize("form", [in_a_zip, in_a_single_array, as_it_is])


@FORMS
@pytest.mark.parametrize("read", [files.read_arrays, artifacts.read_candidates, artifacts.read_maxsim])
def test_arrays_that_are_pickles_are_refused(read, form, marker, tmp_path):
    plant(tmp_path / "x.npz", form(marker))
    with pytest.raises(HarnessError, match=r"x\.npz is damaged \(.*pickle.*\): delete it and run again"):
        read(tmp_path / "x.npz")


@FORMS
def test_an_encoded_chunk_that_is_a_pickle_is_refused(form, marker, tmp_path, rng):
    plant(tmp_path / "store" / PARTS / "0-2.npz", form(marker))
    texts = [unit(rng, 3, 8), unit(rng, 2, 8)]
    with pytest.raises(HarnessError, match=r"0-2\.npz is damaged"):
        build_store(tmp_path / "store", ["a", "b"], lambda a, b: texts[a:b], {})
    assert not (tmp_path / "store" / META).exists()


@pytest.mark.pipeline
def test_an_index_of_plaid_that_is_pickles_is_refused(make_store, rng, resources, marker):
    docs, queries = make_store([unit(rng, 12, 16) for _ in range(60)]), make_store([unit(rng, 4, 16)])
    plaid = Plaid(4, 4, 8, 8192, 42)
    plaid.search(docs, queries, 10, resources())
    (path,) = resources().cache.rglob(PLAID_MARKER)
    content = json.loads(path.read_text())
    del content["crc32"]  # the marker, too, is the stranger's
    for array in path.parent.glob("*.npy"):
        np.save(array, pickled(marker), allow_pickle=True)
        content["files"][array.name] = {"bytes": array.stat().st_size, "crc32": zlib.crc32(array.read_bytes())}
    path.write_text(json.dumps(content))
    with pytest.raises(HarnessError, match=r"PLAID.*delete the index folder and run again"):
        plaid.search(docs, queries, 10, resources())
