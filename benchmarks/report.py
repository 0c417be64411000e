"""Records as Markdown tables and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import OURS

PEAK = "machine fma"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table and an empty line, or nothing without rows."""
    if not rows:
        return []
    line = lambda cells: f"| {' | '.join(cells)} |"  # noqa: E731
    return [line(head), line(["---", *["---:"] * (len(head) - 1)]), *map(line, rows), ""]


def duration(seconds: float) -> str:
    """Return a time with its unit, three digits."""
    for size, unit in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds < 1000 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def ratio(record: Mapping[str, Any], contestant: str) -> str:
    """Return a ratio of medians with its spread, ``1.53 (1.40-1.61)``; a star: other processes were busy meanwhile."""
    if contestant not in record["ratios"]:
        return ""
    middle, low, high = record["ratios"][contestant]
    return f"{_number(middle)} ({_number(low)}-{_number(high)})" + "*" * (record["other load"] > 0.2)


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 99.5 else f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def contest(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the table of a race: our time, our share of the machine's peak where it took part, and each peer's time over ours."""
    peers = list(dict.fromkeys(name for record in records for name in record["ratios"] if name != PEAK))
    peak = any(PEAK in record["ratios"] for record in records)
    rows = []
    for record in records:
        if OURS in record["values"]:
            seconds, share = record["values"][OURS][0], ["", ""]
            if PEAK in record["ratios"]:
                share = [f"{1e-9 * record['flops'] / seconds:.1f}", f"{100 * record['ratios'][PEAK][0]:.0f} %"]
            rows.append([record["case"], duration(seconds), *share[: 2 * peak], *(ratio(record, peer) for peer in peers)])
    return table(["", OURS, *["GFLOP/s", "of peak"][: 2 * peak], *(f"{peer} / {OURS}" for peer in peers)], rows)


def curves(lines: Mapping[str, Sequence[tuple[float, Sequence[float]]]], path: Path, x: str, y: str) -> None:
    """Draw lines of (x, (median, low, high)) on logarithmic axes; those of one contestant share a colour, more threads are dashed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    colours: dict[str, str] = {}
    for title, points in lines.items():
        who, _, threads = title.rpartition(", ")
        colour, ordered = colours.setdefault(who, f"C{len(colours)}"), sorted(points)
        places, (middle, low, high) = [place for place, _ in ordered], zip(*(values for _, values in ordered), strict=True)
        axes.plot(places, middle, "o-" if threads == "1 thread" else "s--", color=colour, markersize=4, label=title)
        axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set(xscale="log", yscale="log", xlabel=x, ylabel=y)
    bottom, top = axes.get_ylim()
    axes.set_ylim(min(bottom, top / 30), top)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize="small")
    figure.savefig(path)
    pyplot.close(figure)
