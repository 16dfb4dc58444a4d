"""A token store that several processes build, and one on a full disk."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from harness.system.errors import HarnessError
from harness.vectors.store import META, open_store

WORKER = """
import sys, time, numpy as np
from pathlib import Path
from harness.vectors.build import build_store, fill
path, seed = Path(sys.argv[1]), int(sys.argv[2])
texts = [np.random.default_rng(i).standard_normal((i % 5 + 1, 8)).astype(np.float32) for i in range(60)]
def encode(start, stop):
    print(start, flush=True)
    time.sleep(0.05)
    return texts[start:stop]
print("ready", flush=True)
sys.stdin.readline()  # all begin at once
if seed == 3:
    fill(path, [str(i) for i in range(60)], encode, {}, 4)
else:
    build_store(path, [str(i) for i in range(60)], encode, {}, 4)
"""


def test_four_processes_share_the_chunks_and_none_is_encoded_twice(tmp_path):
    words = [sys.executable, "-c", WORKER, str(tmp_path / "s")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen([*words, str(seed)], **pipes) for seed in range(4)]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("\n")
        worker.stdin.flush()
    encoded = [[int(line) for line in worker.communicate()[0].split()] for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 4
    assert sorted(sum(encoded, [])) == list(range(0, 60, 4))
    assert all(encoded), "one of them had nothing to do"
    store = open_store(tmp_path / "s")
    for row in range(60):
        expected = np.random.default_rng(row).standard_normal((row % 5 + 1, 8)).astype(np.float16)
        np.testing.assert_array_equal(store[row], expected.astype(np.float32))


FULL_DISK = """
import resource, signal, sys, numpy as np
from pathlib import Path
from harness.system.errors import HarnessError
from harness.vectors.build import build_store
texts = [np.ones((50, 8), np.float32)] * 40
if sys.argv[2] == "small":  # the file system refuses to grow a file beyond this, as a full one does
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    store = build_store(Path(sys.argv[1]), [str(i) for i in range(40)], lambda a, b: texts[a:b], {}, chunk=5)
    print("complete", len(store), int(store.offsets[-1]))
except HarnessError as error:
    print(error)
"""


def test_a_full_disk_leaves_nothing_that_is_taken_for_complete(tmp_path):
    def attempt(size):
        words = [sys.executable, "-c", FULL_DISK, str(tmp_path / "s"), size]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout

    assert "cannot write the token store" in attempt("small")
    assert not (tmp_path / "s" / META).exists()
    with pytest.raises(HarnessError, match="incomplete"):
        open_store(tmp_path / "s")
    assert attempt("large").strip() == "complete 40 2000"
