"""Words of options that take a text, such as a path, written so that Hydra reads them as the shell gave them.

Hydra's language gives a meaning to commas, brackets, quotes and numbers, and knows letters of ASCII alone. In quotes,
all of them are letters. So `dataset.path=/data/José's corpus, 2024` is one path, and `dataset.name=2024` is a name.

A comma separates values only where an option can be swept and no file has the whole name. What Hydra alone understands
stays as it is: `null`, a value in quotes, and functions such as `glob(*)`.
"""

from __future__ import annotations

import re

from hydra.core.override_parser.types import Override, Quote, QuotedString

from harness.config import entries
from harness.system.paths import user_path

GROUPS = frozenset(entries.GROUPS)
SWEPT = GROUPS | frozenset(
    "model.path model.head model.name model.hub model.revision method.model dataset.path dataset.name dataset.split "
    "train_data.path train_data.name train_data.split".split()
)
"""Options that take a text, such as a name, or several in a sweep."""
SINGLE = frozenset(
    "model.title data_dir models_dir cache_dir results_dir figures_dir output train.output hydra.run.dir "
    "hydra.sweep.dir".split()
)
"""Options that take one text."""
_PLAIN = re.compile(r"(?!(true|false|null|nan|inf)$)([a-z]|\.{0,2}/)[\w./-]*", re.ASCII | re.IGNORECASE)
_STRING = r"""(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")"""  # a text in quotes
_PART = re.compile(rf"{_STRING}(?=,|$)|[^,]+", re.DOTALL)
_FUNCTION = re.compile(r"(glob|choice|range|interval|sort|shuffle|extend_list)\(.*\)")
_QUOTED = re.compile(rf"(?:{_STRING}|null)(?:,(?:{_STRING}|null))*", re.DOTALL)


def quoted(word: str) -> str:
    """A word with the text of its value in quotes, if its option takes a text."""
    key, sign, value = word.partition("=")
    option = key.lstrip("+")
    if not sign or option not in SWEPT | SINGLE:
        return word
    if option in SWEPT and "," in value and not (_is_hydras(value) or _exists(value)):
        return f"{key}={','.join(map(_quote, _PART.findall(value)))}"
    return f"{key}={_quote(value)}"


def is_text(word: str) -> bool:
    """Whether a word gives an option that takes a text nothing but texts, in quotes or plain, which run no code."""
    key, _, value = word.partition("=")
    is_whole = ",".join(parts := _PART.findall(value)) == value
    return (
        key.lstrip("+") in SWEPT | SINGLE
        and is_whole
        and all(_PLAIN.fullmatch(x) or _QUOTED.fullmatch(x) for x in parts)
    )


def written(option: str, text: str) -> str:
    """The word that gives an option a text, to be printed: in quotes where it would be read as something else."""
    misread = _is_hydras(text) or (option in SWEPT and "," in text)
    return f"{option}={QuotedString(text, Quote.single).with_quotes() if misread else text}"


def values(override: Override) -> list[str | None]:
    """The texts of an override, or of each value of a sweep, without quotes."""
    is_sweep = override.is_sweep_override() and override.is_discrete_sweep()
    found = list(override.sweep_iterator()) if is_sweep else [override.value()]
    return [None if one is None else one.text if isinstance(one, QuotedString) else str(one) for one in found]


def _is_hydras(value: str) -> bool:
    """Whether Hydra alone understands a value: null, texts in quotes, or a function."""
    return bool(_QUOTED.fullmatch(value) or _FUNCTION.fullmatch(value))


def _quote(value: str) -> str:
    if value == "null" or _PLAIN.fullmatch(value) or (_is_hydras(value) and not _exists(value)):
        return value
    return QuotedString(value, Quote.single).with_quotes()


def _exists(value: str) -> bool:
    try:
        return user_path(value).exists()
    except (OSError, ValueError):  # too long, or a zero byte
        return False
