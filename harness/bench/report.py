"""The benchmark's table, its file results/bench/bench.json, and its chart."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from harness.bench.timing import Row
from harness.system.files import write_text


def keep(folder: Path, rows: Iterable[Row]) -> list[dict[str, object]]:
    """Write rows to bench.json, where they replace rows of the same case and peer, and return all rows of the file."""
    path = folder / "bench.json"
    before = json.loads(path.read_text()) if path.exists() else []
    new = [asdict(row) for row in rows]
    names = {(row["what"], row["case"], row["peer"]) for row in new}
    merged = [row for row in before if (row["what"], row["case"], row["peer"]) not in names] + new
    merged.sort(key=lambda row: row["what"])
    write_text(path, "[\n" + ",\n".join(" " + json.dumps(row) for row in merged) + "\n]\n")
    return merged


def table(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table: our seconds, the peer's and the limit's, their ratios, the spread, memory."""
    lines = [
        {
            "what": row.what,
            "case": row.case,
            "ours s": _number(row.ours_seconds),
            "peer": f"{row.peer} {row.peer_version}".strip(),
            "peer s": _number(row.peer_seconds),
            "limit s": _number(row.limit_seconds),
            "peer / ours": _number(row.ratio_peer, 2),
            "limit / ours": _number(row.ratio_limit, 2),
            "spread": f"{100 * row.spread:.0f}%",
            "peak MB": "" if row.peak_mb is None else f"{row.peak_mb:.0f}",
            "disk MB": "" if row.disk_mb is None else f"{row.disk_mb:.0f}",
            "found": row.found,
        }
        for row in rows
    ]
    frame = pd.DataFrame(lines)
    return str(frame.loc[:, (frame != "").any()].to_markdown(index=False, disable_numparse=True))


def gpu_table(rows: Iterable[Row]) -> str:
    """Rows of a GPU as a Markdown table: operations per second and their share of a large product's, documents, memory.

    A share is that of the product in the same type of numbers (`harness.bench.gpu_cases`).
    """
    lines = [
        {
            "case": row.case,
            "ms": _number(1000 * row.ours_seconds, 1),
            "TFLOP / s": "" if row.operations is None else _number(row.operations / row.ours_seconds / 1e12, 1),
            "share of the product": "" if row.ratio_limit is None else f"{100 * row.ratio_limit:.1f}%",
            "documents / s": "" if row.documents is None else f"{row.documents / row.ours_seconds:,.0f}",
            "peak memory, MB": "" if row.peak_mb is None else f"{row.peak_mb:,.0f}",
        }
        for row in rows
    ]
    return str(pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True))


def chart(folder: Path, rows: list[dict[str, object]]) -> None:
    """Write bench.svg and bench.png: bars of peer / ours and limit / ours for each case."""
    on_cpu = [row for row in rows if row["what"] != "gpu"]
    shown = [row for row in on_cpu if row["ratio_peer"] is not None or row["ratio_limit"] is not None]
    if not shown:
        return
    with matplotlib.rc_context({"svg.hashsalt": "bench", "font.size": 8}):
        figure = Figure(figsize=(9, 0.42 * len(shown) + 1.2), layout="constrained")
        axes = figure.subplots()
        for i, row in enumerate(shown):
            for offset, key, colour, hatch in ((-0.19, "ratio_peer", "0.25", ""), (0.19, "ratio_limit", "0.7", "//")):
                value = row[key]
                if isinstance(value, float):
                    label = {"ratio_peer": "peer / ours", "ratio_limit": "limit / ours"}[key] if i == 0 else None
                    axes.barh(i + offset, value, 0.36, color=colour, hatch=hatch, edgecolor="white", label=label)
                    axes.text(value, i + offset, f" {value:.2g}", va="center")
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_xscale("log")
        axes.set_yticks(
            range(len(shown)), [f"{row['what']}: {row['case']}\n{row['peer']}" for row in shown], fontsize=6
        )
        axes.invert_yaxis()
        axes.set_xlabel("ratio of seconds (log); right of 1: ours is faster than the peer")
        axes.margins(x=0.12, y=0.01)
        figure.legend(loc="outside upper right", ncols=2)
        for suffix in ("svg", "png"):
            figure.savefig(folder / f"bench.{suffix}", dpi=120, metadata={"Date": None} if suffix == "svg" else None)


def _number(value: float | None, digits: int = 3) -> str:
    if value is None:
        return ""
    return f"{value:.{digits}f}" if value < 100 else f"{value:.0f}"
