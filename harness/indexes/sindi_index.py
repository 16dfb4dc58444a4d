"""An inverted index of sparse codes by VSAG, inner product: SINDI (Li et al., arXiv 2509.08395).

    doc_prune_ratio     of each document the smallest weights are left out, as many as make up this share of their sum
    query_prune_ratio   of each query this share of its numbers is left out, the smallest first

Without pruning it finds exactly the documents whose score is above 0. Both ways of pruning compare signed weights, so
negative weights are refused with them.

pyvsag returns as many places as were asked for, and leaves those that it does not fill uninitialized. Therefore each
index has as many fillers as documents: entries with one number, at a place that no document uses, and a score that is
above 0 and below that of any document. They take whatever places are left.
"""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from harness.indexes.index import SPARSE, Codes, Index
from harness.ranking.ranks import Ranking
from harness.system.errors import HarnessError
from harness.system.files import write_text

PACKAGE = "pyvsag"
FILE, PARAMETERS = "index.vsag", "index.json"
_LARGEST_RATIO = 0.9
_FILLER = np.float32(1e-20)


class SindiIndex(Index):
    """An index of VSAG, by the options of its entry."""

    takes = SPARSE

    def __init__(self, name: str, doc_prune_ratio: float, query_prune_ratio: float) -> None:
        self.name = name
        self.options = {"doc_prune_ratio": doc_prune_ratio, "query_prune_ratio": query_prune_ratio}
        for option, ratio in self.options.items():
            self.expect(0 <= ratio <= _LARGEST_RATIO, option, f"0 (nothing is left out) to {_LARGEST_RATIO}")
        self.built_by = {"name": name, "doc_prune_ratio": doc_prune_ratio}
        try:
            self.engine = f"{PACKAGE} {version(PACKAGE)}"
        except PackageNotFoundError as error:
            raise HarnessError(
                f"index={name} needs the package {PACKAGE} (Linux, Python 3.10 to 3.12), which is not installed: run "
                f"`make databases`, or `pip install {PACKAGE}`."
            ) from error

    def build(self, codes: Codes, folder: Path) -> dict[str, Any]:
        """Join all codes, add the fillers, and write the file."""
        parts = [*codes.documents()]
        documents = len(codes.rows)
        ends = np.concatenate([[0], np.cumsum(np.concatenate([np.diff(part.ends) for part in parts]))])
        numbers = int(ends[-1])
        if numbers + documents >= 1 << 32:
            raise HarnessError(
                f"index={self.name} keeps fewer than 2^32 numbers, and the {documents} documents have {numbers}: lower "
                "method.keep, or search without an index."
            )
        weights = np.concatenate([*(part.weights for part in parts), np.full(documents, _FILLER)])
        self._refuse_negative("doc_prune_ratio", weights)
        anchors = np.concatenate([*(part.anchors for part in parts), np.full(documents, codes.size)])
        ends = np.concatenate([ends, numbers + 1 + np.arange(documents)])
        parameters = {
            "dtype": "sparse",
            "metric_type": "ip",
            "dim": int(np.diff(ends).max()),  # the most numbers of a code
            "index_param": {"term_id_limit": codes.size + 1, "doc_prune_ratio": self.options["doc_prune_ratio"]},
        }
        index = _vsag().Index("sindi", json.dumps(parameters))
        index.build(
            index_pointers=ends.astype(np.uint32),
            indices=anchors.astype(np.uint32),
            values=weights,
            ids=np.arange(2 * documents),
        )
        index.save(str(folder / FILE))
        if not (folder / FILE).exists():  # which pyvsag does not say
            raise OSError(None, f"{PACKAGE} wrote no file")
        write_text(folder / PARAMETERS, json.dumps({"documents": documents, "vsag": parameters}))
        return {"kept_per_document": numbers / max(1, documents)}

    def open(self, folder: Path) -> Any:
        """The index, with the number of its documents and of the place of its fillers."""
        content = json.loads((folder / PARAMETERS).read_text(encoding="utf-8"))
        index = _vsag().Index("sindi", json.dumps(content["vsag"]))
        index.load(str(folder / FILE))
        return index, content["documents"], content["vsag"]["index_param"]["term_id_limit"] - 1

    def search(self, opened: Any, queries: Any, k: int, threads: int) -> Ranking:
        """The k best codes of each query with a score above 0, ties by row; one thread searches.

        Raises
        ------
        HarnessError
            If there are negative weights, and pruning leaves out the smallest; or if pyvsag left places unfilled.
        """
        index, documents, place = opened
        self._refuse_negative("query_prune_ratio", queries.weights)
        k, ratio, counts = min(k, documents), self.options["query_prune_ratio"], np.diff(queries.ends)
        rows, scores = np.full((len(queries), k), -1), np.full((len(queries), k), -np.inf, np.float32)
        asked = np.flatnonzero((counts + 1) * (1 - ratio) > 1.001)  # of fewer numbers nothing is left
        ends, anchors, weights = [0], [np.empty(0, np.uint32)], [np.empty(0, np.float32)]
        for query in asked:
            own = slice(queries.ends[query], queries.ends[query + 1])
            largest = np.float32(2) * np.abs(queries.weights[own]).max(initial=1)  # never left out
            anchors += [queries.anchors[own].astype(np.uint32), np.array([place], np.uint32)]
            weights += [queries.weights[own], np.array([largest])]
            ends.append(ends[-1] + counts[query] + 1)
        if len(asked):
            found, distances = index.knn_search(
                index_pointers=np.array(ends, np.uint32),
                indices=np.concatenate(anchors),
                values=np.concatenate(weights),
                k=k,
                parameters=json.dumps({"sindi": {"query_prune_ratio": ratio}}),
            )
            filled = np.sort(found, axis=1)
            if filled.min() < 0 or filled.max() >= 2 * documents or (np.diff(filled, axis=1) == 0).any():
                raise HarnessError(
                    f"{self.engine} did not fill all places of its result, expected a document or a filler in each: "
                    f"leave index={self.name} out, and report it."
                )
            rows[asked] = np.where(found < documents, found, -1)
            scores[asked] = np.where(found < documents, 1 - distances, -np.inf)
        order = np.lexsort((rows, -scores), axis=1)
        return Ranking(np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1))

    def _refuse_negative(self, option: str, weights: np.ndarray) -> None:
        if self.options[option] and weights.min(initial=0) < 0:
            self.expect(False, option, "0, because pruning would leave out the negative weights of these codes")


def _vsag() -> Any:
    """The package, without its log lines; it loads an OpenMP of its own, so only when needed."""
    import pyvsag

    pyvsag.set_logger_off()
    return pyvsag
