"""The explanation of a step as text of at most 79 columns."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .._arrays import Array
    from .explain import LossRecord, NodeRecord, StepExplanation

WIDTH = 79
MOST = 32
"""The largest size of an array that is shown in full."""


def text(e: StepExplanation) -> str:
    """Return the explanation as text."""
    lines = [
        f"One training step of {e.net} on {e.rows} row{'s' * (e.rows != 1)}, {e.dtype}: loss {e.loss:.6g}",
        "v0, v1, ... are the outputs of the nodes; dv is the derivative of the loss with respect to v.",
        "",
        "FORWARD",
    ]
    lines[1:2] = textwrap.wrap(lines[1], WIDTH)
    for r in e.nodes:
        lines += _forward(r)
    lines += ["", "LOSS"]
    for loss in e.losses:
        lines += _loss(loss)
    lines += ["", "BACKWARD"]
    for r in reversed(e.nodes):
        lines += _backward(r, e.nodes)
    if e.optimizer is not None:
        lines += ["", "UPDATE", *_wrapped(f"step {e.step} of {e.optimizer}", "")]
        lines += [line for part in e.optimizer_formula.split(";") if part for line in _wrapped(part.strip(), "  ")]
        lines += _wrapped(f"no update: {e.note}", "  ") if e.note else []
        for r in e.nodes:
            lines += _update(r)
    return "\n".join(line.rstrip() for line in lines)


def title(r: NodeRecord, layer: str = "layer", source: str = "input") -> str:
    """Return a node's number, layer and class; ``layer`` and ``source`` are the words for a layer and an input."""
    if r.kind == "input":
        return f"v{r.node}: {source}"
    return f"v{r.node}: {layer} {r.layer} ({r.cls})" + (f", {r.kind}" if r.kind.replace("_", "") not in r.cls.lower() else "")


_VARIABLE = re.compile(r"(?<![\w.])(d?)(x\d*|y)\b(?!hat)")


def placed(line: str, r: NodeRecord) -> str:
    """Return a formula with x and y replaced by the names of the nodes; formulas of a function f are unchanged."""
    if line.startswith(("f(", "f'(")):
        return line

    def named(m: re.Match[str]) -> str:
        d, name = m.groups()
        return f"{d}v{r.node if name == 'y' else r.inputs[int(name[1:] or 0)]}"

    return _VARIABLE.sub(named, line)


def added(line: str, r: NodeRecord, nodes: tuple[NodeRecord, ...]) -> str:
    """Return the formula of a gradient, with ``+=`` if several nodes read the input."""
    name, equals, rest = line.partition(" = ")
    shared = re.fullmatch(r"dv(\d+)", name)
    is_sum = shared and (len(nodes[int(shared[1])].consumers) > 1 or r.inputs.count(int(shared[1])) > 1)
    return f"{name} += {rest}" if equals and is_sum else line


def _forward(r: NodeRecord) -> Iterator[str]:
    yield ""
    yield from _wrapped(title(r), "")
    for line in r.formulas:
        yield from _wrapped(placed(line, r), "  ")
    for p in r.parameters.values():
        yield from shown(p.name, p.value)
    for name, a in r.drawn.items():
        yield from shown(f"{name}, drawn with seed {r.settings['seed']}", a)
    yield from shown(f"v{r.node}", r.value)


def _loss(loss: LossRecord) -> Iterator[str]:
    names = ", ".join(f"v{node}" for node in loss.nodes)
    yield from _wrapped(f"{loss.name} of {names}" + (f", times {loss.factor:.6g}" if loss.factor != 1 else ""), "")
    yield from _wrapped(f"l = {loss.formula}", "  ")
    yield from _wrapped(reduced(loss), "  ")
    for name, value in loss.settings.items():
        if value is not None:
            yield from shown(name, value) if isinstance(value, np.ndarray) else [f"  {name} = {value}"]
    if loss.output is not None:
        yield from _wrapped(f"uses the input of layer {loss.output_layer}; the output of that layer:", "  ")
        yield from shown("output", loss.output)
    if loss.target is not None:
        yield from shown("t", loss.target)
    yield f"  loss = {loss.value:.6g}"
    if loss.gradient_formula is not None:
        yield from _wrapped(f"dl/dx = {loss.gradient_formula}", "  ")
    for node, g in zip(loss.nodes, loss.gradients, strict=True):
        yield from shown(f"dv{node}, from this loss", g)


