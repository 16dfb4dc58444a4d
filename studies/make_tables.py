"""Write results/tables/ from results/records/, and put the tables into README.md, docs/ and results/: `make results`.

Nothing here measures anything: a cell without a record is shown as missing.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
from geometry_page import geometry  # beside this file, as are offline8 and pages
from offline8 import answer, beside_the_card
from pages import MODEL, RESULTS, ROOT, printed, splice

from harness import records
from harness.bench.report import gpu_table
from harness.bench.report import table as bench_table
from harness.bench.timing import Row
from harness.config import entries
from harness.system.files import write_text

TABLES, DOCS = RESULTS / "tables", ROOT / "docs"
FORMATS = {"markdown": "md", "csv": "csv", "latex": "tex"}


def smve_curve() -> str:
    """SMVE on sets outside the suites: mean NDCG@10 x 100 by depth, recall, numbers per document, milliseconds."""
    lines = []
    for record in records.read_all(RESULTS):
        if record.dataset in ("cacm", "cisi") and record.method.split("+")[0] == "smve" and record.center == "corpus":
            options, documents = record.config["method"], record.details["documents"]
            lines.append(
                {
                    "w": options["width"],
                    "k": options["keep"],
                    "anchors": options["anchors"],
                    **{f"rk={depth}": 100 * record.ndcg10[depth] for depth in ("0", "50", "100", "1000")},
                    "recall@100": 100 * record.candidate_recall["100"],
                    "numbers/doc": record.bytes["index"] / 8 / documents,
                    "encode ms/doc": 1000 * record.seconds["smve_encode_documents"] / documents,
                    "search ms/query": 1000 * record.seconds["smve_search"] / len(record.per_query["queries"]),
                }
            )
    if not lines:
        return ""
    table = pd.DataFrame(lines).groupby(["anchors", "w", "k"]).mean().reset_index()
    digits = {"rk=0": 2, "rk=50": 2, "rk=100": 2, "rk=1000": 2, "recall@100": 1, "numbers/doc": 0}
    text = table.round({**digits, "encode ms/doc": 2, "search ms/query": 2}).astype(object)
    text["numbers/doc"] = text["numbers/doc"].astype(int)
    return str(text.to_markdown(index=False)) + "\n"


def phases() -> str:
    """Seconds of each phase, index bytes and candidates of every cell of the suite beir3."""
    lines = []
    for record in records.read_all(RESULTS):
        if record.dataset not in entries.entry("suite", "beir3")["datasets"] or "+" in record.method:
            continue
        seconds = record.seconds
        lines.append(
            {
                "data set": record.dataset,
                "center": record.center,
                "method": record.method,
                "documents encoded by the method, s": seconds.get(f"{record.method}_encode_documents", np.nan),
                "first stage searched, s": seconds[f"{record.method}_search"],
                "reranked to 1000, s": seconds["rerank"] if record.method in ("muvera", "smve") else np.nan,
                "index, MB": record.bytes["index"] / 1e6,
                "fewest candidates": record.candidates["fewest"],
                "recall@1000": 100 * record.candidate_recall["1000"],
            }
        )
    table = pd.DataFrame(lines).sort_values(["data set", "method", "center"])
    text = table.map(lambda cell: "" if cell != cell else f"{cell:.1f}" if isinstance(cell, float) else str(cell))
    return str(text.to_markdown(index=False, disable_numparse=True)) + "\n"


def scale_table(rows: list[Row]) -> str:
    """Seconds, peak memory and bytes on disk of the synthetic corpora."""
    lines = []
    for row in rows:
        method, corpus, queries, _, *more = row.case.split(", ")
        documents, _, _, length, *_ = corpus.split()
        of_search = f", {queries}" if more[-1:] == ["searched"] else ""
        line = {"what": ", ".join([method.upper(), *more]) + of_search, "documents": f"{int(documents):,}"}
        line |= {"tokens each": length, "seconds": f"{row.ours_seconds:.1f}"}
        line["documents / s"] = "" if of_search else f"{int(documents) / row.ours_seconds:,.0f}"
        line |= {
            "peak memory, MB": f"{row.peak_mb or 0:,.0f}",
            "on disk, MB": f"{row.disk_mb:,.0f}" if row.disk_mb else "",
        }
        lines.append(line)
    return str(pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True))


def plaid_table(rows: list[Row]) -> str:
    """Seconds of PLAID with its own kernels and k-means and with those here, and whether the results are the same."""
    lines = [
        {
            "step": row.case,
            "its own, s": f"{row.peer_seconds or 0:.0f}",
            "here, s": f"{row.ours_seconds:.0f}",
            "here / its own": f"{1 / (row.ratio_peer or 1):.2f}",
            "results here and its own": row.found,
        }
        for row in rows
    ]
    return str(pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True))


def main() -> None:
    """Write every table."""
    for suite in ("beir3", "offline8"):
        words = ("table", f"suite={suite}", f"model={MODEL}")
        for style, suffix in FORMATS.items():
            write_text(TABLES / f"{suite}.{suffix}", printed(*words, f"format={style}"))
        write_text(TABLES / f"{suite}_tests.md", printed(*words, "significance=true", "cost=true"))
    for style in ("markdown", "csv"):
        heads = printed("table", "suite=offline8", f"format={style}", results=RESULTS / "ste")
        write_text(TABLES / f"offline8_heads.{FORMATS[style]}", heads)
    splice(ROOT / "README.md", "answer", answer())
    splice(DOCS / "results.md", "offline8", beside_the_card())
    for name in entries.entry("suite", "offline8")["datasets"]:
        write_text(TABLES / f"{name}.md", printed("table", f"dataset={name}", f"model={MODEL}"))
    write_text(TABLES / "smve_curve.md", smve_curve())
    write_text(TABLES / "phases.md", phases())
    splice(DOCS / "results.md", "beir3", (TABLES / "beir3.md").read_text(encoding="utf-8"))
    splice(RESULTS / "README.md", "beir3", (TABLES / "beir3.md").read_text(encoding="utf-8"))
    rows = [Row(**row) for row in json.loads((RESULTS / "bench" / "bench.json").read_text(encoding="utf-8"))]
    of_their_own = {"gpu": ("speed", gpu_table), "plaid": ("speed", plaid_table), "scale": ("scale", scale_table)}
    splice(DOCS / "speed.md", "bench", bench_table([row for row in rows if row.what not in of_their_own]))
    for what, (page, make) in of_their_own.items():
        splice(DOCS / f"{page}.md", what, make([row for row in rows if row.what == what]))
    splice(RESULTS / "README.md", "smve curve", (TABLES / "smve_curve.md").read_text(encoding="utf-8"))
    splice(RESULTS / "README.md", "phases", (TABLES / "phases.md").read_text(encoding="utf-8"))
    costs = ("table", f"model={MODEL}", "center=recommended", "cost=true")
    for method in ("muvera", "smve"):
        table = printed(*costs, "suite=offline8", f"method={method}", "depths=[0,50,100]", results=RESULTS / "indexes")
        splice(RESULTS / "indexes" / "README.md", method, table)
    one_set = printed(*costs, "dataset=cranfield", "depths=[0,50,100]", results=RESULTS / "indexes" / "one_set")
    splice(RESULTS / "indexes" / "README.md", "one set", one_set)
    splice(DOCS / "indexes.md", "losses", (RESULTS / "indexes" / "losses.md").read_text(encoding="utf-8"))
    draws = printed(*costs, "dataset=nfcorpus", "method=muvera", results=RESULTS / "indexes" / "ten_draws")
    splice(RESULTS / "indexes" / "README.md", "ten draws", draws)
    for study in ("query_side", "rivals", "ste2"):
        for path in sorted((RESULTS / study).glob("*.md")):
            if path.stem != "README":
                splice(RESULTS / study / "README.md", path.stem, path.read_text(encoding="utf-8"))
    geometry()
    if (RESULTS / "records" / "docstrings").exists():  # after `run experiment=demo_trained`; git has none
        splice(DOCS / "results.md", "demo", printed("table", "suite=demo"))


if __name__ == "__main__":
    main()
