"""What must not be trained on: test queries of data sets, and the documents that are relevant for them.

- A query is a test query's if both have the same words.
- A document equals or largely repeats a relevant one if at least half of its 8-grams of words occur in relevant
  documents (a text of fewer than 8 words is compared as a whole).
"""

from __future__ import annotations

import re

from harness.data.dataset import Dataset

_GRAM = 8


class Excluded:
    """The test queries of data sets, and the documents that are relevant for them.

    Attributes
    ----------
    queries : the words of the test queries (`normal`)
    grams : the 8-grams of the relevant documents (`grams`)
    """

    def __init__(self, tests: list[Dataset]) -> None:
        self.queries = {normal(text) for test in tests for text in test.queries.values()}
        self.grams: set[int] = set()
        for test in tests:
            relevant = {doc for judged in test.qrels.values() for doc, score in judged.items() if score >= 1}
            for doc in relevant & test.docs.keys():
                self.grams |= grams(test.docs[doc])

    def has_query(self, text: str) -> bool:
        """Whether the text is that of a test query."""
        return normal(text) in self.queries

    def has_document(self, text: str) -> bool:
        """Whether at least half of the text's 8-grams occur in relevant documents."""
        found = grams(text)
        return 2 * len(found & self.grams) >= len(found)


def normal(text: str) -> str:
    """The words of a text in lower case, without punctuation."""
    return " ".join(re.findall(r"\w+", text.lower()))


def grams(text: str) -> set[int]:
    """Hashes of the runs of `_GRAM` words in a text; one hash of all words if there are fewer."""
    words = normal(text).split()
    return {hash(tuple(words[i : i + _GRAM])) for i in range(max(1, len(words) - _GRAM + 1))}
