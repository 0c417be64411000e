"""Parameters, buffers, and the graph under construction that layers add nodes to."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from . import _core
from ._arrays import _DTYPES, Array, real_array, writable, zeros
from ._random import reserve_values

if TYPE_CHECKING:
    from .layers._base import Layer

_set = object.__setattr__
"""Sets an attribute that is no setting, where every call does so; ``self.__dict__`` would make later look-ups slower."""


class _StableArray:
    """An array that plans point to, with its lock. Assigning to it copies values into the array that is there.

    An array that cannot be written, such as one that joblib maps from a file or that pickle was given out of band, is used as it is to
    predict, and replaced by a copy when something asks for ``data``.
    """

    name: str
    optional = False
    """May a state lack it?"""
    _array: Array
    _is_readonly = False
    """Whether the arrays cannot be written."""

    def _attach(self, array: Array) -> None:
        self._array = array
        self._gate = _core.Gate()

    @property
    def data(self) -> Array:
        """The values."""
        return self._make_writable() if self._is_readonly else self._array

    @data.setter
    def data(self, value: ArrayLike) -> None:
        own = self.data
        if own is not value:
            new = self._checked_values("data", value, own)
            with _core.Writing((self._gate,)):
                own[...] = new

    def _checked_values(self, attribute: str, value: ArrayLike, own: Array) -> Array:
        where = f"{self.name}.{attribute}" if self.name else attribute
        new = real_array(value, where)
        if new.shape != own.shape:
            raise ValueError(f"{where}: shape {new.shape}, expected {own.shape}; a parameter keeps its array, values are copied into it")
        return new

    def _make_writable(self) -> Array:
        """Replace arrays that cannot be written by copies, and return the values. Of several threads, all use the copy of the first."""
        self._array = self.__dict__.setdefault("_writable_copy", writable(self._array))
        self._is_readonly = False
        _core.note_move()
        return self._array

    def __getstate__(self) -> dict[str, Any]:
        return {"data": self._array, **{k: v for k, v in self.__dict__.items() if k not in _NOT_IN_STATE}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        rest = dict(state)
        self._attach(np.require(rest.pop("data"), requirements=["C", "A"]))
        self._is_readonly = not self._array.flags.writeable
        self.__dict__.update(rest)

_NOT_IN_STATE = frozenset(("_array", "_grad", "_gate", "_is_readonly", "_writable_copy", "_writable_grad_copy", "_since"))
"""Attributes of a parameter that its state has under other names, or not at all."""

_moments = itertools.count(1)


def moment() -> int:
    """Return a number larger than all before: it dates changes of layers, and optimizers."""
    return next(_moments)


class ParameterList(list["Parameter"]):
    """The parameters of a layer, with the layer: an optimizer that is given them follows the layer when its parts change."""

    def __init__(self, parameters: Iterable[Parameter], layer: Layer) -> None:
        super().__init__(parameters)
        self.layer = layer


class Parameter(_StableArray):
    """An array that is learnt, and its gradient.

    Parameters
    ----------
    data : array_like
        The values, float32 or float64 (kept as they are; other real numbers become float32). A C-contiguous array is used in
        place, so its owner sees it change.
    name : str
        For messages.

    Attributes
    ----------
    data, grad : numpy.ndarray
        Same shape and dtype; their addresses never change: ``p.data = a`` copies the values of ``a``.
    requires_grad : bool
        Whether training changes it.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> p = pynn.Parameter(np.zeros((2, 3)))
    >>> p.grad.shape
    (2, 3)
    """

    def __init__(self, data: ArrayLike, name: str = "", *, requires_grad: bool = True) -> None:
        a = real_array(data, "data")
        reserve_values(a.size)
        self._attach(np.require(a, a.dtype if a.dtype.name in _DTYPES else np.float32, ["C", "A", "W"]))
        self._grad: Array = zeros(a.shape, self._array.dtype)
        self.name = name
        self.requires_grad = requires_grad

    _since = 0
    """When training was last allowed to change it again."""

    def __setattr__(self, attribute: str, value: Any) -> None:
        if attribute == "requires_grad" and value and not self.__dict__.get(attribute, True):
            self.__dict__["_since"] = moment()
        super().__setattr__(attribute, value)

    @property
    def grad(self) -> Array:
        """The gradient."""
        if self._is_readonly:
            self._make_writable()
        return self._grad

    @grad.setter
    def grad(self, value: ArrayLike) -> None:
        own = self.grad
        if own is not value:
            own[...] = self._checked_values("grad", value, own)

    def _make_writable(self) -> Array:
        self._grad = self.__dict__.setdefault("_writable_grad_copy", writable(self._grad))
        return super()._make_writable()

    def __getstate__(self) -> dict[str, Any]:
        return {"grad": self._grad, **super().__getstate__()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        rest = dict(state)
        self._grad = np.require(rest.pop("grad"), requirements=["C", "A"])
        super().__setstate__(rest)
        self._is_readonly = self._is_readonly or not self._grad.flags.writeable

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return self._array.shape

    def __repr__(self) -> str:
        return f"<Parameter {self.name or 'unnamed'}: {self._array.dtype} {self.shape}{'' if self.requires_grad else ', frozen'}>"


class Buffer(_StableArray):
    """An array that belongs to a layer's state and is not learnt, such as a running mean: its address never changes."""

    grad: Array | None = None
    requires_grad = False

    def __init__(self, data: Array, name: str, *, optional: bool = False) -> None:
        reserve_values(data.size)
        self._attach(data)
        self.name = name
        self.optional = optional


