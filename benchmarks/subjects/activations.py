"""Activations and their derivatives: time of PyTorch divided by that of pynn.

*forward*: ``pynn.f(x, out=y)`` against aten's out variant. *derivative*: ``pynn.grad.f(x, out=d)`` against aten's backward kernel with an
output array. That kernel also reads and multiplies by the gradient, and for sigmoid, tanh and softmax it is given the output of forward,
where pynn.grad starts from x. *backward*: ``layer.backward(g)`` against the same kernel; both allocate a new array, and the time of pynn
includes the Python layer. *copy*: pynn's speed as a fraction of the machine's speed of copying the same arrays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from harness import OURS, Case, Pace, discipline, geometric_mean, records_of
from report import ratio, table

from subjects import Setting

FUNCTIONS = ("relu", "leaky_relu", "sigmoid", "tanh", "gelu", "gelu_tanh", "silu", "mish", "elu", "softplus", "softmax")
OTHERS = ("log_softmax", "hardtanh", "hardsigmoid", "hardswish", "hardshrink", "softshrink")
DIRECTIONS = ("forward", "derivative", "backward")
SHAPES = {"100": (1, 100), "32k": (320, 100), "1M": (1000, 1000), "16M": (16000, 1000)}


def cases(setting: Setting) -> Iterator[tuple[Case, Pace]]:
    functions = FUNCTIONS[:2] if setting.quick else FUNCTIONS + OTHERS * setting.everything
    shapes = dict(list(SHAPES.items())[: 1 if setting.quick else 4 if setting.everything else 3])
    for size, shape in shapes.items():
        for dtype in ("float32", "float64"):
            r = np.random.default_rng(0)
            x, g = 2 * r.standard_normal(shape).astype(dtype), r.standard_normal(shape).astype(dtype)
            for direction in DIRECTIONS:
                for name in functions:
                    if direction != "derivative" or "softmax" not in name:
                        enter = discipline("activation", name, direction, x, g)
                        arrays = 3 if direction == "backward" else 2
                        yield Case(f"{direction}/{dtype}/{name}/{size}", enter, bytes=arrays * x.nbytes), setting.pace.scaled(1, 0.3)


def report(records: Sequence[dict[str, Any]]) -> list[str]:
    lines = []
    peers = sorted({peer for record in records for peer in record["ratios"] if not peer.startswith("machine")})
    for peer in peers:
        for direction in DIRECTIONS:
            for dtype in ("float32", "float64"):
                lines += _table(list(records_of(records, direction, dtype)), peer, f"{direction}, {dtype}, {peer} / pynn")
        lines += _summary(records, peer)
    return lines


def _table(records: Sequence[dict[str, Any]], peer: str, title: str) -> list[str]:
    cells: dict[str, dict[str, str]] = {}
    for record in records:
        _, _, name, size = record["case"].split("/")
        row = cells.setdefault(name, {})
        row[size] = ratio(record, peer)
        if record["ratios"].get("machine copy"):
            row[f"{size}, copy"] = f"{100 * record['ratios']['machine copy'][0]:.0f} %"
    columns = list(dict.fromkeys(column for row in cells.values() for column in row))
    rows = [[name, *(row.get(column, "") for column in columns)] for name, row in cells.items()]
    return [f"**{title}**", "", *table(["", *columns], rows)] if rows else []


def _summary(records: Sequence[dict[str, Any]], peer: str) -> list[str]:
    rows = []
    for direction in DIRECTIONS:
        ratios = {r["case"]: r["ratios"][peer][0] for r in records_of(records, direction) if peer in r["ratios"] and OURS in r["values"]}
        if ratios:
            worst = min(ratios, key=ratios.__getitem__)
            rows.append([direction, f"{geometric_mean(list(ratios.values())):.2f}", f"{ratios[worst]:.2f}", worst.partition("/")[2]])
    return table([f"{peer} / pynn", "geometric mean", "worst", "which"], rows)
