"""What a checkpoint's folder says about the model, read without loading it: is it whole, do its parts fit, its limits.

Libraries fill gaps without a word: a folder without a tokenizer gets a stub that knows no word, a matrix of embeddings
grows or shrinks to the vocabulary, and texts beyond the last position end in an error deep inside.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer

from harness.models.modules import refuse_misfits, refuse_settings
from harness.models.untrusted import read_json
from harness.system.errors import HarnessError

TOKENIZERS = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
)
"""Files of which a tokenizer needs at least one."""
_UNUSED = 1024
"""Rows that an embedding matrix may have beyond its vocabulary: padding; mDeBERTa has 899."""
_EMBEDDINGS = ("word_embeddings.weight", "tok_embeddings.weight", "embed_tokens.weight", "wte.weight", "shared.weight")
_CHARACTERS = 2000  # of a text whose tokens are looked up
_OFFSET = ("roberta", "camembert", "mpnet", "xmod", "longformer")  # their positions begin after that of padding
_RELATIVE = ("t5", "deberta", "xlnet")  # no position is beyond reach
LENGTHS = {"query": 32, "document": 180}
"""PyLate's lengths, for a checkpoint that has none."""


@dataclass(frozen=True)
class Inspection:
    """A checkpoint's folder, inspected.

    Attributes
    ----------
    transformer : folder of the transformer: the checkpoint's own, or one inside it
    modules : the entries of modules.json; none for a plain transformer
    config : the transformer's config.json
    settings : config_sentence_transformers.json, where PyLate keeps prefixes and lengths
    """

    transformer: Path
    modules: list[dict[str, Any]]
    config: dict[str, Any]
    settings: dict[str, Any]

    @property
    def is_stanford(self) -> bool:
        """Whether it is a checkpoint of Stanford's ColBERT, with the projection among the transformer's weights."""
        return "HF_ColBERT" in (self.config.get("architectures") or ())

    @property
    def has_projection(self) -> bool:
        """Whether it has a projection of its own."""
        return self.is_stanford or any(str(module.get("type")).endswith("Dense") for module in self.modules)

    @cached_property
    def vocabulary(self) -> Tokenizer | None:
        """Its vocabulary; None if it is in another file than tokenizer.json."""
        path = self.transformer / TOKENIZERS[0]
        if not path.exists():
            return None
        try:
            return Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises Exception itself
            raise HarnessError(f"cannot read {path} ({error}): copy the whole folder of the model again.") from error

    @property
    def prefixes(self) -> list[str]:
        """The words before queries and documents, without empty ones."""
        default = {"query": "[unused0]", "document": "[unused1]"} if self.is_stanford else {}
        found = [self.settings.get(f"{side}_prefix") for side in ("query", "document")]
        names = [default.get("query", "[Q] "), default.get("document", "[D] ")]
        return [name if one is None else one for one, name in zip(found, names, strict=True) if one != ""]

    @property
    def positions(self) -> int | None:
        """The most tokens that a text may have; None: no limit."""
        kind = str(self.config.get("model_type", ""))
        found = self.config.get("max_position_embeddings")
        if any(kind.startswith(one) for one in _RELATIVE) or not isinstance(found, int) or found < 1:
            return None
        padding = self.config.get("pad_token_id", 1)
        return found - (padding + 1 if any(one in kind for one in _OFFSET) else 0)

    def unknown_share(self, texts: Sequence[str]) -> float:
        """The share of the tokens of some texts that the vocabulary does not know; 0 where that cannot be known."""
        vocabulary = self.vocabulary
        unknown = getattr(vocabulary.model, "unk_token", None) if vocabulary is not None else None
        if vocabulary is None or unknown is None:
            return 0.0
        found = vocabulary.encode_batch([text[:_CHARACTERS] for text in texts], add_special_tokens=False)
        tokens = [token for one in found for token in one.tokens]
        return tokens.count(unknown) / max(1, len(tokens))

    def length(self, side: str, configured: int | None) -> int:
        """Tokens per text of a side, ``query`` or ``document``: as configured, else the checkpoint's own."""
        return configured or self.settings.get(f"{side}_length") or LENGTHS[side]


