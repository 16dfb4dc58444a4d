"""README and docs: every command composes, links and paths exist, generated parts are up to date, the example runs."""

from __future__ import annotations

import importlib
import re
import runpy
import shlex
from pathlib import Path

import example
import numpy as np
import pytest
from test_config import ROOMS

from harness.cli import COMMANDS
from harness.config import compose, entries
from harness.config.untrusted import LAUNCHERS
from harness.methods import registry

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "results").glob("*.md")])
PAGES += [*sorted((ROOT / "results").glob("*/README.md")), ROOT / "harness" / "models" / "shipped" / "README.md"]
PLACEHOLDER = re.compile(r"[A-Z]+(\.json)?|\.\.\.|.*\|.*")
"""A word, or the value of one, that stands for something else: ``RECORD.json``, ``head=HEAD``, ``...``, ``a|b``."""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def commands_of(path: Path) -> list[str]:
    """What a page says after `python -m harness`, in lines of code and between backticks; there also as `run x=y`."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    found = re.findall(r"^ {4,}(?:run: )?python -m harness (.*)$", text, re.M)
    found += re.findall(r"`python -m harness ([^`]*)`", text.replace("\n", " "))
    found += re.findall(rf"`((?:{'|'.join(COMMANDS)}) [^`]*=[^`]*)`", text.replace("\n", " "))
    return [re.sub(r"\s+#.*", "", line).strip() for line in found]


LINES = sorted({(name_of(path), line) for path in PAGES for line in commands_of(path)})


@pytest.fixture
def own_method(tmp_path, monkeypatch):
    """The options of the example, which the registry finds."""
    yield example.placed(tmp_path, monkeypatch)
    example.forgotten()


def composed(words: list[str]) -> None:
    """Compose the words of a run or sweep; of a launcher only the name is checked: its options need its plugin."""
    flags = [word for word in words if word in ("-m", "--multirun", "--help")]
    launcher = [word for word in words if word.startswith(("hydra/launcher=", "hydra.launcher."))]
    for word in launcher:
        assert word.startswith("hydra.") or word.split("=")[1] in LAUNCHERS
    rest = compose.expand([word for word in words if word not in [*flags, *launcher]])
    swept = [one.input_line for one in compose.parse(rest) if one.is_sweep_override()]
    assert flags or not swept, f"{swept} needs -m"
    compose.composed(rest)


@pytest.mark.usefixtures("own_method")
@pytest.mark.parametrize(("page", "line"), LINES)
def test_a_command_composes(page, line):
    command, *words = shlex.split(line)
    words = [word for word in words if not PLACEHOLDER.fullmatch(word.split("=")[-1])]
    if PLACEHOLDER.fullmatch(command):
        return
    if command in ("--help", "--version"):
        assert not words
        return
    assert command in COMMANDS
    if command == "ls":
        assert {word.removesuffix("s") for word in words} <= {group.removesuffix("s") for group in entries.LISTED}
        return
    if command == "cache":
        assert words[0] in ("ls", "verify", "prune")
        words = words[1:]
    if command == "geometry" and words[:1] == ["compare"]:
        assert {word[:2] for word in words[1:3]} == {"a=", "b="}
        words = words[3:]
    if command == "score":
        words = [word for word in words if "=" in word and not word.startswith("name=")]
    if command == "reproduce":
        records = [word for word in words if "=" not in word]
        assert all((ROOT / record).exists() for record in records)
        words = [word for word in words if word not in records]
    composed(words)


def test_commands_are_found():
    assert len(LINES) > 50
    assert {line.split()[0] for _, line in LINES} >= COMMANDS.keys()


def anchors(path: Path) -> set[str]:
    """The anchors that headings of a page have on GitHub."""
    titles = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            target, _, anchor = link.partition("#")
            linked = path.parent / target if target else path
            assert linked.exists(), link
            assert not anchor or anchor in anchors(linked), link


def test_the_sample_of_tests_is_what_is_printed():
    printed = (ROOT / "results" / "tables" / "beir3_tests.md").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    begins, ends = page.index("Lines of what `significance=true`"), page.index("## Measures")
    sample = [line.strip() for line in page[begins:ends].splitlines() if line.startswith("    ")]
    lines = [line.removesuffix("...").strip() for line in sample]
    assert len(lines) >= 8 and all(f"\n{line}" in printed for line in lines), lines


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_paths_that_are_named_exist(path):
    """`harness/...` and the like; NAME and <...> are placeholders, ... and * stand for several."""
    text = path.read_text(encoding="utf-8")
    if path.name == "CHANGELOG.md":  # older versions had other paths
        text = text[: text.index("## [0.1.0]")]
    for named in re.findall(r"`((?:harness|conf|tests|studies|examples|docs|notebooks)/[^`\s{]*)`", text):
        if "NAME" not in named and "<" not in named:
            assert list(ROOT.glob(named.rstrip("/"))), named


def test_the_readme_is_short():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150 and len(text.encode()) <= 10_000
    assert all(command in re.findall(r"^\| `(\w+)` \|", text, re.M) for command in COMMANDS)


@pytest.mark.parametrize("path", sorted((ROOT / "docs").glob("*.md")), ids=name_of)
def test_a_page_is_short_and_linked_from_the_readme(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 250
    assert f"(docs/{path.name})" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def studies(monkeypatch):
    """The scripts of studies/ can be imported."""
    monkeypatch.syspath_prepend(str(ROOT / "studies"))


def test_the_answer_comes_from_the_records(studies):
    offline8 = importlib.import_module("offline8")
    block = re.search(r"<!-- begin answer -->\n(.*?)<!-- end answer -->", (ROOT / "README.md").read_text(), re.S)[1]
    assert block.strip() == offline8.answer().strip(), "records have changed: run `make results`"


def test_options_are_those_of_conf(studies):
    make_options = importlib.import_module("make_options")
    again = "conf/ has changed: run `python studies/make_options.py`"
    assert make_options.page() == make_options.PAGE.read_text(encoding="utf-8"), again


def test_rooms_are_those_that_are_checked():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text[text.index("## Rooms") : text.index("## Principles")]
    assert re.findall(r"^\| `(\w+)` \|", section, re.M) == list(ROOMS)
    there = {
        path.stem for path in (ROOT / "harness").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert there - {"__init__"} == set(ROOMS)


def test_the_example_is_the_one_that_is_shown():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert f"```python\n{example.PATH.read_text(encoding='utf-8')}```" in text


def test_the_example_of_own_vectors_runs(capsys):
    runpy.run_path(str(ROOT / "examples" / "own_vectors.py"))
    printed = capsys.readouterr().out
    assert printed.count("exact  none") == 2 and "Comparison(delta=" in printed and "(20, 200)" in printed


def test_the_example_finds_what_its_definition_says(own_method, make_store, ragged, query_texts, resources):
    """Against each text's mean of projected token vectors, one text after the other; documents in several blocks."""
    docs, queries, k = make_store(ragged), make_store(query_texts), 5
    found = registry.make(own_method).search(docs, queries, k, resources(2000))
    assert registry.title("own_method+width=8") == "mean pooling width=8"
    projection = np.random.default_rng(own_method["seed"]).standard_normal((8, own_method["width"]), dtype=np.float32)

    def pooled(tokens: np.ndarray) -> np.ndarray:
        return np.mean([token.astype(np.float64) @ projection for token in tokens], axis=0)

    for query, tokens in enumerate(query_texts):
        scores = [pooled(tokens) @ pooled(text) if len(text) else -np.inf for text in ragged]
        expected = sorted(range(len(ragged)), key=lambda row: (-round(scores[row], 4), row))[:k]
        assert found.ranking.rows[query].tolist() == expected
        np.testing.assert_allclose(found.ranking.scores[query], np.array(scores)[expected], rtol=1e-4, atol=1e-4)
    assert found.seconds.keys() == {"encode_queries", "encode_documents", "search"}
