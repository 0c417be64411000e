"""A report as a matplotlib figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._colors import color

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ._report import Report


def figure(report: Report) -> Figure:
    """Draw the score of each seed by entry, and the validation curves."""
    try:
        from matplotlib.figure import Figure as NewFigure
    except ImportError as error:
        raise ImportError("Report.plot needs matplotlib: pip install 'pynn-c[plot]'") from error
    found = NewFigure(figsize=(10, 0.4 * len(report) + 2.2), layout="constrained")
    scores, curves = found.subplots(1, 2)
    for i, entry in enumerate(report):
        place = len(report) - 1 - i
        scores.plot(entry.scores, [place] * len(entry.runs), "o", color=color(i), alpha=0.35)
        scores.plot([entry.score], [place], "D", color=color(i))
        values = entry.curve(report.curve_name)
        epochs = range(1, len(values) + 1)
        curves.plot(epochs, [mean for mean, _, _ in values], color=color(i), label=entry.label)
        curves.fill_between(epochs, [low for _, low, _ in values], [high for _, _, high in values], color=color(i), alpha=0.12)
    scores.axvline(report.baseline, linestyle=":", color="gray", label="baseline")
    scores.set_yticks(range(len(report)), [entry.label for entry in reversed(report.entries)])
    scores.set_xlabel(f"test {report.metric}, one dot per seed")
    curves.set_xlabel("epoch")
    curves.set_ylabel(report.curve_name.replace("val_", "validation "))
    curves.legend()
    return found