def reduced(loss: LossRecord) -> str:
    """Return the formula of the reduction of the values l."""
    names = ", ".join(f"{'xzn'[i]} = v{node}" for i, node in enumerate(loss.nodes))
    how = {"mean": "mean(l)", "sum": "sum(l)", "batchmean": "sum(l) / rows", "none": "sum(l)"}[loss.reduction]
    return f"loss = {how}, {names}"


def _backward(r: NodeRecord, nodes: tuple[NodeRecord, ...]) -> Iterator[str]:
    yield ""
    yield from _wrapped(title(r), "")
    if r.gradient is None:
        yield "  no gradient reaches this node"
    else:
        yield from shown(f"dv{r.node}", r.gradient)
    for line in r.gradient_formulas:
        yield from _wrapped(added(placed(line, r), r, nodes), "  ")
    if len(r.consumers) > 1:
        yield from _wrapped(f"dv{r.node} is the sum of the contributions of v{', v'.join(map(str, r.consumers))}", "  ")
    for p in r.parameters.values():
        if p.gradient is not None:
            yield from shown(f"d{p.name}", p.gradient)
        elif not p.is_state:
            yield f"  {p.name} is frozen"


def _update(r: NodeRecord) -> Iterator[str]:
    changed = [p for p in r.parameters.values() if p.updated is not None]
    if changed:
        yield ""
        yield from _wrapped(title(r), "")
    for p in changed:
        yield from shown(f"new {p.name}", p.updated)


def _wrapped(line: str, indent: str) -> list[str]:
    return textwrap.wrap(line, WIDTH, initial_indent=indent, subsequent_indent=indent + "    ") or [indent]


def numbers(a: Array | None, width: int = WIDTH) -> str:
    """Return a small array in full, and a large one as its shape, mean, minimum and maximum."""
    if a is None:
        return "-"
    a = a + 0 if a.dtype.kind == "f" else a  # -0.0 is shown as 0
    if a.size <= MOST:
        with np.printoptions(precision=6, linewidth=width, threshold=MOST + 1, suppress=_is_plain(a)):
            return str(a)
    if a.dtype.kind not in "fiu" or a.size == 0:
        return f"shape {a.shape}, {a.dtype}"
    with np.errstate(all="ignore"):
        return f"shape {a.shape}, mean {a.mean(dtype=np.float64):.6g}, min {a.min():.6g}, max {a.max():.6g}"


def _is_plain(a: Array) -> bool:
    """Return whether fixed-point notation shows enough digits of the smallest number."""
    if a.dtype.kind != "f":
        return True
    with np.errstate(all="ignore"):
        size = np.abs(a[(a != 0) & np.isfinite(a)])
    return not size.size or bool(size.min() >= 1e-4 and size.max() < 1e6)


def shown(name: str, a: Array | None) -> list[str]:
    """Return the lines of an array with its name, indented."""
    head = f"  {name} = "
    body = numbers(a, WIDTH - 4).splitlines()
    if len(body) == 1 and len(head) + len(body[0]) <= WIDTH:
        return [head + body[0]]
    return [*_wrapped(f"{name} =", "  "), *(part for line in body for part in _wrapped_row(line))]


def _wrapped_row(line: str) -> list[str]:
    return [f"    {line}"] if len(line) <= WIDTH - 4 else textwrap.wrap(line, WIDTH, initial_indent="    ", subsequent_indent="      ")
