"""Figures in files, and the command `plot`."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from drawings import geometry, inputs, on_two_sets

from harness import figures, records
from harness.cli import main
from harness.config import entries
from harness.geometry import file
from harness.system import files


@pytest.fixture
def two_sets():
    return on_two_sets()


def test_two_writes_are_the_same_bytes(two_sets, tmp_path, monkeypatch):
    found = inputs(two_sets, geometries=[geometry()])
    first, _ = figures.draw(found, None, tmp_path / "a")
    monkeypatch.setitem(__import__("matplotlib").rcParams, "font.size", 20)  # somebody's own settings
    second, _ = figures.draw(found, None, tmp_path / "b")
    assert [path.name for path in first] == [path.name for path in second] and len(first) == 2 * 6
    for one, other in zip(first, second, strict=True):
        content = one.read_bytes()
        assert content == other.read_bytes()
        assert content.startswith(b"\x89PNG" if one.suffix == ".png" else b"<?xml") and len(content) > 5000


def test_what_cannot_be_drawn_is_said(two_sets, tmp_path):
    paths, notes = figures.draw(inputs(two_sets), None, tmp_path)
    assert [path.name for path in paths] == ["depth-scifact+nfcorpus.svg", "depth-scifact+nfcorpus.png"]
    assert notes[0].startswith("spectrum, cosines, buckets, overlap, agreement: nothing to draw, needs files in")
    assert notes[1].startswith("budget: nothing to draw, needs records of a method with other options")
    _, notes = figures.draw(inputs(two_sets, geometries=[geometry()]), "spectrum", tmp_path)
    assert notes == ["no geometry of lateon on nfcorpus, so no figure of it."]
    one_stage = geometry(first_stages={"muvera": geometry()["first_stages"]["muvera"]})
    _, notes = figures.draw(inputs(two_sets[::2], ["scifact"], [one_stage]), None, tmp_path)
    assert (
        "overlap-scifact-lateon: nothing to draw, its geometry has no first stage with anchors (such as smve)." in notes
    )


# The command


def written(tmp_path, some, geometries=()):
    for record in some:
        records.write(tmp_path, record)
    for one in geometries:
        files.write_json(file.path_of(tmp_path, one["dataset"], one["model"]), one)
    return f"results_dir={tmp_path}"


def test_the_command_prints_what_it_wrote(two_sets, tmp_path, capsys):
    place = written(tmp_path, two_sets, [geometry()])
    assert main(["plot", "dataset=scifact,nfcorpus", place]) == 0
    found = capsys.readouterr()
    paths = found.out.splitlines()
    assert sorted(paths) == sorted(map(str, (tmp_path / "figures").iterdir())) and len(paths) == 12
    assert f"{tmp_path}/figures/agreement-scifact-lateon.svg" in paths
    assert "note: no geometry of lateon on nfcorpus" in found.err and "note: budget: nothing to draw" in found.err


def test_one_kind_into_a_folder(two_sets, tmp_path, capsys):
    place = written(tmp_path, two_sets)
    assert main(["plot", "what=depth", "dataset=scifact", place, f"figures_dir={tmp_path}/my figures"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}/my figures/depth-scifact.svg",
        f"{tmp_path}/my figures/depth-scifact.png",
    ]


ERRORS = {
    "what=dpeth": "unknown figure 'dpeth'; did you mean 'depth'? Known: agreement, buckets, budget, cosines, depth, "
    "overlap, spectrum.",
    "what=budget": "nothing to draw for scifact in {place}: budget: nothing to draw, needs records of a method with",
    "what=overlap": "overlap: nothing to draw, needs files in results/geometry",
    "dataset=nfcorpus": "nothing to draw for nfcorpus in {place}: depth: nothing to draw, needs records",
    "what=depth figures_dir={place}/records/scifact/lateon/none/plaid.json": "cannot write the figure",
}


@pytest.mark.parametrize("words", ERRORS)
def test_errors_are_one_sentence_and_exit_code_2(words, two_sets, tmp_path, capsys):
    place = written(tmp_path, two_sets[::2])
    assert main(["plot", "dataset=scifact", place, *words.format(place=tmp_path).split()]) == 2
    found = capsys.readouterr()
    assert found.err.startswith("error: ") and ERRORS[words].format(place=tmp_path) in found.err
    assert found.err.count("\n") == 1 and found.out == ""


def test_a_geometry_of_another_format_is_one_sentence(tmp_path, capsys):
    place = written(tmp_path, [], [geometry(format=9)])
    assert main(["plot", "dataset=scifact", place]) == 2
    assert "has format 9, expected 1" in capsys.readouterr().err


def test_geometry_as_it_is_measured(tiny_dataset, lateon_like, tmp_path, capfd):
    """The file that `geometry` writes has all that the figures need."""
    words = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", f"results_dir={tmp_path}/r"]
    assert main(["geometry", *words, f"cache_dir={tmp_path}/c"]) == 0
    capfd.readouterr()
    assert main(["plot", *words]) == 0
    (path,) = (tmp_path / "r").glob("geometry/*/*.json")
    shares = json.loads(path.read_text())["spectrum"]["queries"]["raw"]
    names = {name.split("-")[0] for name in map(lambda out: out.split("/")[-1], capfd.readouterr().out.split())}
    assert names == {"spectrum", "cosines", "buckets", "overlap", "agreement"} and sum(shares) == pytest.approx(1)


def test_matplotlib_is_for_those_who_plot():
    code = "import sys, harness.cli; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=entries.ROOT).returncode == 0
