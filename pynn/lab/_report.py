"""The result of a comparison: numbers, a table, a sentence."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from math import isfinite, sqrt
from statistics import fmean
from typing import Any


@dataclass(frozen=True)
class Row:
    """What one activation did: its score with each seed, and means over the seeds."""

    activation: str
    scores: tuple[float, ...]  # accuracy (0 to 1) or R2 on the test samples, after the last epoch, one a seed
    loss: float  # on the test samples, after the last epoch
    epochs_to_target: int | None  # median of the first epoch whose score reached the target, rounded up; None: half never did
    dead: float  # share of the hidden units; see pynn.lab.unit_health
    saturated: float
    ns_per_element: float  # the activation's forward pass by itself, nanoseconds
    seconds: float  # one training

    @property
    def score(self) -> float:
        """The mean of the scores."""
        return fmean(self.scores)

    @property
    def deviation(self) -> float:
        """The sample standard deviation of the scores; 0 for one seed, where there is none to see."""
        return _deviation(self.scores)


@dataclass(frozen=True)
class Comparison:
    """Activations compared: a row each, printed as a table.

    ``str()`` gives text, notebooks show HTML, and ``to_dict()`` plain data.
    """

    rows: tuple[Row, ...]
    metric: str  # "accuracy" or "R2"
    target: float  # the score that epochs_to_target waits for
    seeds: tuple[int, ...]  # one for each of a row's scores
    widths: tuple[int, ...]  # of the input and of every layer
    train_samples: int
    test_samples: int

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as plain data, ready for JSON or a data frame."""
        rows = [{**asdict(row), "score": row.score, "deviation": row.deviation} for row in self.rows]
        return {**asdict(self), "rows": rows}

    def __str__(self) -> str:
        header, body = self._header(), self._body()
        widths = [max(map(len, column)) for column in zip(header, *body, strict=True)]
        lines = [_line(header, widths), "  ".join("-" * width for width in widths)]
        return "\n".join([*lines, *(_line(row, widths) for row in body)])

    def _repr_html_(self) -> str:
        rows = "".join(_html_row("td", row) for row in self._body())
        return (
            f"<table><thead>{_html_row('th', self._header())}</thead><tbody>{rows}</tbody></table>"
            f"<p>{escape(self.summary())}</p>"
        )

    def summary(self) -> str:
        """Say in a few words what the table shows, and what it can't tell."""
        scored = [row for row in self.rows if isfinite(row.score)]
        if not scored:
            return "No net learned anything: no score is a finite number."
        best = max(scored, key=lambda row: row.score)
        return " ".join(filter(None, (self._best(best, scored), self._fastest(), self._unwell())))

    def _best(self, best: Row, scored: Sequence[Row]) -> str:
        text = f"{best.activation} scored best: {self._score(best)}."
        others = [row for row in scored if row is not best]
        if len(self.seeds) > 1:
            close = [row.activation for row in others if _level(best.scores, row.scores)]
            return f"{text} {len(self.seeds)} seeds can't tell it from {_listed(close)}." if close else text
        if self.metric != "accuracy":
            return text + " One seed can't rank close scores."
        margin = 2 * sqrt(best.score * (1 - best.score) / self.test_samples)
        close = [row.activation for row in others if best.score - row.score <= margin]
        if not close:
            return text
        return f"{text} {self.test_samples} test samples can't tell it from {_listed(close)} (±{margin:.1%})."

    def _fastest(self) -> str:
        first = min((row.epochs_to_target for row in self.rows if row.epochs_to_target), default=None)
        if first is None or len(self.rows) == 1:
            return ""
        names = [row.activation for row in self.rows if row.epochs_to_target == first]
        median = " (median)" if len(self.seeds) > 1 else ""
        return f"First to reach {self._goal()}: {_listed(names)}, in epoch {first}{median}."

    def _unwell(self) -> str:
        worst = max(self.rows, key=lambda row: row.dead + row.saturated)
        share = worst.dead + worst.saturated
        if share == 0:
            return "No unit is dead or saturated."
        return f"Most dead or saturated units: {worst.activation}, {share:.1%}."

    def _header(self) -> list[str]:
        name = "test accuracy" if self.metric == "accuracy" else f"test {self.metric}"
        return ["activation", name, "test loss", f"epochs to {self._goal()}", "dead", "saturated", "ns/element", "seconds"]

    def _body(self) -> list[list[str]]:
        return [
            [
                row.activation,
                self._score(row),
                f"{row.loss:.4f}",
                "-" if row.epochs_to_target is None else str(row.epochs_to_target),
                f"{row.dead:.1%}",
                f"{row.saturated:.1%}",
                f"{row.ns_per_element:.2f}",
                f"{row.seconds:.2f}",
            ]
            for row in self.rows
        ]

    def _goal(self) -> str:
        return f"{self.target * 100:g}%" if self.metric == "accuracy" else f"{self.target:g}"

    def _score(self, row: Row) -> str:
        percent = self.metric == "accuracy"
        text = f"{row.score:.1%}" if percent else f"{row.score:.3f}"
        if len(self.seeds) == 1:
            return text
        return f"{text} ± {100 * row.deviation:.1f}" if percent else f"{text} ± {row.deviation:.3f}"


def _deviation(values: Sequence[float]) -> float:
    """Return the sample standard deviation, 0 of one value."""
    mean = fmean(values)
    return sqrt(sum((value - mean) * (value - mean) for value in values) / max(len(values) - 1, 1))


def _level(best: Sequence[float], other: Sequence[float]) -> bool:
    """Tell whether the mean difference, seed by seed, is within two of its standard errors."""
    differences = [a - b for a, b in zip(best, other, strict=True)]
    return abs(fmean(differences)) <= 2 * _deviation(differences) / sqrt(len(differences))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = cells
    return "  ".join([first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(rest, widths[1:], strict=True))])


def _html_row(tag: str, cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
