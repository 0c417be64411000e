"""What a step of ``fit`` is made of, in shares of its time.

The plan's own steps are timed one by one inside C, with a clock around each (about 50 ns a step); *loss* is what the forward and
backward pass take beyond their steps, *update* is Adam, and *rest* is what ``fit`` takes beyond all that: drawing and gathering the batch,
keeping the score, asking whether to stop.
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
        pace = setting.pace.scaled(1, 5)
        yield Case(str(net), lambda peer, net=net, pace=pace: _pieces(peer, net, pace.slot), flops=net.flops, once=True), pace


def _pieces(peer: Any, net: Net, slot: float) -> Mapping[str, Run]:
    """Return a run for the whole step, and one for each piece; those read one measurement, taken anew when one of them asks again."""
    if label(peer, "") != OURS:
        return {}
    start = time.perf_counter()
    names = list(peer.anatomy(net, 4))
    count = 4 + int(4 * slot / (time.perf_counter() - start))
    step = peer.step(net)[""]
    unread: dict[str, float] = {}

    def whole(_: int) -> float:
        start = time.perf_counter()
        step(count)
        return (time.perf_counter() - start) / count

    def piece(name: str) -> Run:
        def run(_: int) -> float:
            if name not in unread:
                unread.update(peer.anatomy(net, count))
            return unread.pop(name)

        return run

    return {WHOLE: whole, **{name: piece(name) for name in names}}


def report(records: Sequence[dict[str, Any]]) -> list[str]:
    shares = {record["case"]: _shares(record) for record in records if record["values"]}
    pieces = list(dict.fromkeys(piece for row in shares.values() for piece in row))
    whole = {record["case"]: record["values"][f"{OURS} {WHOLE}"][0] for record in records if record["values"]}
    rows = [[case, duration(whole[case]), *(f"{100 * row[p]:.0f} %" if p in row else "" for p in pieces)] for case, row in shares.items()]
    return table(["", WHOLE, *pieces], rows)


def _shares(record: Mapping[str, Any]) -> dict[str, float]:
    values = {name.removeprefix(f"{OURS} "): value[0] for name, value in record["values"].items()}
    whole = values.pop(WHOLE)
    return {**{name: seconds / whole for name, seconds in values.items()}, "rest": 1 - sum(values.values()) / whole}
