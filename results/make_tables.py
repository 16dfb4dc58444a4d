"""Write results/tables/ from results/records/, and put the tables into the README: `make results`.

Nothing here measures anything: a cell without a record is shown as missing.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from harness import cli, records
from harness.bench.report import table as bench_table
from harness.bench.timing import Row
from harness.config import entries
from harness.config.entries import ROOT
from harness.geometry import file, tables
from harness.geometry.moments import MEASURES, spaces
from harness.system.files import write_text
from harness.tables import formats, titles
from harness.vectors.centering import token_mean
from harness.vectors.store import StoreInMemory

RESULTS = ROOT / "results"
TABLES = RESULTS / "tables"
MODEL = "answerai_colbert_small"
FORMATS = {"markdown": "md", "csv": "csv", "latex": "tex"}


def printed(*words: str, results: Path = RESULTS) -> str:
    """What a command of the harness prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        if cli.main([*words, f"results_dir={results}"]) != 0:
            raise SystemExit(f"`python -m harness {' '.join(words)}` failed")
    return out.getvalue()


def smve_curve() -> str:
    """SMVE on sets outside the suites: mean NDCG@10 at depths, recall, numbers kept a document, seconds."""
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


def geometry_overview() -> str:
    """A line for each geometry of the shipped model: the cone, before and after centering."""
    lines = []
    for name in entries.entry("suite", "beir3")["datasets"]:
        found = file.read(file.path_of(RESULTS, name, MODEL))
        line = {"data set": name, "tokens": f"{found['documents']['raw']['n']:,}"}
        for side, seen in (("documents", ("raw", "centered")), ("queries", ("raw", "centered", "own"))):
            for space in seen:
                line[f"cosine, {side} {space}"] = f"{found[side][space]['mean_pairwise_cosine']:.3f}"
        line["stable rank, corpus"] = f"{found['documents']['centered']['stable_rank']:.1f}"
        line["stable rank, within documents"] = f"{found['within_document']['centered']['stable_rank']:.1f}"
        lines.append(line)
    return str(pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True)) + "\n"


def lateon_queries(data: Path) -> str:
    """Measures of the real query vectors of LateOn-regularized (50 queries of each of four sets)."""
    lines = []
    for path in sorted((data / "embeddings" / "lateon-regularized-queries").glob("*/tokens.npy")):
        tokens, lengths = (np.load(path.with_name(f"{n}.npy"), allow_pickle=False) for n in ("tokens", "lengths"))
        store = StoreInMemory(tokens, lengths)
        for name, space in zip(("raw", "own"), spaces(store, [None, token_mean(store)]), strict=True):
            shown = {measure.replace("_", " "): f"{space.measures[measure]:.3f}" for measure in MEASURES}
            lines.append({"queries of": path.parent.name, "space": name, **shown, "tokens": space.moments.n})
    return str(pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True)) + "\n" if lines else ""


def beside_the_card() -> str:
    """Means over suite offline8 of every model that has all eight sets, and then the card's own rows."""
    datasets = entries.entry("suite", "offline8")["datasets"]
    cells: dict[tuple[str, str, str], dict[str, records.Record]] = {}
    for record in [one for results in (RESULTS, RESULTS / "ste") for one in records.read_all(results, datasets)]:
        cells.setdefault((record.model, record.center, record.method), {})[record.dataset] = record
    means = {
        names: {
            depth: float(np.mean([one.ndcg10[depth] for one in of.values()]))
            for depth in next(iter(of.values())).ndcg10
        }
        for names, of in cells.items()
        if len(of) == len(datasets)
    }
    titles, lines = {"none": "no", "corpus": "yes"}, []
    for (model, center, method), found in sorted(means.items(), key=lambda item: (item[0][0], item[0][1] != "none")):
        if center in titles and method in ("muvera", "smve"):
            kind = "plaid" if (model, "none", "plaid") in means else "exact"
            reference = (100 * means[model, "none", kind][records.FINAL], titles.method_title(kind))
            names = (_short(model), "measured", titles[center], method)
            lines.append(_beside(names, reference, {depth: 100 * value for depth, value in found.items()}))
    card = yaml.safe_load((RESULTS / "expected" / "card.yaml").read_text(encoding="utf-8"))
    plaid_of = {row["model"]: row["plaid"] for row in card["rows"] if "plaid" in row}
    for row in card["rows"]:
        names = (titles.title(row["model"]), "the card's", row["center"], row["method"])
        of_depth = dict(zip(card["depths"], row["ndcg10"], strict=True))
        lines.append(_beside(names, (plaid_of[row["model"]], "PLAID"), of_depth))
    return formats.pipes(pd.DataFrame(lines))


