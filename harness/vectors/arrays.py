"""Token vectors that somebody else made, one side of a data set: arrays in memory, or files that are mapped.

tokens.npy      float16 or float32 [tokens, dim]: the tokens of the first text, of the second, and so on
lengths.npy     whole numbers [texts]: tokens of each text
ids.json        a list of ids [texts], in any order
expansion.npy   of queries, may be left out: bool [tokens], true for tokens with which the model expands a query
special.npy     of queries, may be left out: bool [tokens], true for tokens that are no words, such as [CLS]
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from harness.system import strict_json
from harness.system.errors import HarnessError
from harness.system.files import digest, known_digest, read_bytes

TOKENS, LENGTHS, IDS = "tokens.npy", "lengths.npy", "ids.json"
EXPANSION, SPECIAL = "expansion", "special"
_DTYPES = (np.dtype("<f2"), np.dtype("<f4"))


@dataclass(frozen=True, eq=False)
class TokenArrays:
    """Ragged token vectors with ids; all but the numbers themselves is checked when it is made.

    Attributes
    ----------
    label : how messages call it: a folder
    ids : of the texts, each once
    tokens : float16 or float32 [tokens, dim]; mapped into memory, if it was opened
    lengths : whole numbers [texts]
    masks : ``expansion`` and ``special``, as far as they are known: bool [tokens]
    files : those that it was opened from
    """

    label: str
    ids: Sequence[str]
    tokens: np.ndarray
    lengths: np.ndarray
    masks: Mapping[str, np.ndarray] = field(default_factory=dict)
    files: Sequence[Path] = ()

    @classmethod
    def open(cls, folder: Path) -> TokenArrays:
        """The arrays of a folder, mapped.

        Raises
        ------
        HarnessError
            If a file is missing, or is not what the head of this module says.
        """
        masks = {name: folder / f"{name}.npy" for name in (EXPANSION, SPECIAL) if (folder / f"{name}.npy").exists()}
        tokens, lengths, ids = _mapped(folder / TOKENS), np.array(_mapped(folder / LENGTHS)), _ids(folder / IDS)
        files = [folder / TOKENS, folder / LENGTHS, folder / IDS, *masks.values()]
        mapped = {name: _mapped(path) for name, path in masks.items()}
        return cls(str(folder), ids, tokens, lengths, mapped, files)

    def __post_init__(self) -> None:
        tokens, lengths, count = self.tokens, self.lengths, len(self.tokens)
        self._expect(
            tokens.dtype in _DTYPES and tokens.ndim == 2 and tokens.size > 0,
            f"{TOKENS} is {_shown(tokens)}, expected float16 or float32 [tokens, dim]: write it so with numpy.save.",
        )
        self._expect(
            lengths.ndim == 1 and lengths.dtype.kind in "iu" and not (lengths < 0).any(),
            f"{LENGTHS} is {_shown(lengths)}, expected whole numbers from 0 up, one for each text.",
        )
        self._expect(
            len(self.ids) == len(lengths),
            f"{IDS} has {len(self.ids)} ids and {LENGTHS} {len(lengths)} numbers, expected one of both for each text.",
        )
        self._expect(
            int(lengths.sum(dtype=np.int64)) == count,
            f"{LENGTHS} adds up to {lengths.sum(dtype=np.int64)} tokens and {TOKENS} has {count}: they belong to "
            "different texts, or one is cut off.",
        )
        if len(self.row_of) < len(self.ids):
            name, times = Counter(self.ids).most_common(1)[0]
            self._expect(False, f"{IDS} has the id '{name}' {times} times, expected each once.")
        for name, mask in self.masks.items():
            right = mask.dtype == bool and mask.shape == (count,)
            self._expect(right, f"{name}.npy is {_shown(mask)}, expected bool [{count}], one for each token.")

    def _expect(self, right: bool, sentence: str) -> None:
        if not right:
            raise HarnessError(f"{self.label}/{sentence}")

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Id -> number of the text."""
        return {name: row for row, name in enumerate(self.ids)}

    @cached_property
    def offsets(self) -> Int[np.ndarray, " texts_1"]:
        """The tokens of text i are ``tokens[offsets[i]:offsets[i + 1]]``."""
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])

    @cached_property
    def sha256(self) -> str:
        """The hash of everything in it; files are read in pieces."""
        if self.files:
            return digest({path.name: known_digest(path) for path in self.files})
        arrays = {"tokens": self.tokens, "lengths": self.lengths, **self.masks}
        hashes = {name: hashlib.sha256(np.ascontiguousarray(array).data).hexdigest() for name, array in arrays.items()}
        return digest([hashes, str(self.tokens.dtype), list(self.ids)])

    @property
    def dim(self) -> int:
        """The dimension of a token vector."""
        return int(self.tokens.shape[1])

    def text(self, name: str) -> Float[np.ndarray, "tokens dim"]:
        """The token vectors of one text, float32, copied.

        Raises
        ------
        HarnessError
            If a number is NaN, infinite or too large for float16, as which the harness keeps token vectors.
        """
        found = self.tokens[self._place(name)].astype(np.float32)
        if not (np.abs(found) <= np.finfo(np.float16).max).all():
            raise HarnessError(
                f"{self.label}/{TOKENS} has NaN, infinite numbers or numbers above 65,504 for '{name}', expected "
                "finite token vectors of about unit length: encode that text again."
            )
        return found

    def mask(self, name: str, of: str) -> np.ndarray:
        """A mask of one text's tokens; all false where it is not known."""
        place = self._place(name)
        return np.array(self.masks[of][place]) if of in self.masks else np.zeros(place.stop - place.start, dtype=bool)

    def _place(self, name: str) -> slice:
        row = self.row_of[name]
        return slice(int(self.offsets[row]), int(self.offsets[row + 1]))


def _mapped(path: Path) -> np.ndarray:
    try:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise HarnessError(
            f"{path} does not exist, expected {TOKENS}, {LENGTHS} and {IDS} in {path.parent}: see docs/inputs.md."
        ) from error
    except (OSError, ValueError, EOFError) as error:
        raise HarnessError(f"{path} cannot be read ({error}), expected an array of numpy.save.") from error
    if not isinstance(array, np.ndarray):
        raise HarnessError(f"{path} is an archive, expected one array of numpy.save: write it again.")
    return array


def _ids(path: Path) -> list[str]:
    try:
        found = strict_json.loads(read_bytes(path).decode("utf-8"))
    except FileNotFoundError as error:
        raise HarnessError(f"{path} does not exist, expected a list of ids in it: see docs/inputs.md.") from error
    except (ValueError, RecursionError) as error:
        raise HarnessError(f"{path} cannot be read ({error}), expected a list of ids as JSON.") from error
    kinds = {type(one) for one in found} if isinstance(found, list) else {type(found)}
    if not isinstance(found, list) or not kinds <= {str, int}:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise HarnessError(f"{path} has {names}, expected a list of ids, each a text or a whole number.")
    return [str(one) for one in found]


def _shown(array: np.ndarray) -> str:
    return f"{array.dtype} {list(array.shape)}"
