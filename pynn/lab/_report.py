"""The report of a comparison, as text, data, HTML and plots."""

from __future__ import annotations

import json
import math
import os
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from .._tables import unknown_name
from ._analyze import SIGN_FLIP_SEEDS, Verdict, analyze
from ._diagnosis import LEVELS
from ._record import Entry, listed_scores
from ._why import measured, reasons

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 79
_FORMAT = 2


@dataclass(frozen=True)
class Report:
    """The result of `compare`. It is printed as a table and sentences; notebooks show HTML.

    ``report["gelu"]`` is the `Entry` with that label. The report can be iterated, and ``len(report)`` is the number of entries.

    Attributes
    ----------
    entries : tuple of Entry
        The candidates with their results, in the given order.
    verdict : Verdict or None
        The analysis of the scores; None for a single entry.
    metric : {'accuracy', 'R2', 'score'}
        The kind of score; 'score' is the mean of accuracies and R2 of several outputs.
    baselines : tuple of float
        For each seed, the score of always predicting the most frequent class, or the mean, of the training rows.
    protocol : dict
        How the nets were trained: budgets, splits, seeds, versions, the SHA-256 of the data, and the call that repeats it.

    Examples
    --------
    >>> import pynn, pynn.lab
    >>> X, y = pynn.datasets.load_digits()
    >>> report = pynn.lab.compare(X, y, activations=["relu", "tanh"], hidden=(16,), epochs=2, seeds=2, tune=None)
    >>> [entry.label for entry in report], report.metric, len(report.to_pandas())
    (['relu', 'tanh'], 'accuracy', 4)
    >>> pynn.lab.Report.from_json(report.to_json()).to_html() == report.to_html()
    True
    """

    entries: tuple[Entry, ...]
    metric: str
    baselines: tuple[float, ...]
    protocol: dict[str, Any]
    _again: Callable[[], Report] | None = field(default=None, compare=False, repr=False)
    verdict: Verdict | None = field(init=False)

    def __post_init__(self) -> None:
        verdict = None
        if len(self.entries) > 1:
            p = self.protocol
            verdict = analyze(listed_scores(self.entries), test_fraction=p["test_fraction"], rope=p["rope"], alpha=p["alpha"])
        object.__setattr__(self, "verdict", verdict)

    def __getstate__(self) -> dict[str, Any]:
        """Omit the call that `rerun` repeats, since it holds the data and functions."""
        return vars(self) | {"_again": None}

    # ---- access ----------------------------------------------------------------------------------------------------
    def __getitem__(self, label: str) -> Entry:
        """Return the entry with a label."""
        for entry in self.entries:
            if entry.label == label:
                return entry
        raise KeyError(f"no entry {label!r}; known: {', '.join(entry.label for entry in self.entries)}")

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def baseline(self) -> float:
        """The mean of the baselines."""
        return fmean(self.baselines)

    @property
    def target(self) -> float:
        """The validation accuracy for which the table shows the first epoch that reached it."""
        return float(self.protocol["target"])

    @property
    def curve_name(self) -> str:
        """The number in the learning curves: ``val_accuracy`` if all runs report it, otherwise ``val_loss``."""
        every = all("val_accuracy" in run.history for entry in self for run in entry.runs)
        return "val_accuracy" if every else "val_loss"

    def has_learnt(self, entry: Entry) -> bool:
        """Return whether an entry is better than the baseline: by `analyze`, or with few seeds if it is better for every seed."""
        pair = {"entry": entry.scores, "baseline": self.baselines}
        if len(entry.runs) < SIGN_FLIP_SEEDS:
            return all(a > b for a, b in zip(entry.scores, self.baselines, strict=True))
        verdict = analyze(pair, test_fraction=self.protocol["test_fraction"], rope=1.0)
        return verdict.best == ("entry",)

    # ---- text ------------------------------------------------------------------------------------------------------
    def summary(self, lang: str = "en") -> list[str]:
        """Return the findings as sentences: what was learnt, the verdict, why, calibration, and the inputs of the activations."""
        from ._protocol import report_words

        t = report_words(lang)
        found = []
        lost = [entry.label for entry in self.entries if not self.has_learnt(entry)]
        baseline = self.format_score(self.baseline)
        if len(lost) == len(self.entries):
            found.append(t["nothing"].format(what=t["baseline_" + self.metric], baseline=baseline))
        elif lost:
            found.append(t["lost"].format(labels=", ".join(lost), what=t["baseline_" + self.metric], baseline=baseline))
        found += [] if self.verdict is None else self.verdict.sentences(lang)
        return [*found, *reasons(self.entries, self.protocol["depth"], lang), *measured(self.entries, lang)]

    def format_score(self, score: float) -> str:
        """Return a score as text: accuracies in percent."""
        return f"{score:.1%}" if self.metric == "accuracy" else f"{score:.3f}"

    def _cell(self, entry: Entry) -> str:
        deviation = entry.deviation
        spread = f"{100 * deviation:.1f}" if self.metric == "accuracy" else f"{deviation:.3f}"
        return self.format_score(entry.score) + (f" ± {spread}" if len(entry.runs) > 1 else "")

    def columns(self) -> dict[str, list[str]]:
        """Return the table as columns of text."""
        goal = f"{100 * self.target:g} % in" if self.metric == "accuracy" else ""
        name = f"test {self.metric}"

        def epochs(entry: Entry) -> str:
            reached = entry.epochs_to(self.target)
            return "-" if reached is None else str(reached)

        base = self.format_score(self.baseline)
        found = {
            self.protocol["what"]: [*(entry.label for entry in self), "baseline"],
            name: [*map(self._cell, self), base],
            "lr": [*("-" if entry.lr is None else f"{entry.lr:.3g}" for entry in self), ""],
            goal: [*map(epochs, self), ""],
            "dead": [*(f"{entry.dead:.1%}" for entry in self), ""],
            "satur.": [*(f"{entry.saturated:.1%}" for entry in self), ""],
            "ns fwd": [*(_short(entry.cost.forward) for entry in self), ""],
            "ns bwd": [*(_short(entry.cost.backward) for entry in self), ""],
            "s": [*(_short(entry.seconds) for entry in self), ""],
        }
        found.pop("", None)
        return found

    def table(self) -> str:
        """Return the table as text of at most 79 columns; long labels are shortened, and columns are dropped from the right."""
        columns = self.columns()
        label = next(iter(columns))
        while True:
            widths = [max(map(len, [name, *cells])) for name, cells in columns.items()]
            over = sum(widths) + 2 * (len(widths) - 1) - WIDTH
            if over <= 0:
                break
            if widths[0] - over >= 16 or len(columns) <= 3:
                most = max(widths[0] - over, 8)
                columns[label] = [cell if len(cell) <= most else cell[: most - 3] + "..." for cell in columns[label]]
                widths[0] = max(most, len(label))
                break
            columns.popitem()
        rows = [[*columns], ["-" * width for width in widths], *map(list, zip(*columns.values(), strict=True))]
        rows.insert(-1, ["-" * width for width in widths])
        return "\n".join(_line(row, widths).rstrip() for row in rows)

    def protocol_lines(self, lang: str = "en") -> list[str]:
        """Return how the nets were trained, as sentences."""
        from ._protocol import protocol_sentences

        return protocol_sentences(self.protocol, lang)

    def text(self, lang: str = "en") -> str:
        """Return the report as text of at most 79 columns."""
        parts = [*(textwrap.fill(line, WIDTH) for line in self.protocol_lines(lang)), "", self.table(), ""]
        return "\n".join([*parts, *(textwrap.fill(line, WIDTH) for line in self.summary(lang))])

    def __str__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        from ._html import fragment

        return fragment(self)

    # ---- data ------------------------------------------------------------------------------------------------------
    def to_pandas(self, rows: str = "runs") -> Any:
        """Return a pandas.DataFrame.

        Parameters
        ----------
        rows : {'runs', 'layers', 'bins'}
            What a row is: a training; an activation layer of a training, with the distribution of its inputs; or a bin of the reliability
            curve of a training.

        Raises
        ------
        ValueError
            If `rows` is none of these.
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas  # type: ignore[import-untyped, unused-ignore]
        except ImportError as error:
            raise ImportError("Report.to_pandas needs pandas: pip install pandas") from error
        if rows not in _ROWS:
            raise unknown_name("rows", rows, _ROWS)
        found = []
        for entry in self:
            for run, baseline in zip(entry.runs, self.baselines, strict=True):
                found += [{"label": entry.label, "seed": run.seed, **row} for row in _ROWS[rows](replace(entry, runs=(run,)), baseline)]
        return pandas.DataFrame(found)

    def to_json(self, path: str | os.PathLike[str] | None = None, *, timings: bool = True) -> str:
        """Return the report as JSON, and write it to a file if a path is given.

        Parameters
        ----------
        path : str or path, optional
            The file, which is replaced atomically.
        timings : bool
            Whether to include measured times, which are the only numbers that differ between two runs of the same comparison.
        """
        plain = {
            "format": _FORMAT,
            "metric": self.metric,
            "baselines": list(self.baselines),
            "protocol": self.protocol,
            "entries": [entry.to_plain(timings) for entry in self],
        }
        text = json.dumps(_finite(plain), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        if path is not None:
            write(path, text)
        return text

    @classmethod
    def from_json(cls, text: str | os.PathLike[str]) -> Report:
        """Return the report from JSON written by `to_json`, given as text or a path.

        Raises
        ------
        ValueError
            If the text is not a report.
        """
        if isinstance(text, os.PathLike) or not text.lstrip().startswith("{"):
            with open(text, encoding="utf-8") as file:
                text = file.read()
        try:
            plain = _infinite(json.loads(text))
            if plain["format"] != _FORMAT:
                raise ValueError(f"its format is {plain['format']}, expected {_FORMAT}")
            entries = tuple(map(Entry.from_plain, plain["entries"]))
            return cls(entries, str(plain["metric"]), tuple(map(float, plain["baselines"])), plain["protocol"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"text: not a report of pynn.lab.compare: {error!r}") from error

    def rerun(self) -> Report:
        """Repeat the comparison, and return its report, which is identical since training is reproducible.

        It trains in this process, without an executor. Measured times are not reproducible, so the new report contains those of this
        one.

        Raises
        ------
        ValueError
            If the report was read from JSON or pickle, which do not contain the data.
        """
        if self._again is None:
            call = self.protocol["call"]
            text = "rerun: this report was read from JSON or pickle, which do not contain the data"
            raise ValueError(f"{text}; repeat the call instead: {call}")
        other = self._again()
        entries = tuple(new.with_timings(old) for new, old in zip(other.entries, self.entries, strict=True))
        return Report(entries, other.metric, other.baselines, other.protocol, self._again)

    # ---- plots ----------------------------------------------------------------------------------------------------
    def plot(self) -> Figure:
        """Plot the score of each seed and the learning curves as a matplotlib figure.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        from ._plot import figure

        return figure(self)

    def to_html(self, path: str | os.PathLike[str] | None = None, *, lang: str = "en") -> str:
        """Return the report as a self-contained HTML page, and write it to a file if a path is given.

        The page loads nothing from the network, supports light and dark mode, and adapts to narrow screens.

        Parameters
        ----------
        path : str or path, optional
            The file, which is replaced atomically.
        lang : {'en', 'vi'}
            The language of the page.
        """
        from ._html import page

        text = page(self, lang)
        if path is not None:
            write(path, text)
        return text


