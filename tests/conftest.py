"""Which tests are long. Fixtures: tiny stores, data set and ColBERT (of LateOn's architecture), real data."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import log_handlers
import numpy as np
import pytest
import torch
from tiny import WORDS, unit, write_dataset

import harness
from harness.cli import main
from harness.config import shards
from harness.methods import smve_codes
from harness.ranking import products
from harness.ranking.resources import Resources
from harness.vectors import centering, encode, given, pooling
from harness.vectors.build import build_store
from harness.vectors.store import TokenStore

pytest_plugins = ["passed"]
LONG = ("slow", "faults", "fuzz", "notebooks", "training", "launchers", "browser", "pipeline")
"""Markers of what the short run leaves out. A case counts under the first that it has."""
FOLDERS = {"browser": "browser", "pipeline": "pipeline", "real": "pipeline", "robustness": "pipeline"}
"""The marker of what lies in a folder, unless the module or the case has one of its own."""
COMMANDS = {"slow": "make test-slow", "faults": "make faults", "fuzz": "make fuzz"}
HARNESS = Path(harness.__file__).parent
_left_out: Counter[str] = Counter()
_warned: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    """Without a path and without `-m`, pytest runs the short tests alone. Without a GPU, its kernels run on the CPU."""
    if not torch.cuda.is_available():
        os.environ["TRITON_INTERPRET"] = "1"  # read where a kernel is defined
    if not config.option.markexpr and config.args_source is config.ArgsSource.TESTPATHS:
        config.option.markexpr = f"not ({' or '.join(LONG)})"


def _marker(item: pytest.Item) -> str | None:
    return next((name for name in LONG if item.get_closest_marker(name)), None)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark by folder, before anything is selected by marker; long tests first, so that no process ends alone."""
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        if folder in FOLDERS and not _marker(item):
            item.add_marker(FOLDERS[folder])
    items.sort(key=lambda item: (*LONG, None).index(_marker(item)))


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Count what is left out, by marker."""
    _left_out.update(name for item in items if (name := _marker(item)))


def pytest_warning_recorded(warning_message: warnings.WarningMessage) -> None:
    """Note a warning of the harness itself; those of other packages are listed in pyproject.toml."""
    if Path(warning_message.filename).is_relative_to(HARNESS):
        place = f"{warning_message.filename}:{warning_message.lineno}"
        _warned.append(f"{place}: {warning_message.category.__name__}: {warning_message.message}")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail where the harness warned: its warnings are for users, and a test that wants one catches it."""
    if _warned:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if hasattr(session.config, "workeroutput"):  # a process of pytest-xdist: the one that reports needs its counts
        session.config.workeroutput["left_out"] = dict(_left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take the counts of a process of pytest-xdist: each of them has collected all tests."""
    _left_out.update({name: count - _left_out[name] for name, count in node.workeroutput["left_out"].items()})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was left out, and which commands run it."""
    for line in sorted(set(_warned)):
        terminalreporter.write_line(f"Warning of the harness: {line}")
    by_command: dict[str, list[str]] = {}
    for name in LONG[::-1]:
        if _left_out[name]:
            by_command.setdefault(COMMANDS.get(name, "make test-all"), []).append(f"{_left_out[name]} {name}")
    if config.option.markexpr and by_command:
        parts = [f"{', '.join(counts)} (`{command}`)" for command, counts in by_command.items()]
        terminalreporter.write_line(f"Left out: {'; '.join(parts)}.")


@pytest.fixture(autouse=True)
def _no_stale_log_handlers() -> Iterator[None]:
    """Hydra's handlers write to the stream that pytest had in place; take them away again."""
    yield
    log_handlers.forget()


@pytest.fixture
def rng() -> np.random.Generator:
    """Seeded randomness."""
    return np.random.default_rng(7)


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[..., TokenStore]:
    """A store of given token matrices, in a temporary folder."""
    made = 0

    def make(texts: Sequence[np.ndarray], chunk: int = 3) -> TokenStore:
        nonlocal made
        made += 1
        ids = [f"t{i}" for i in range(len(texts))]
        return build_store(tmp_path / f"store{made}", ids, lambda a, b: texts[a:b], {"made": made}, chunk)

    return make


@pytest.fixture
def ragged(rng: np.random.Generator) -> list[np.ndarray]:
    """Token matrices [tokens, 8] of 1 to 40 tokens; the third has one, the fifth none, the sixth is the first again."""
    texts = [unit(rng, int(n), 8, cone=0.4) for n in rng.integers(1, 41, 23)]
    texts[2], texts[4], texts[5] = texts[2][:1], texts[4][:0], texts[0].copy()
    return [text.astype(np.float16).astype(np.float32) for text in texts]


@pytest.fixture
def query_texts(rng: np.random.Generator) -> list[np.ndarray]:
    """Seven queries [tokens, 8] of 1 to 9 tokens."""
    return [unit(rng, int(n), 8, cone=0.4).astype(np.float16).astype(np.float32) for n in (4, 9, 1, 5, 5, 2, 9)]


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 16 documents, so that the tiny data set has four; tiles of searches that divide them."""
    for module in (shards, encode, given, pooling, centering):
        monkeypatch.setattr(module, "CHUNK", 16)
    monkeypatch.setattr(products, "TILE", 8)
    monkeypatch.setattr(smve_codes, "_TILE", 16)


@pytest.fixture
def resources(tmp_path: Path) -> Callable[..., Resources]:
    """CPU resources with a given block size in bytes."""

    def make(block_bytes: int = 1 << 26) -> Resources:
        return Resources(torch.device("cpu"), block_bytes, tmp_path / "cache")

    return make


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 short documents, 8 queries (one is itself a document), graded judgements, 5 training queries."""
    rng = np.random.default_rng(3)
    docs = {f"d{i}": " ".join(rng.choice(WORDS, int(rng.integers(4, 20)))) for i in range(60)}
    queries = {f"q{i}": " ".join(docs[f"d{i}"].split()[:4]) for i in range(7)}
    queries["d9"] = docs["d9"]
    qrels = {query: {f"d{i}": 2, f"d{i + 20}": 1, f"d{i + 30}": 0} for i, query in enumerate(queries)}
    train = {f"train{i}": " ".join(rng.choice(WORDS, 5)) for i in range(5)}
    return write_dataset(tmp_path_factory.mktemp("data") / "tiny", docs, queries, qrels, train)


@pytest.fixture(scope="session")
def lateon_like(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ColBERT of LateOn's architecture, tiny, with random weights, as PyLate saves it.

    ModernBERT; Dense 32-64 (residual), 64-32 (residual), 32-16: LateOn's 768-1536-768-128, made small.
    """
    from pylate.models import ColBERT, Dense
    from sentence_transformers.models import Transformer
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import ModernBertConfig, ModernBertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("models")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: i for i, word in enumerate([*special, ".", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {
        "pad_token": "[PAD]",
        "unk_token": "[UNK]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder / "backbone")
    torch.manual_seed(11)
    ModernBertModel(
        ModernBertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=128,
            pad_token_id=0,
            cls_token_id=2,
            sep_token_id=3,
            bos_token_id=2,
            eos_token_id=3,
            global_attn_every_n_layers=2,
            local_attention=16,
        )
    ).save_pretrained(folder / "backbone")
    layers = [
        Dense(32, 64, bias=False, use_residual=True),
        Dense(64, 32, bias=False, use_residual=True),
        Dense(32, 16, bias=False),
    ]
    model = ColBERT(modules=[Transformer(str(folder / "backbone")), *layers], device="cpu", document_length=48)
    model.save(str(folder / "lateon-like"), create_model_card=False)
    return folder / "lateon-like"


@pytest.fixture(scope="session")
def swept(
    lateon_like: Path, tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[str], Path, Path]:
    """The tiny model measured by every method under every centering: words of the command, results, cache.

    Shared by all tests of a session: one that changes a record puts it back.
    """
    results, cache = tmp_path_factory.mktemp("results"), tmp_path_factory.mktemp("cache")
    words = [f"model.path={lateon_like}", f"dataset.path={tiny_dataset}", f"results_dir={results}"]
    words += [f"cache_dir={cache}", "depths=[0,5,20,100]", "progress=false"]
    cells = ["center=none,corpus,own", "method=exact,muvera,plaid,smve"]
    assert main(["run", "-m", *words, *cells, "save_runs=true"]) == 0
    return words, results, cache


def _real(variable: str, what: str) -> Path:
    """A folder named by the environment; tests that need it are skipped elsewhere, unless they must run."""
    if variable not in os.environ:
        if os.environ.get("HARNESS_REAL_DATA") == "required":
            pytest.fail(f"{variable} is not set, and HARNESS_REAL_DATA=required: the tests on {what} must run")
        pytest.skip(f"{variable} is not set: no {what}")
    return Path(os.environ[variable])


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real data sets."""
    return _real("HARNESS_DATA", "real data sets")


@pytest.fixture(scope="session")
def real_model() -> Path:
    """A real, trained ColBERT."""
    return _real("HARNESS_MODELS", "local models") / "answerai-colbert-small-v1"
