"""Tables that describe a net."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from .. import _core
from .._arrays import sample_shape
from .._graph import Builder
from .._tables import check_count
from ..layers._base import Layer
from ..layers._flow import Flow
from ..layers._words import described
from ..layers.linear import Linear

_WIDTH = 79
"""The largest width of a table of layers."""
_NARROWEST = (8, 12, 8)
"""The widths to which the columns of names, descriptions and inputs may be shortened."""


class Table(str):
    """Text that notebooks and the interactive interpreter show without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _fitted(widths: list[int], texts: Sequence[int]) -> list[int]:
    """Return widths of columns that fit a line; the columns of texts are shortened, the widest first."""
    while sum(widths) + 2 * (len(widths) - 1) > _WIDTH:
        long = [k for k in texts if widths[k] > _NARROWEST[k]]
        if not long:
            break
        widths[max(long, key=lambda k: widths[k])] -= 1
    return widths


def _cut(text: str, width: int) -> str:
    """Shorten a text to a width. What it says in parentheses at its end, such as (frozen), is kept."""
    if len(text) <= width:
        return text
    end = text[text.rindex(" (") :] if text.endswith("frozen)") else ""
    return f"{text[: max(width - 3 - len(end), 0)]}...{end}"[:width]


def _indented(layer: Layer) -> str:
    children = layer._children()
    if not children or layer._is_custom:
        return repr(layer)
    lines = [f"  ({name}): " + _indented(child).replace("\n", "\n  ") for name, child in children.items()]
    return "\n".join([f"{type(layer).__name__}(", *lines, ")"])


