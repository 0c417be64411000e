"""Time the contestants of a case in turn in one process, so that a slow period of the machine affects all of them."""

from __future__ import annotations

import gc
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Run = Callable[[int], float | None]
"""Repeats its work n times and returns the seconds that it measured, or None to use the wall-clock time."""

OURS = "pynn"
"""The contestant to which ratios are relative."""


BUSY = 0.2
"""A record is marked if other processes used at least this number of CPUs."""


@dataclass
class Case:
    """One comparison. ``enter(peer)`` returns the contestants of a peer by variant; ``flops`` and ``bytes`` are per repetition."""

    name: str
    enter: Callable[[Any], Mapping[str, Run]]
    flops: float = 0
    bytes: float = 0
    unit: str = "s"
    once: bool = False
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pace:
    """The length of a case: ``rounds`` in which each contestant runs for ``slot`` seconds, ended early after ``limit`` seconds."""

    rounds: int = 11
    slot: float = 0.01
    limit: float = 15.0
    quick: bool = False

    def scaled(self, rounds: float = 1, slot: float = 1) -> Pace:
        """Return this pace with scaled rounds and slots; a quick pace is not changed."""
        return self if self.quick else Pace(max(3, round(self.rounds * rounds)), self.slot * slot, self.limit)


QUICK = Pace(rounds=2, slot=0.0005, limit=1.0, quick=True)
LEAST_ROUNDS = 2


def repeat(call: Callable[[], object], wait: Callable[[], object] | None = None) -> Run:
    """Return a run that repeats a call; ``wait`` is called once at its end."""

    def run(n: int) -> None:
        for _ in range(n):
            call()
        if wait:
            wait()

    return run


def discipline(name: str, *arguments: object) -> Callable[[Any], Mapping[str, Run]]:
    """Return the ``enter`` of a case for the peers that have a function ``name``."""

    def enter(peer: Any) -> Mapping[str, Run]:
        return getattr(peer, name)(*arguments) if hasattr(peer, name) else {}

    return enter


def label(peer: Any, variant: str) -> str:
    """Return the name of a contestant: the file of the peer, and the variant if there are several."""
    return f"{peer.__name__.rpartition('.')[2]} {variant}".strip()


def measure(case: Case, peers: Sequence[Any], pace: Pace) -> dict[str, Any]:
    """Run a case and return its record: median, 10th and 90th percentile, and the ratio to pynn for each contestant."""
    runs: dict[str, Run] = {}
    errors: dict[str, str] = {}
    for peer in peers:
        try:
            runs |= {label(peer, variant): run for variant, run in case.enter(peer).items()}
        except Exception as error:  # a failing contestant is reported and does not stop the others
            errors[label(peer, "")] = _sentence(error)
    before = _cpu_seconds(), time.process_time(), time.perf_counter()
    rounds = _run_rounds(runs, pace, case.once, errors)
    others = ((_cpu_seconds() - before[0]) - (time.process_time() - before[1])) / (time.perf_counter() - before[2])
    return {
        "case": case.name,
        "unit": case.unit,
        "flops": case.flops,
        "bytes": case.bytes,
        "values": {name: _spread(values) for name, values in rounds.items()},
        "ratios": _ratios(rounds),
        "ratios of the best": {name: min(values) / min(rounds[OURS]) for name, values in rounds.items()} if OURS in rounds else {},
        "rounds": max(map(len, rounds.values()), default=0),
        "other load": round(max(0.0, others), 2),
        "errors": errors,
        **{name: value() if callable(value) else value for name, value in case.notes.items()},
    }


def _run_rounds(runs: Mapping[str, Run], pace: Pace, once: bool, errors: dict[str, str]) -> dict[str, list[float]]:
    counts = {}
    for name, run in runs.items():
        try:
            counts[name] = 1 if once else _calibrate(run, pace.slot)
        except Exception as error:
            errors[name] = _sentence(error)
    names = list(counts)
    rounds: dict[str, list[float]] = {name: [] for name in names}
    start = time.perf_counter()
    gc.collect()
    gc.disable()
    try:
        for i in range(pace.rounds if names else 0):
            for name in names[i % len(names) :] + names[: i % len(names)]:
                _settle()
                if not once:
                    runs[name](1)  # evict the data of other contestants from the caches
                rounds[name].append(_once(runs[name], counts[name]))
            if i + 1 >= LEAST_ROUNDS and time.perf_counter() - start > pace.limit:
                break
    finally:
        gc.enable()
    return rounds


def _settle() -> None:
    """Wait at most a second until idle threads of libraries stop spinning; those of OpenBLAS spin for a tenth of a second."""
    for _ in range(100):
        before = time.process_time()
        time.sleep(0.01)
        if time.process_time() - before < 0.001:
            return


def _once(run: Run, n: int) -> float:
    start = time.perf_counter()
    own = run(n)
    wall = time.perf_counter() - start
    return (wall if own is None else own) / n


def _calibrate(run: Run, slot: float) -> int:
    """Return the number of repetitions that fill a slot."""
    run(1)
    n = 1
    while True:
        start = time.perf_counter()
        run(n)
        took = time.perf_counter() - start
        if took >= slot:
            return n
        n = max(2 * n, min(100 * n, math.ceil(n * slot / max(took, 1e-9))))


def _spread(values: Sequence[float]) -> list[float]:
    """Return median, 10th and 90th percentile."""
    ordered = sorted(values)
    return [statistics.median(ordered), ordered[round(0.1 * (len(ordered) - 1))], ordered[round(0.9 * (len(ordered) - 1))]]


def _ratios(rounds: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Return each contestant's value over ours: ratio of the medians, and the spread of the ratios within a round."""
    ours = rounds.get(OURS)
    if not ours:
        return {}
    ratios = {}
    for name, values in rounds.items():
        if name != OURS:
            each = _spread([theirs / mine for theirs, mine in zip(values, ours, strict=True)])
            ratios[name] = [statistics.median(values) / statistics.median(ours), *each[1:]]
    return ratios


def _sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0][:200]


def _cpu_seconds() -> float:
    """Return the CPU time that the whole machine has used (Linux), or nan if it is not available."""
    try:
        with open("/proc/stat") as stat:
            fields = [int(text) for text in stat.readline().split()[1:9]]
    except OSError:
        return math.nan
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean, or nan without values."""
    return math.exp(statistics.fmean(map(math.log, values))) if values else math.nan


def records_of(records: Sequence[Mapping[str, Any]], *names: str) -> Iterator[Mapping[str, Any]]:
    """Yield the records whose case starts with these names, such as ``forward/float32``."""
    for record in records:
        if tuple(record["case"].split("/")[: len(names)]) == names:
            yield record
