"""Tables that describe a net."""

from __future__ import annotations

from collections.abc import Sequence

from .. import _core
from .._arrays import sample_shape
from .._graph import Builder
from .._tables import check_count
from ..layers._base import Layer
from ..layers.linear import Linear


class Table(str):
    """Text that notebooks and the interactive interpreter show without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Described(Layer, abstract=True):
    """A layer made of others with tables of its layers and of the engine's plan."""

    def _input_shapes(self) -> list[tuple[int, ...]]:
        """Return the shape of one sample of each input; empty if it is not known yet."""
        first = next((layer for _, layer in self._leaves()), None)
        return list(self._seen) or ([(first.in_features,)] if isinstance(first, Linear) else [])

    def summary(self, shape: int | Sequence[int] | None = None) -> Table:
        """Return a table of the layers: the shape of a sample's output, parameters, their bytes, and arithmetic for a sample.

        Only products are counted, with two operations for each multiplication and addition; the arithmetic of other layers is
        negligible.

        Parameters
        ----------
        shape : int or sequence of int, optional
            Of one sample. Optional for a `Model`, for a net that starts with a `Linear`, and after a call, `fit` or `predict`. Without
            it other nets have unknown shapes and arithmetic.

        Examples
        --------
        >>> import pynn
        >>> print(pynn.Sequential(pynn.Linear(4, 8), "relu", pynn.Linear(8, 3)).summary())
        layer                                           output  parameters  bytes  FLOP
        0      Linear(in_features=4, out_features=8, bias=True)  (8,)          40    160    64
        1      ReLU()                                            (8,)           0      0     -
        2      Linear(in_features=8, out_features=3, bias=True)  (3,)          27    108    48
        67 parameters, 67 of them trained, 268 bytes; 112 FLOP per sample
        """
        rows, end = self._table(shape)
        lines = [("layer", "", "output", "parameters", "bytes", "FLOP"), *rows]
        widths = [max(len(line[k]) for line in lines) for k in range(6)]
        table = ["  ".join(f"{text:{'<' if k < 3 else '>'}{widths[k]}}" for k, text in enumerate(line)).rstrip() for line in lines]
        return Table("\n".join([*table, end]))

    def _table(self, shape: int | Sequence[int] | None) -> tuple[list[tuple[str, ...]], str]:
        """Return the cells of `summary`, and its last line."""
        shapes = [sample_shape(shape)] if shape is not None else self._input_shapes()
        outputs: dict[str, str] = {}
        flops: dict[str, float] = {}
        if shapes:
            builder = Builder(self.dtype or "float32", shapes)
            self._build(builder, "")
            graph = builder.finish()
            nodes = graph.read()
            outputs = {path: ", ".join(str(nodes[end]["shape"]) for end in ends) for path, ends in builder.made}
            for _, _, _, flop, _, node in _core.Plan(graph, 1, "predict").steps:
                path, _ = builder.owners.get(node, ("", ""))
                flops[path] = flops.get(path, 0) + flop
        rows: list[tuple[str, ...]] = []
        for name, layer in self._leaves():
            count, size = sum(p._array.size for p in layer.parameters()), sum(p._array.nbytes for p in layer.parameters())
            done = flops.get(name, 0)
            rows.append((name, repr(layer), outputs.get(name, "?"), f"{count:,}", f"{size:,}", f"{done:,.0f}" if done else "-"))
        every = self.parameters()
        total, trained = sum(p._array.size for p in every), sum(p._array.size for p in every if p.requires_grad)
        end = f"{total:,} parameters, {trained:,} of them trained, {sum(p._array.nbytes for p in every):,} bytes"
        return rows, end + (f"; {sum(flops.values()):,.0f} FLOP per sample" if shapes else "")

    def _repr_html_(self) -> str:
        """Return the table of `summary` for a notebook."""
        from html import escape

        rows, end = self._table(None)
        head = "".join(f"<th>{text}</th>" for text in ("layer", "", "output", "parameters", "bytes", "FLOP"))
        body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{escape(type(self).__name__)}: {escape(end)}</p>"

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