def inspect(folder: Path) -> Inspection:
    """Inspect a folder that was checked by `harness.models.untrusted.refuse_code`.

    Raises
    ------
    HarnessError
        If a file is missing, or the vocabulary does not fit the embedding matrix.
    """
    modules = read_json(folder / "modules.json", [])
    own = next((str(module.get("path")) for module in modules if str(module.get("type")).endswith("Transformer")), "")
    transformer = folder / own
    _refuse_gap(folder, transformer, ["config.json"], "the transformer's configuration")
    _refuse_gap(folder, transformer, TOKENIZERS, "a tokenizer")
    _refuse_gap(folder, transformer, ["*.safetensors", "*.bin"], "the transformer's weights")
    for module in modules:
        if str(module.get("type")).endswith("Dense"):
            weights = ["model.safetensors", "pytorch_model.bin"]
            _refuse_gap(folder, folder / str(module.get("path")), weights, "the projection's weights")
    settings = read_json(folder / "config_sentence_transformers.json", {})
    refuse_settings(folder / "config_sentence_transformers.json", settings)
    config = read_json(transformer / "config.json", {})
    refuse_misfits(folder, modules, config.get("hidden_size"))
    found = Inspection(transformer, modules, config, settings)
    _refuse_vocabulary(found)
    return found


def refuse_lengths(found: Inspection, document_length: int | None, query_length: int | None) -> None:
    """Refuse lengths that the model has no positions for.

    Raises
    ------
    HarnessError
        With the model's limit.
    """
    for side, configured in (("document", document_length), ("query", query_length)):
        length = found.length(side, configured)
        if found.positions and length > found.positions:
            whose = "" if configured else " (the checkpoint's own)"
            raise HarnessError(
                f"model.{side}_length={length}{whose}: this model has positions for at most "
                f"{found.positions} tokens: set model.{side}_length to at most {found.positions}."
            )


def _refuse_gap(folder: Path, where: Path, names: list[str] | tuple[str, ...], what: str) -> None:
    if not any(path.is_file() for name in names for path in where.glob(name)):
        raise HarnessError(
            f"the model folder {folder} has no file of {what} ({', '.join(names)}), expected a complete copy of a "
            "checkpoint: copy the whole folder again."
        )


def _refuse_vocabulary(found: Inspection) -> None:
    """Refuse a vocabulary of another model: larger than the embedding matrix, or much smaller."""
    rows, vocabulary = _rows(found), found.vocabulary
    if rows is None:
        return
    if vocabulary is not None:
        ids = sorted(vocabulary.get_vocab(with_added_tokens=True).values())
        size = ids[-1] + 1 if ids else 0
        if twice := [one for one, other in itertools.pairwise(ids) if one == other]:
            raise HarnessError(
                f"{found.transformer / TOKENIZERS[0]} has two tokens with the id {twice[0]}, expected an id for each: "
                "copy the whole folder again."
            )
    elif (path := found.transformer / "vocab.txt").exists():
        size = len(path.read_bytes().splitlines())
    else:
        return
    if not rows - _UNUSED <= size <= rows:
        raise HarnessError(
            f"the tokenizer in {found.transformer} has {size} tokens and the model has embeddings of {rows}, expected "
            f"as many (or up to {_UNUSED} fewer): it belongs to another model; copy the whole folder again."
        )


def _rows(found: Inspection) -> int | None:
    """Rows of the embedding matrix, of its weights or else of its configuration; None: unknown."""
    for path in sorted(found.transformer.glob("*.safetensors")):
        try:
            with safe_open(path, "numpy") as weights:
                names = [name for name in weights.keys() if name.endswith(_EMBEDDINGS)]  # noqa: SIM118 (no mapping)
                if names:
                    return int(weights.get_slice(names[0]).get_shape()[0])
        except (SafetensorError, OSError, ValueError):  # reported when the weights are loaded
            return None
    size = found.config.get("vocab_size")
    return size if isinstance(size, int) else None