def _run_rows(alone: Entry, baseline: float) -> list[dict[str, Any]]:
    """Return the row of an entry with a single run."""
    (run,) = alone.runs
    row = {"score": run.score, "baseline": baseline, "loss": run.loss, "lr": alone.lr, "status": run.status}
    row |= {"dead": alone.dead, "saturated": alone.saturated, "seconds": run.seconds}
    return [row | {"calibration_error": alone.calibration_error}]


def _layer_rows(alone: Entry, baseline: float) -> list[dict[str, Any]]:
    """Return a row for each activation layer of an entry with a single run."""
    named = [f"q{100 * level:g}" for level in LEVELS]
    each = [(dict(zip(one._fields[:-1], one, strict=False)), one.quantiles) for one in alone.runs[0].pre_activations]
    return [{**row, **dict(zip(named, quantiles, strict=True))} for row, quantiles in each]


def _bin_rows(alone: Entry, baseline: float) -> list[dict[str, Any]]:
    """Return a row for each bin of the reliability curve of an entry with a single run."""
    calibration = alone.runs[0].calibration
    bins = () if calibration is None else zip(*calibration, strict=True)
    return [{"bin": i, "count": n, "confidence": c, "accuracy": a} for i, (n, c, a) in enumerate(bins)]


_ROWS: dict[str, Callable[[Entry, float], list[dict[str, Any]]]] = {"runs": _run_rows, "layers": _layer_rows, "bins": _bin_rows}
"""What a row of `Report.to_pandas` is, and what makes the rows of a training."""


def write(path: str | os.PathLike[str], text: str) -> None:
    """Write text to a file as UTF-8, replacing the file atomically."""
    from ..io._files import replacing

    with replacing(path) as file:
        file.write(text.encode())


def _finite(value: Any) -> Any:
    """Return plain data with None instead of NaN and infinity, which JSON does not support."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return value


_MAY_BE_NONE = ("protocol", "lr", "first_health", "health", "calibration")


def _infinite(value: Any) -> Any:
    """Return plain data with NaN instead of None within lists of numbers."""
    if isinstance(value, Mapping):
        return {key: one if key == "protocol" or (one is None and key in _MAY_BE_NONE) else _infinite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_infinite(one) for one in value]
    return math.nan if value is None else value


def _short(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = cells
    return "  ".join([first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(rest, widths[1:], strict=True))])
