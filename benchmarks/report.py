"""Records as Markdown tables and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import peers
from harness import BUSY, OURS

UNDATED = {"Date": None}
"""Metadata of plots without a date, so that the same numbers give the same file."""

PEAK = "machine fma"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table and an empty line, or nothing without rows."""
    if not rows:
        return []
    line = lambda cells: f"| {' | '.join(cells)} |"  # noqa: E731
    return [line(head), line(["---", *["---:"] * (len(head) - 1)]), *map(line, rows), ""]


def duration(seconds: float) -> str:
    """Return a time with three digits and a unit."""
    for size, unit in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds < 1000 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def ratio(record: Mapping[str, Any], contestant: str) -> str:
    """Return a ratio of medians with its spread, ``1.53 (1.40-1.61)``, and a star if other processes were busy."""
    if contestant not in record["ratios"]:
        return ""
    middle, low, high = record["ratios"][contestant]
    return f"{number(middle)} ({number(low)}-{number(high)})" + "*" * (record["other load"] > BUSY)


def number(value: float) -> str:
    """Return a ratio with two or three digits."""
    return f"{value:.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def contest(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a table: pynn's time, its fraction of the machine's peak if measured, and the time of each peer divided by pynn's."""
    others = list(dict.fromkeys(name for record in records for name in record["ratios"] if name != PEAK))
    peak = any(PEAK in record["ratios"] for record in records)
    rows = []
    for record in records:
        if OURS in record["values"]:
            seconds, share = record["values"][OURS][0], ["", ""]
            if PEAK in record["ratios"]:
                share = [f"{1e-9 * record['flops'] / seconds:.1f}", f"{100 * record['ratios'][PEAK][0]:.0f} %"]
            rows.append([record["case"], duration(seconds), *share[: 2 * peak], *(ratio(record, peer) for peer in others)])
    return table(["", OURS, *["GFLOP/s", "of peak"][: 2 * peak], *(f"{peer} / {OURS}" for peer in others)], rows)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": OURS})  # small files with the same ids
    from matplotlib import pyplot

    return pyplot


def _colours(contestants: Sequence[str]) -> dict[str, Any]:
    """Return a colour for each contestant: that of its peer, the same in every plot, and lighter for each further variant."""
    from matplotlib.colors import to_rgb

    colours: dict[str, Any] = {}
    for name in contestants:
        peer = name.partition(" ")[0]
        pale = 0.45 * sum(other.partition(" ")[0] == peer for other in colours)
        colours[name] = [part + (1 - part) * min(pale, 0.8) for part in to_rgb(f"C{peers.NAMES.index(peer)}")]
    return colours


def bars(records: Sequence[Mapping[str, Any]], path: Path) -> list[Path]:
    """Plot the time of each contestant divided by pynn's, with its spread, in one file per number of threads; return the paths."""
    pyplot, paths = _pyplot(), []
    for threads in sorted({record["threads"] for record in records}):
        cases = {record["case"]: record["ratios"] for record in records if record["threads"] == threads}
        names = [name for name in dict.fromkeys(name for ratios in cases.values() for name in ratios) if not name.startswith("machine")]
        colours = _colours(names)
        figure, axes = pyplot.subplots(figsize=(8, 1 + 0.18 * len(cases) * (len(names) + 1)), layout="constrained")
        height = 1 / (len(names) + 1)
        for i, peer in enumerate(names):
            shown = [(k, ratios[peer]) for k, ratios in enumerate(cases.values()) if peer in ratios]
            places, widths = [k + i * height for k, _ in shown], [middle - 1 for _, (middle, _, _) in shown]
            spread = [_positive([middle - low, high - middle]) for _, (middle, low, high) in shown]
            error = {"xerr": list(zip(*spread, strict=True)), "error_kw": {"alpha": 0.4}}
            axes.barh(places, widths, height, left=1, label=peer, color=colours[peer], **error)
        axes.axvline(1, color="black", linewidth=1)
        axes.set(xscale="log", xlabel=f"time divided by that of {OURS}, {threads} thread{'s' * (threads > 1)}")
        axes.set_yticks([k + (len(names) - 1) / 2 * height for k in range(len(cases))], list(cases))
        axes.invert_yaxis()
        axes.grid(axis="x", alpha=0.3)
        figure.legend(loc="outside upper center", ncols=4, fontsize="small")
        paths.append(path.with_stem(f"{path.stem}_{threads}"))
        figure.savefig(paths[-1], metadata=UNDATED)
        pyplot.close(figure)
    return paths


def _positive(values: Sequence[float]) -> list[float]:
    """Return values with negative ones replaced by 0: the median of all rounds may lie outside the ratios within rounds."""
    return [max(0.0, value) for value in values]


def curves(lines: Mapping[str, Sequence[tuple[float, Sequence[float]]]], path: Path, x: str, y: str) -> None:
    """Plot lines of (x, (median, low, high)) on logarithmic axes, a colour per contestant, dashed for more than one thread."""
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    colours = _colours(list(dict.fromkeys(title.rpartition(", ")[0] for title in lines)))
    for title, points in lines.items():
        who, _, threads = title.rpartition(", ")
        colour, ordered = colours[who], sorted(points)
        places, (middle, low, high) = [place for place, _ in ordered], zip(*(values for _, values in ordered), strict=True)
        axes.plot(places, middle, "o-" if threads == "1 thread" else "s--", color=colour, markersize=4, label=title)
        axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set(xscale="log", yscale="log", xlabel=x, ylabel=y)
    bottom, top = axes.get_ylim()
    axes.set_ylim(min(bottom, top / 30), top)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize="small")
    figure.savefig(path, metadata=UNDATED)
    pyplot.close(figure)