class Builder:
    """A graph under construction, as layers see it.

    Attributes
    ----------
    nodes : tuple of int
        Behind which the next layer is added: one, or several where branches have not met; a layer with branches sets it.
    training : bool
        Whether layers that behave differently in training do so, each if its own ``training`` is set too.
    random : bool
        Whether any layer so far draws random numbers.
    dtype : str
        What the graph computes in.
    batched : bool
        Whether the first axis of the whole array is the batch.
    skip : frozenset of str
        Names of layers to leave out where a sample has one axis, because a loss replaces them.
    skipped : set of str
        Those that were left out.
    writes : bool
        Whether calls write parameters, buffers or gradients. Without it, arrays that cannot be written stay as they are.
    made : list of (str, list of tuple of int)
        Each part of the net by its name, and the shapes of a sample of its outputs.
    owners : dict of int to (str, str)
        Each of the graph's nodes, and the name and class of the layer that it belongs to.
    """

    def __init__(
        self, dtype: str, shapes: Sequence[tuple[int, ...]], *, batched: bool = True, training: bool = True, writes: bool = False
    ) -> None:
        self.graph = _core.Graph(dtype, shapes[0])
        self.nodes = (0, *map(self.graph.input, shapes[1:]))
        self.dtype = dtype
        self.batched = batched
        self.skip: frozenset[str] = frozenset()
        self.skipped: set[str] = set()
        self._path: list[str] = []
        self.training = training
        self.writes = writes
        self.random = False
        self.made: list[tuple[str, list[tuple[int, ...]]]] = []
        self.owners: dict[int, tuple[str, str]] = {}
        self._top = max(self.nodes)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample here."""
        return self.graph.shape(self.nodes[0])

    def child(self, name: str, layer: Layer) -> None:
        """Add a layer that is part of another, under its name there."""
        self._path.append(name)
        path = ".".join(self._path)
        if path in self.skip and len(self.shape) == 1:
            self.skipped.add(path)
        else:
            first = self._top + 1
            layer._build(self, f"layer {path} ({type(layer).__name__})")
            self._top = max(self._top, *self.nodes)
            self.owners = {node: (path, type(layer).__name__) for node in range(first, self._top + 1)} | self.owners
            self.made.append((path, [self.graph.shape(node) for node in self.nodes]))
        self._path.pop()

    def add(
        self,
        kind: str,
        where: str,
        config: tuple[float, ...],
        *parameters: Parameter | Buffer | None,
        inputs: Sequence[int] | None = None,
        training: bool = False,
    ) -> int:
        """Add one of the core's layers behind ``inputs``, or here; the next one goes behind it."""
        pairs = self.pairs([p for p in parameters if p is not None])
        feeds = self.nodes if inputs is None else tuple(inputs)
        node = self.graph.add(kind, where, config, pairs, feeds, training and self.training)
        self.nodes = (node,)
        return node

    def values(self, p: Parameter | Buffer) -> Array:
        """Return a parameter's array as the graph may use it."""
        return p.data if self.writes else p._array

    def pairs(self, parameters: Sequence[Parameter | Buffer]) -> tuple[tuple[Array, Array | None], ...]:
        """Return values and gradients as the core takes them, and have the graph use their locks."""
        for p in parameters:
            self.graph.guard(p._gate, *([self.values(p)] if isinstance(p, Parameter) else []))
        return tuple((self.values(p), p.grad if self.writes and p.requires_grad else None) for p in parameters)

    def finish(self) -> _core.Graph:
        """Return the graph, whose outputs are the present nodes."""
        self.graph.outputs(self.nodes)
        return self.graph

    def sample_axis(self, axis: int, where: str) -> int:
        """Return the sample's axis that ``axis`` of the whole array is."""
        ndim = len(self.shape) + self.batched
        if not -ndim <= axis < ndim:
            raise ValueError(f"{where}: axis {axis} is outside an array of {ndim} dimensions")
        if axis % ndim < self.batched:
            raise ValueError(f"{where}: axis {axis} is the batch here; a layer of a model works on each sample alone")
        return axis % ndim - self.batched


class Symbol:
    """A place in a net that is being drawn: what `Input` gives, and what a layer gives for other symbols.

    Attributes
    ----------
    layer : Layer or None
        What computes it; None for an input.
    inputs : tuple of Symbol
        From what.
    shape : tuple of int or None
        Of one sample, for an input; the others are found out when a model is made.
    """

    def __init__(self, layer: Layer | None, inputs: tuple[Symbol, ...], shape: tuple[int, ...] | None = None, index: int = 0) -> None:
        self.layer, self.inputs, self.shape, self.index = layer, inputs, shape, index

    @classmethod
    def _of(cls, layer: Layer, inputs: Sequence[Any]) -> Symbol:
        invalid = [x for x in inputs if not isinstance(x, Symbol)]
        if invalid:
            raise TypeError(f"{type(layer).__name__}: symbols and arrays do not mix, got {type(invalid[0]).__name__}")
        return cls(layer, tuple(inputs))

    def __repr__(self) -> str:
        return f"<Symbol: input {self.shape}>" if self.layer is None else f"<Symbol: output of {self.layer!r}>"
