"""A method of two files and a centering of a line and a file: every command knows them, without any other change."""

from __future__ import annotations

import json
import re
import shutil
import sys

import pytest
from words import read_by

import harness.methods
from harness.cli import main
from harness.config import entries
from harness.figures import style
from harness.geometry import file
from harness.vectors import centering
from harness.vectors.centering import MU_D, Kind

METHOD = '''
"""Mean pooling: one vector per text, the mean of its token vectors."""

import numpy as np

from harness.methods.method import Method, SearchResult
from harness.ranking.topk import RunningTopK
from harness.system.progress import Stopwatch


def pooled(store):
    return np.stack([store[row].mean(axis=0) for row in range(len(store))])


class MeanPooling(Method):
    title = "mean pooling"
    symbols = {"scale": "s"}

    def __init__(self, scale):
        self.scale = scale

    def search(self, docs, queries, k, resources):
        watch = Stopwatch()
        with watch.phase("encode_documents"):
            documents = self.scale * pooled(docs)
        best = RunningTopK(len(queries), min(k, len(docs)))
        with watch.phase("search"):
            best.add(0, (pooled(queries) @ documents.T).astype(np.float32))
        return SearchResult(best.ranking(), watch.seconds, documents.nbytes)
'''


@pytest.fixture
def added(tmp_path, monkeypatch):
    """One more method and one more centering, which subtracts the documents' mean from the documents alone."""
    plugins, conf = tmp_path / "plugins", tmp_path / "conf"
    plugins.mkdir()
    (plugins / "pooling.py").write_text(METHOD)
    shutil.copytree(entries.CONF_DIR, conf)
    (conf / "method" / "pooling.yaml").write_text("# one mean vector per text\nname: pooling\nscale: 2\n")
    (conf / "center" / "aside.yaml").write_text("# d_j - mu_D, q_i as it is\nname: aside\nrenormalize: false\n")
    monkeypatch.setattr(harness.methods, "__path__", [*harness.methods.__path__, str(plugins)])
    monkeypatch.setattr(entries, "CONF_DIR", conf)
    kind = Kind("docs", "one-sided", MU_D, None, words="the documents alone less their mean")
    monkeypatch.setitem(centering.KINDS, "aside", kind)
    yield
    sys.modules.pop("harness.methods.pooling", None)
    vars(harness.methods).pop("pooling", None)


def test_every_command_knows_a_new_method_and_a_new_centering(added, lateon_like, tiny_dataset, tmp_path, capsys):
    results = tmp_path / "results"
    words = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", f"results_dir={results}", "depths=[0,5,20]"]
    words += [f"cache_dir={tmp_path / 'cache'}", "progress=false"]

    def output(command, *more):
        capsys.readouterr()
        assert main([command, *read_by(command, more)]) == 0
        return capsys.readouterr().out

    assert re.search(r"^pooling +one mean vector per text", output("ls", "methods"), re.M)
    assert "aside" in output("ls", "centers")

    text = output("run", "-m", *words, "center=none,aside", "method=pooling,smve")
    assert "| lateon-like | docs |" in text and "| mean pooling |" in text
    assert "Not in the card, this project's addition: the documents alone less their mean." in text
    record = json.loads((results / "records" / "tiny" / "lateon-like" / "aside" / "pooling.json").read_text())
    assert record["ndcg10"].keys() == {"0", "5", "20"} and "pooling_search" in record["seconds"]
    assert record["identity"]["center"] == {"name": "aside", "renormalize": False, "query_mean": None}

    rows = [line for line in text.splitlines() if "| mean pooling |" in line]
    assert len(rows) == 2 and set(rows) <= set(output("table", *words).splitlines())
    lines = output("table", *words, "format=csv").splitlines()
    assert any(line.startswith("lateon-like,docs,pooling,5,tiny,") for line in lines)
    assert "| mean pooling |" in output("table", *words, "cost=true", "significance=true").split("Cost, means")[1]

    stages = output("geometry", "-m", *words, "center=none,aside", "method=pooling,smve")
    assert "one-sided: the documents alone less their mean" in stages
    lines = [[part.strip() for part in line.split("|")[1:3]] for line in stages.splitlines()]
    assert [line for line in lines if line[:1] == ["pooling"]] == [["pooling", "raw"], ["pooling", "one-sided"]]
    geometry = file.read(file.path_of(results, "tiny", "lateon-like"))
    assert list(geometry["documents"]) == ["raw", "centered", "own", "one-sided"]
    assert geometry["documents"]["one-sided"] == geometry["documents"]["centered"]
    assert geometry["queries"]["one-sided"] == geometry["queries"]["raw"]
    assert set(geometry["first_stages"]["pooling"]["one-sided"]) == {"options", "agreement"}
    assert set(geometry["first_stages"]["smve"]["one-sided"]) == {"options", "agreement", "anchors", "zero_overlap"}

    drawn = {line.rsplit("/", 1)[1] for line in output("plot", *words).split()}
    names = ("depth-tiny", *(f"{kind}-tiny-lateon-like" for kind in ("spectrum", "cosines", "overlap", "agreement")))
    assert {f"{name}.svg" for name in names} <= drawn
    assert style.method_look("pooling") not in [*style.METHODS.values(), style.OTHER]
    assert style.center_look("aside") not in [*style.CENTERS.values(), style.OTHER]

    page = (tmp_path / output("report", *words).strip()).read_text()
    assert 'data-center="aside" data-method="pooling"' in page
    assert "mean pooling, one-sided" in page  # in the description of a figure
    assert "Center docs: not in the card, this project&#39;s addition; the documents alone less their mean." in page

    status = output("status", "-m", *words, "center=none,aside", "method=pooling,smve")
    assert "| lateon-like | tiny | 5 | 0 | 0 | 0 | none |" in status


def test_a_variant_of_a_new_method_has_its_symbols_in_figures(added, lateon_like, tiny_dataset, tmp_path, capsys):
    words = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", f"results_dir={tmp_path / 'r'}"]
    words += ["center=none", "method=pooling", "reference=null", "depths=[0]", f"cache_dir={tmp_path / 'cache'}"]
    for scale in (2, 4):
        assert main(["run", *words, f"method.scale={scale}", "progress=false"]) == 0
    assert main(["table", *read_by("table", words)]) == 0
    assert "| mean pooling scale=4 |" in capsys.readouterr().out
    assert main(["plot", *read_by("plot", words), "what=budget"]) == 0
    assert "budget-tiny-lateon-like-none.svg" in capsys.readouterr().out