class Described(Layer, abstract=True):
    """A layer made of others with tables of its layers and of the engine's plan."""

    def _input_shapes(self) -> list[tuple[int, ...]]:
        """Return the shape of one sample of each input; empty if it is not known yet."""
        first = next((layer for _, layer in self._leaves()), None)
        return list(self._seen) or ([(first.in_features,)] if isinstance(first, Linear) else [])

    def summary(self, shape: int | Sequence[int] | None = None) -> Table:
        """Return a table of the layers: the shape of a sample's output, the number of parameters, and arithmetic for a sample.

        Only products are counted, with two operations for each multiplication and addition; the arithmetic of other layers is
        negligible. Nets that are no chain of layers have a column with the layers from which each one gets its inputs. Long
        descriptions are shortened, so that the table is at most 79 columns wide.

        Parameters
        ----------
        shape : int or sequence of int, optional
            Of one sample. Optional for a `Model`, for a net that starts with a `Linear`, and after a call, `fit` or `predict`. Without
            it other nets have unknown shapes and arithmetic.

        Examples
        --------
        >>> import pynn
        >>> print(pynn.Sequential(pynn.Linear(4, 8), "relu", pynn.Linear(8, 3)).summary())
        layer                 output  parameters  FLOP
        0      Linear 4 -> 8  (8,)            40    64
        1      ReLU           (8,)             0     -
        2      Linear 8 -> 3  (3,)            27    48
        67 parameters, all trainable; 268 bytes; 112 FLOP per sample
        """
        rows, end = self._table(shape)
        lines = [(("layer", "", "connected to", "output", "parameters", "FLOP"), ""), *rows]
        shown = [k for k in range(6) if k != 2 or any(cells[2] for cells, _ in rows)]
        texts = [[f"{cells[k]}{f' ({frozen})' if k == 1 and frozen else ''}" for k in shown] for cells, frozen in lines]
        widths = _fitted([max(map(len, column)) for column in zip(*texts, strict=True)], [at for at in shown if at < 3])
        sides = ["<" if at < 4 else ">" for at in shown]
        table = [
            "  ".join(f"{_cut(text, width):{side}{width}}" for text, width, side in zip(line, widths, sides, strict=True)) for line in texts
        ]
        return Table("\n".join([*map(str.rstrip, table), *textwrap.wrap(end, _WIDTH)]))

    def _table(self, shape: int | Sequence[int] | None) -> tuple[list[tuple[tuple[str, ...], str]], str]:
        """Return the cells of each layer in `summary` with "frozen", "partly frozen" or "", and the last line."""
        shapes = [sample_shape(shape)] if shape is not None else self._input_shapes()
        outputs: dict[str, str] = {}
        flops: dict[str, float] = {}
        if shapes:
            builder = Builder(self.dtype or "float32", shapes)
            self._build(builder, "")
            graph = builder.finish()
            nodes = graph.read()
            outputs = {path: ", ".join(str(nodes[end]["shape"]) for end in ends) for path, ends in builder.made}
            for _, _, _, amount, _, node in _core.Plan(graph, 1, "predict").steps:
                path, _ = builder.owners.get(node, ("", ""))
                flops[path] = flops.get(path, 0) + amount
        rows: list[tuple[tuple[str, ...], str]] = []
        sources = self._sources()
        for name, layer in self._leaves():
            own = layer.parameters()
            done, trained = flops.get(name, 0), sum(p.requires_grad for p in own)
            frozen = "" if trained == len(own) else "partly frozen" if trained else "frozen"
            count = f"{sum(p._array.size for p in own):,}"
            flop = f"{done:,.0f}" if done else "-"
            rows.append(((name, described(layer), sources.get(name, ""), outputs.get(name, "?"), count, flop), frozen))
        return rows, self._totals(sum(flops.values()) if shapes else None)

    def _totals(self, flop: float | None) -> str:
        every = self.parameters()
        total, trained = sum(p._array.size for p in every), sum(p._array.size for p in every if p.requires_grad)
        share = "all trainable" if trained == total else f"{trained:,} of them trainable" if trained else "all frozen"
        parameters = f"{total:,} parameter{'s' * (total != 1)}, {share}" if total else "no parameters"
        size = f"; {sum(p._array.nbytes for p in every):,} bytes" if total else ""
        return f"{parameters}{size}" + (f"; {flop:,.0f} FLOP per sample" if flop is not None else "")

    def _sources(self) -> dict[str, str]:
        """Return for each layer the names of the layers whose outputs it gets; empty if the layers form a chain."""
        flow = Flow()
        self._flow(flow, ())
        uses = flow.sources()
        if len({layer for layer, _ in uses}) == len(uses) and all(found == [k - 1] * (k > 0) for k, (_, found) in enumerate(uses)):
            return {}
        names: dict[int, str] = {}
        for name, layer in self._leaves():
            names.setdefault(id(layer), name)
        found: dict[str, dict[str, None]] = {}
        for user, inputs in uses:
            if user in names:
                known = [names.get(uses[k][0], "?") for k in inputs] or ["input"]
                found.setdefault(names[user], {}).update(dict.fromkeys(known))
        return {name: ", ".join(known) for name, known in found.items()}

    def __str__(self) -> str:
        """Return the layers with their settings, one on each line, as PyTorch prints them."""
        return _indented(self)

    def _repr_html_(self) -> str:
        """Return the table of `summary` for a notebook."""
        from html import escape

        from .html import html_table

        rows, end = self._table(None)
        shown = [k for k in range(6) if k != 2 or any(cells[2] for cells, _ in rows)]
        names = ("layer", "", "connected to", "output", "parameters", "FLOP")
        texts = [[f"{cells[k]} ({frozen})" if k == 1 and frozen else cells[k] for k in shown] for cells, frozen in rows]
        dim = [frozen == "frozen" for _, frozen in rows]
        table = html_table([names[k] for k in shown], texts, texts=sum(k < 4 for k in shown), frozen=dim)
        return f"{table}<p>{escape(type(self).__name__)}: {escape(end)}</p>"

    def plan_summary(self, shape: int | Sequence[int] | None = None, *, rows: int = 32, mode: str = "train") -> Table:
        """Return a table of the steps of the engine for a batch: fused operations, arithmetic and memory.

        Parameters
        ----------
        shape : int or sequence of int, optional
            Of one sample. Optional for a `Model`, for a net that starts with a `Linear`, and after a call, `fit` or `predict`.
        rows : int
            Samples in the batch.
        mode : {'train', 'backward', 'predict'}
            A step of `fit` (without its loss and update), a call that keeps what ``backward`` needs, or `predict`.

        Examples
        --------
        >>> import pynn
        >>> print(pynn.Sequential(pynn.Linear(4, 8), "relu", pynn.Linear(8, 3)).plan_summary(rows=10, mode="predict"))
        step                 layer             FLOP
        linear + activation  layer 0 (Linear)   640
        linear               layer 2 (Linear)   480
        2 steps, 1,120 FLOP; ... bytes of memory for buffers that would take ... if none were shared
        """
        shapes = [sample_shape(shape)] if shape is not None else self._input_shapes()
        if not shapes:
            raise ValueError("shape: expected that of one sample, such as (1, 28, 28), which is not known before fit or predict")
        check_count("rows", rows, 1)
        builder = Builder(self.dtype or "float32", shapes, writes=mode != "predict")
        self._build(builder, "")
        plan = _core.Plan(builder.finish(), rows, mode)
        lines = [("step", "layer", "FLOP"), *((what, where, f"{flops:,.0f}" if flops else "") for what, where, _, flops, *_ in plan.steps)]
        widths = [max(len(line[k]) for line in lines) for k in range(3)]
        table = [f"{what:<{widths[0]}}  {where:<{widths[1]}}  {flops:>{widths[2]}}" for what, where, flops in lines]
        total = sum(step[3] for step in plan.steps)
        memory = f"{plan.bytes:,} bytes of memory for buffers that would take {plan.bytes_unshared:,} if none were shared"
        return Table("\n".join([*(line.rstrip() for line in table), f"{len(plan.steps)} steps, {total:,.0f} FLOP; {memory}"]))