def _short(model: str) -> str:
    """A model's title, of a variant with a trained head the head alone."""
    return titles.title(model.split("+")[0]) + (f", head {model.split('head=')[1]}" if "head=" in model else "")


def _beside(
    names: tuple[str, str, str, str], reference: tuple[float, str], of_depth: dict[str, float]
) -> dict[str, str]:
    """A line: what it is of, what the differences are to, NDCG@10 x 100 by depth."""
    (model, source, center, method), (value, kind) = names, reference
    shown = {"Model": model, "Numbers": source, "Center": center, "Reference": f"{value:.2f} ({kind})"}
    shown["Method"] = titles.method_title(method)
    for depth, found in of_depth.items():
        shown[f"rk={depth}"] = f"{found:.2f} ({round(found - value, 1) + 0.0:+.1f})"
    return shown


def geometry() -> None:
    """The tables and figures of results/GEOMETRY.md."""
    page = RESULTS / "GEOMETRY.md"
    found = file.read(file.path_of(RESULTS, "scifact", MODEL))
    splice(page, "overview", geometry_overview())
    splice(page, "scifact", tables.measures(found) + "\n\n" + tables.first_stages(found))
    for name, head in (("muvera", "ste_muvera_s0"), ("smve", "ste_smve_s0")):
        a, b = (f"{MODEL}+dtype=bfloat16+head={one}" for one in ("untrained_s0", head))
        lines = printed("geometry", "compare", f"a={a}", f"b={b}").splitlines()
        splice(page, f"compare {name}", "\n".join(line for line in lines if not line.startswith("| within")))
    if os.environ.get("HARNESS_DATA") and (text := lateon_queries(Path(os.environ["HARNESS_DATA"]))):
        splice(page, "lateon", text)
    for suite in ("beir3", "offline8"):
        printed("plot", "what=depth", f"suite={suite}", f"model={MODEL}")
    printed("plot", "what=budget", "dataset=cisi", f"model={MODEL}")
    for kind in ("spectrum", "cosines", "buckets", "overlap", "agreement"):
        printed("plot", f"what={kind}", "dataset=scifact", f"model={MODEL}")


def scale_table(rows: list[Row]) -> str:
    """Seconds and peak memory of the synthetic corpora."""
    lines = []
    for row in rows:
        method, documents = row.case.split(",")[0], int(row.case.split()[1])
        line = {"method": method.upper(), "documents": f"{documents:,}", "seconds": f"{row.ours_seconds:.1f}"}
        rate = {"documents / s": f"{documents / row.ours_seconds:,.0f}", "peak memory, MB": f"{row.peak_mb or 0:,.0f}"}
        lines.append({**line, **rate})
    return str(pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True))


def splice(path: Path, name: str, text: str) -> None:
    """Put `text` between ``<!-- begin NAME -->`` and ``<!-- end NAME -->`` of a file."""
    content = path.read_text(encoding="utf-8")
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
    before, rest = content.split(begin)
    write_text(path, before + begin + "\n" + text.strip() + "\n\n" + end + rest.split(end, 1)[1])


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
    splice(ROOT / "README.md", "offline8", beside_the_card())
    for name in entries.entry("suite", "offline8")["datasets"]:
        write_text(TABLES / f"{name}.md", printed("table", f"dataset={name}", f"model={MODEL}"))
    write_text(TABLES / "smve_curve.md", smve_curve())
    write_text(TABLES / "phases.md", phases())
    splice(ROOT / "README.md", "beir3", (TABLES / "beir3.md").read_text(encoding="utf-8"))
    splice(RESULTS / "README.md", "beir3", (TABLES / "beir3.md").read_text(encoding="utf-8"))
    rows = [Row(**row) for row in json.loads((RESULTS / "bench" / "bench.json").read_text(encoding="utf-8"))]
    splice(ROOT / "README.md", "bench", bench_table([row for row in rows if row.what != "scale"]))
    splice(ROOT / "README.md", "scale", scale_table([row for row in rows if row.what == "scale"]))
    splice(RESULTS / "README.md", "smve curve", (TABLES / "smve_curve.md").read_text(encoding="utf-8"))
    splice(RESULTS / "README.md", "phases", (TABLES / "phases.md").read_text(encoding="utf-8"))
    geometry()
    if (RESULTS / "records" / "docstrings").exists():  # after `make demo`; these records are not kept in git
        splice(ROOT / "README.md", "demo", printed("table"))


if __name__ == "__main__":
    main()
