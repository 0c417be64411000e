"""How the time of a step of ``fit`` is divided among its parts, with the GFLOP/s of matrix products in parentheses.

``fit`` reads the clock around each step of its plan and around its other work, which adds about 30 ns per reading to the parts. *gather*
collects the rows of the batch, *update* is Adam, *score* counts the accuracy, and *rest* is the remaining time of an epoch, such as
shuffling. The first column is a step of ``fit`` without reading the clock.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness import OURS, Case, Pace, Run, label
from nets import NETS, Net
from report import duration, table

from subjects import Setting

WHOLE = "step in fit"


def cases(setting: Setting) -> Iterator[tuple[Case, Pace]]:
    for net in list(NETS.values())[: 1 if setting.quick else None]:
        pace, flops = setting.pace.scaled(1, 5), dict[str, float]()
        enter = lambda peer, net=net, pace=pace, flops=flops: _pieces(peer, net, pace.slot, flops)  # noqa: E731
        yield Case(str(net), enter, flops=net.flops, once=True, notes={"piece flops": flops}), pace


def _pieces(peer: Any, net: Net, slot: float, flops: dict[str, float]) -> Mapping[str, Run]:
    """Return a run for the complete step and one for each part; the parts share a measurement, which is repeated in each round."""
    if label(peer, "") != OURS:
        return {}
    flops |= {name: work for name, (_, work) in peer.anatomy(net, 4).items() if work}
    step, count = peer.step(net)[""], 4
    unread: dict[str, tuple[float, float]] = {}

    def whole(_: int) -> float:
        start = time.perf_counter()
        step(count)
        return (time.perf_counter() - start) / count

    while whole(0) * count < slot:  # enough steps to make the constant time of a call of fit negligible
        count *= 2

    def piece(name: str) -> Run:
        def run(_: int) -> float:
            if name not in unread:
                unread.update(peer.anatomy(net, count))
            return unread.pop(name)[0]

        return run

    return {WHOLE: whole, **{name: piece(name) for name in peer.anatomy(net, 4)}}


def report(records: Sequence[dict[str, Any]]) -> list[str]:
    pieces = list(dict.fromkeys(name for record in records for name in record["values"] if name != f"{OURS} {WHOLE}"))
    rows = []
    for record in records:
        values = {name: middle for name, (middle, _, _) in record["values"].items()}
        whole = values.pop(f"{OURS} {WHOLE}", 0.0)
        rows.append([record["case"], duration(whole), *(_cell(name, values, record["piece flops"]) for name in pieces)])
    return table(["", WHOLE, *(name.removeprefix(f"{OURS} ") for name in pieces)], rows)


def _cell(name: str, values: Mapping[str, float], flops: Mapping[str, float]) -> str:
    if name not in values:
        return ""
    work = flops.get(name.removeprefix(f"{OURS} "), 0.0)
    return f"{100 * values[name] / sum(values.values()):.0f} %" + (f" ({1e-9 * work / values[name]:.0f})" if work else "")
