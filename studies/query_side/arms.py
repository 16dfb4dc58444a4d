"""The arms of the study, and how they are measured: studies/query_side/plan.md says why.

    python studies/query_side/arms.py [method=muvera|smve] [expansion=true|false] [option=value ...]

Measures all arms of a method on every data set of offline8, a data set at a time with one MaxSim pass for all arms and
draws. What is finished is not measured again.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from omegaconf import OmegaConf

from harness.config import compose
from harness.config.entries import entry
from harness.config.options import CenterOptions
from harness.run import run

MUVERA_DRAWS, SMVE_DRAWS = 10, 5
FALLBACK = "center.fallback=[scifact,nfcorpus]"
"""The default when the arms were measured; with pseudo-queries it changes a record's name alone."""
PSEUDO = ["center.mean_of=pseudo_queries", "center.max_queries=400", FALLBACK]
ARMS = {
    "card": ["center=corpus"],
    "own": ["center=own", FALLBACK],
    "real + corpus": ["center=corpus", "query_tokens=real"],
    "words + corpus": ["center=corpus", "query_tokens=words"],
    "real + pseudo": ["center=own", "query_tokens=real", *PSEUDO],
    "shrinkage": ["center=shrunk"],
    "text": ["center=text"],
    "real + text": ["center=text", "query_tokens=real"],
    "half on both sides": ["center=shrunk", "query_tokens=real", "center.document_share=0.5"],
    "raw": ["center=none"],
}
"""Arm -> its words, in the order in which they are measured. Documents are the same for all but the last four."""
OF_SMVE = ("card", "own", "real + corpus", "words + corpus", "real + pseudo", "shrinkage")
"""Arms of SMVE: those that leave the documents' codes alone. A draw of these codes takes minutes."""


def center_of(words: Sequence[str]) -> CenterOptions:
    """The centering that the words of an arm name."""
    given: Any = OmegaConf.to_container(compose.composed(compose.expand(["model=lateon", *words])).center)
    return CenterOptions.of(given)


def main(words: list[str]) -> None:
    """Measure the arms that the words name."""
    chosen = dict(word.split("=", 1) for word in words if word.startswith(("method=", "expansion=")))
    others = [word for word in words if not word.startswith(("method=", "expansion="))]
    method = chosen.get("method", "muvera")
    draws = MUVERA_DRAWS if method == "muvera" else SMVE_DRAWS
    arms = [options for arm, options in ARMS.items() if method == "muvera" or arm in OF_SMVE]
    if chosen.get("expansion") == "false":
        others += ["model.query_expansion=false"]
    for dataset in entry("suite", "offline8")["datasets"]:
        base = ["model=answerai_colbert_small", f"dataset={dataset}", "reference=null", *others]
        cells = [[*base, f"method={method}", f"method.seeds={draws}", *options] for options in arms]
        failed = run([compose.composed(compose.expand(cell)) for cell in [*cells, [*base, "method=exact"]]])
        sys.stdout.write(f"{dataset}: {'; '.join(failed) or 'done'}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
