"""Words reach the options as the shell gives them: texts with any letters, and what Hydra alone understands."""

from __future__ import annotations

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from harness.config import compose, names, schema, texts
from harness.config.untrusted import refuse_code
from harness.system.errors import HarnessError
from harness.system.paths import user_path

ODD = [
    *("José", "日本", "it's", 'say "x"', "a b", "x=y", "#h", "$d", "b\\s", "tail\\", "[1]", "{k: 1}", "(a)", "a;b"),
    *("100%", "2024", "1e5", "true", "~x", "a~b", "_args_", "a:b", "*", "?", "", "0x10", "1_000", "yes", "-1", "@a"),
]


def parsed(word):
    return texts.values(OverridesParser.create().parse_override(texts.quoted(word)))


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize("option", ["dataset.path", "method.model", "results_dir", "model.title", "+model.head"])
def test_a_text_is_read_as_it_is(text, option):
    assert parsed(f"{option}={text}") == [text]


def test_any_text_is_read_as_it_is():
    rng = np.random.default_rng(5)
    letters = list("ab'\"\\,=[]{}()$#~*:;%&|@ \u00e9\u65e5\U0001f600-+.0/")
    for _ in range(2000):
        text = "".join(rng.choice(letters, rng.integers(0, 9)))
        if not texts.is_text(f"model.title={text}"):
            assert parsed(f"model.title={text}") == [text]


def test_every_option_of_a_path_takes_any_text():
    assert {*schema.PATHS, "output", "train.output"} <= texts.SWEPT | texts.SINGLE


def test_a_comma_separates_values_that_can_be_swept_and_are_no_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parsed("dataset.path=a b,José") == ["a b", "José"]
    assert parsed("results_dir=a b,José") == ["a b,José"]
    (tmp_path / "a b,José").mkdir()
    assert parsed("dataset.path=a b,José") == ["a b,José"]


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("model.path=null", [None]),
        ("dataset.path='a,b'", ["a,b"]),
        ("dataset.path=\"a b\",'c,d'", ["a b", "c,d"]),
        ("model.path=a,null", ["a", None]),
        ("dataset.path='a,b',c d,it's", ["a,b", "c d", "it's"]),
        ("cache_dir=${oc.env:HOME}/x", ["${oc.env:HOME}/x"]),
        ("results_dir=a", ["a"]),
    ],
)
def test_what_hydra_alone_understands_stays(word, values):
    assert parsed(word) == values


@pytest.mark.parametrize("text", ["null", "a,b", "'x'", "glob(*)", "a b", "José", "2024", "it's, not"])
def test_what_is_printed_is_read_back(text):
    assert parsed(texts.written("dataset.path", text)) == [text]


@pytest.mark.parametrize("word", ["method.keep=16", "depths=[0,5]", "model=lateon,lateon_reg", "method=glob(*)", "x"])
def test_other_options_are_left_alone(word):
    assert texts.quoted(word) == word


def test_a_path_may_hold_a_word_that_names_code_elsewhere():
    refuse_code([texts.quoted("dataset.path=/data/_args_/x")])
    for word in ("method._target_=os.mkdir", "+model.path._args_=x", "dataset.path={_target_:x}"):
        if word.startswith("dataset"):
            refuse_code([texts.quoted(word)])  # a text in quotes
        with pytest.raises(HarnessError, match="cannot name code to run"):
            refuse_code([word])


def test_a_name_is_no_number(tmp_path):
    words = ["model=local", f"model.path={tmp_path}", "dataset=local", f"dataset.path={tmp_path}"]
    found = compose.composed([texts.quoted(word) for word in [*words, "dataset.name=2024", "model.name=1e5"]])
    assert (found.dataset.name, found.model.name) == ("2024", "1e5")


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        *(("José", "Jose-24c2ab65"), ("Josè", "Jose-ec305d6f"), ("Jose", "Jose"), ("日本 3", "3-39b48740")),
        *(("a b", "a-b"), ("x.y", "x.y"), ("日本", "dataset-cf2abf0c"), ("中国", "dataset-f0e95216")),
    ],
)
def test_a_folder_gives_a_name_that_can_be_part_of_a_file(folder, name):
    assert compose.local_name("dataset", f"/data/{folder}") == name


@pytest.mark.parametrize(
    ("head", "name"),
    [("x/e 1.safetensors", "e-1"), ("runs/two/head.safetensors", "two"), ("流れ.safetensors", "head-9f6e121f")],
)
def test_a_head_gives_a_name_that_can_be_part_of_a_file(head, name):
    assert names.model_name({"name": "tiny", "head": head}) == f"tiny+head={name}"


def test_home_folders_and_files_of_that_name(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.chdir(tmp_path)
    assert str(user_path("~/x")) == "/home/me/x" and str(user_path("~no-such-user/x")) == "~no-such-user/x"
    assert str(user_path("a~")) == "a~"
    (tmp_path / "~").mkdir()
    assert str(user_path("~")) == "~"
