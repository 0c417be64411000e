"""The table of recorded results: mean and spread over the seeds, and which labels may be best."""

from __future__ import annotations

import json
import math
import os
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Any, NamedTuple

from .. import __version__, _core, metrics
from ..io._files import replacing
from ..lab import Verdict, analyze

_WIDTH = 79
"""The width of sentences."""
_FALLING = ("seconds", "bytes")
"""Names of quantities, besides losses and metrics, of which less is better."""


class _Row(NamedTuple):
    """A recorded value."""

    test: str
    label: str
    seed: int | None
    name: str
    value: float


@dataclass
class _Group:
    """The results of one experiment.

    Attributes
    ----------
    rows : list of _Row
        In a fixed order, whatever the order in which tests ran.
    settings : dict
        Those of the marker.
    failed : int
        The number of tests that recorded results and failed.
    """

    rows: list[_Row] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    failed: int = 0

    @property
    def names(self) -> list[str]:
        return [*dict.fromkeys(row.name for row in self.rows)]

    def of(self, name: str) -> dict[str, dict[int | None, float]]:
        """Return the values of one name for each label by seed."""
        found: dict[str, dict[int | None, float]] = {}
        for row in self.rows:
            if row.name == name:
                found.setdefault(row.label, {})[row.seed] = row.value
        return found


def _grouped(records: Mapping[str, Iterable[str]], failed: Iterable[str]) -> dict[str, _Group]:
    """Return the experiments by name, in alphabetical order."""
    read = [(test, json.loads(text)) for test, texts in records.items() for text in texts]
    read.sort(key=lambda one: (one[1]["experiment"], one[1]["label"], -1 if one[1]["seed"] is None else one[1]["seed"], one[0]))
    groups: dict[str, _Group] = {}
    for test, record in read:
        group = groups.setdefault(record["experiment"], _Group())
        group.rows += [_Row(test, record["label"], record["seed"], name, value) for name, value in record["values"].items()]
        mode = group.settings.get("mode", {}) | record["settings"].pop("mode")
        group.settings |= record["settings"] | {"mode": mode}
    for group in groups.values():
        group.failed = len({row.test for row in group.rows} & {*failed})
    return groups


# ---- verdicts -------------------------------------------------------------------------------------------------------
class _Judged(NamedTuple):
    """The verdict on one quantity, or why there is none, and remarks."""

    verdict: Verdict | None
    remarks: list[str]

    @property
    def best(self) -> tuple[str, ...] | None:
        return None if self.verdict is None or self.verdict.method == "none" else self.verdict.best


def _rises(group: _Group, name: str) -> bool | None:
    """Return whether greater values are better, or None if that is unknown."""
    if name in group.settings["mode"]:
        return bool(group.settings["mode"][name] == "max")
    plain = name.removeprefix("val_").removeprefix("train_").removeprefix("test_")
    if plain in _FALLING or any(plain == row["name"] for row in _core.LOSSES):
        return False
    return metrics.rises_by_name(plain)


def _judge(group: _Group, name: str) -> _Judged:
    """Compare the labels of a group by one quantity."""
    values, rises = group.of(name), _rises(group, name)
    if len(values) < 2:
        return _Judged(None, [])
    if rises is None:
        hint = f"@pytest.mark.experiment(mode={{{name!r}: 'max'}})"
        return _Judged(None, [f"No verdict: whether greater or smaller values are better is unknown; say so with {hint}."])
    seeds = [n for n in next(iter(values.values())) if n is not None and all(n in one for one in values.values())]
    if not seeds:
        return _Judged(None, ["No verdict: the labels have no seed in common; use the fixture `seed`."])
    broken = next((label for label, one in values.items() if not all(math.isfinite(one[n]) for n in seeds)), None)
    if broken is not None:
        return _Judged(None, [f"No verdict: a value of {broken} is not finite."])
    remarks = [f"Compared on the {len(seeds)} seeds that all labels have."] if any(len(one) > len(seeds) for one in values.values()) else []
    scores = {label: [one[n] if rises else -one[n] for n in seeds] for label, one in values.items()}
    options = {key: value for key, value in group.settings.items() if key in ("test_fraction", "alpha")}
    if name == group.names[0] and "rope" in group.settings:
        options["rope"] = group.settings["rope"]
    try:
        return _Judged(analyze(scores, **options), remarks)
    except (ImportError, ValueError) as error:
        return _Judged(None, [*remarks, f"No verdict: {error}."])


# ---- text -----------------------------------------------------------------------------------------------------------
def lines(records: Mapping[str, Iterable[str]], failed: Iterable[str], width: int) -> list[str]:
    """Return the tables of all experiments as lines.

    Parameters
    ----------
    records : mapping of str to iterables of str
        The records of each test, as `Experiment.record` sends them.
    failed : iterable of str
        The tests that failed.
    width : int
        The width of the terminal; tables with more columns are divided.
    """
    found: list[str] = []
    for name, group in _grouped(records, failed).items():
        found += [*_section(name, group, max(width, 40)), ""]
    return found[:-1]


def _section(name: str, group: _Group, width: int) -> list[str]:
    judged = {quantity: _judge(group, quantity) for quantity in group.names}
    values = {quantity: group.of(quantity) for quantity in group.names}
    labels = _ordered(group, values[group.names[0]])
    counts = {label: max(len(one.get(label, ())) for one in values.values()) for label in labels}
    same = len({*counts.values()}) == 1
    head = f"{name}, {_plural(counts[labels[0]], 'seed')}" if same else name
    columns = [] if same else [["seeds", *(str(counts[label]) for label in labels)]]
    for quantity in group.names:
        best = judged[quantity].best or ()
        best = () if len(best) == len(labels) else best
        cells = _cells([[*values[quantity].get(label, {}).values()] for label in labels])
        columns.append([quantity, *(f"{'*' if label in best else ' '}{cell}" for label, cell in zip(labels, cells, strict=True))])
    found = [head, *_table(["", *labels], columns, width)]
    if any(cell.startswith("*") for _, *cells in columns for cell in cells):
        found.append(f"*: may be best, {100 - 100 * group.settings.get('alpha', 0.05):.4g} % confidence, corrected for all pairs")
    if group.failed:
        found.append(f"Includes the results of {_plural(group.failed, 'failed test')}.")
    first, *others = group.names
    sentences = [*judged[first].remarks, *(judged[first].verdict.sentences() if judged[first].verdict else [])]  # type: ignore[union-attr]
    if sentences:
        found += textwrap.wrap(f"{first}: {' '.join(sentences)}", _WIDTH)
    for quantity in others:
        if judged[quantity].remarks:
            found += textwrap.wrap(f"{quantity}: {' '.join(judged[quantity].remarks)}", _WIDTH)
    return found


def _ordered(group: _Group, values: Mapping[str, Mapping[Any, float]]) -> list[str]:
    """Return all labels, the best mean of the first quantity first if its direction is known, otherwise in alphabetical order."""
    labels = sorted({row.label for row in group.rows})
    rises = _rises(group, group.names[0])
    if rises is None:
        return labels
    means = {label: fmean(one.values()) * (1 if rises else -1) for label, one in values.items()}
    known = {label: -math.inf if math.isnan(mean) else mean for label, mean in means.items()}
    return sorted(labels, key=lambda label: known.get(label, -math.inf), reverse=True)


def _cells(columns: Sequence[Sequence[float]]) -> list[str]:
    """Return mean and standard deviation of each list of values, with two digits of the largest deviation."""
    spreads = [_spread(values) for values in columns]
    largest = max(filter(math.isfinite, spreads), default=0.0)
    digits = 1 - math.floor(math.log10(largest)) if largest else 0
    plain = largest > 0 and 0 <= digits <= 6

    def text(values: Sequence[float], spread: float) -> str:
        if not values:
            return "-"
        mean = fmean(values)
        deviation = f" ± {f'{spread:.{digits}f}' if plain else f'{spread:.2g}'}" if len(values) > 1 else ""
        return f"{f'{mean:.{digits}f}' if plain else f'{mean:.4g}'}{deviation}"

    return [text(values, spread) for values, spread in zip(columns, spreads, strict=True)]


def _spread(values: Sequence[float]) -> float:
    """Return the standard deviation; 0 for a single value, NaN if a value is not finite."""
    if not all(map(math.isfinite, values)):
        return math.nan
    return stdev(values) if len(values) > 1 else 0.0


def _table(labels: Sequence[str], columns: Iterable[Sequence[str]], width: int) -> list[str]:
    """Return the lines of a table, or of several under each other if the columns do not fit the width."""
    first = max(map(len, labels))
    parts: list[list[list[str]]] = [[]]
    used = first
    for column in columns:
        wide = max(map(len, column))
        padded = [f"  {cell:>{wide}}" for cell in column]
        if parts[-1] and used + wide + 2 > width:
            parts.append([])
            used = first
        parts[-1].append(padded)
        used += wide + 2
    found = []
    for part in parts:
        found += ["".join([f"{label:{first}}", *cells]).rstrip() for label, *cells in zip(labels, *part, strict=True)]
    return found


def _plural(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


# ---- JSON -----------------------------------------------------------------------------------------------------------
def write_json(path: str | os.PathLike[str], records: Mapping[str, Iterable[str]], failed: Iterable[str]) -> None:
    """Write all results, and the verdict on each quantity, to a file."""
    groups = _grouped(records, {*failed})
    experiments = [
        {"name": name, "settings": group.settings, "failed tests": group.failed, "quantities": [_plain(group, one) for one in group.names]}
        for name, group in groups.items()
    ]
    rows = [{"experiment": name, **row._asdict()} for name, group in groups.items() for row in group.rows]
    content = {"version": __version__, "instruction set": _core.isa(), "experiments": experiments, "results": rows}
    with replacing(path) as file:
        file.write((json.dumps(_finite(content), indent=1, allow_nan=False) + "\n").encode())


def _plain(group: _Group, name: str) -> dict[str, Any]:
    judged = _judge(group, name)
    labels = {}
    for label, values in group.of(name).items():
        numbers = [*values.values()]
        labels[label] = {"seeds": len(numbers), "mean": fmean(numbers), "spread": _spread(numbers) if len(numbers) > 1 else None}
    sentences = [*judged.remarks, *(judged.verdict.sentences() if judged.verdict else [])]
    return {"name": name, "labels": labels, "best": None if judged.best is None else [*judged.best], "verdict": sentences}


def _finite(value: Any) -> Any:
    """Return data for JSON in which numbers that are not finite are text."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)
