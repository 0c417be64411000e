"""Parameters, buffers, and the graph under construction that layers add nodes to."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from . import _core
from ._arrays import _DTYPES, Array, real_array, writable, zeros
from ._random import reserve_values

if TYPE_CHECKING:
    from .layers._base import Layer

_set = object.__setattr__
"""Set a private attribute without the checks of `Layer.__setattr__`. Writing to ``self.__dict__`` would slow down later look-ups."""


class _StableArray:
    """An array that plans point to, with its lock. Assigning to ``data`` copies values into the existing array.

    A read-only array, such as one that joblib maps from a file or that pickle received out of band, is used directly for
    predictions. It is replaced by a writable copy when ``data`` is first accessed.
    """

    name: str
    optional = False
    """Whether a state may omit it."""
    _array: Array
    _is_readonly = False
    """Whether the arrays are read-only."""

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
            raise ValueError(f"{where}: got shape {new.shape}, expected {own.shape}; assigning copies values into the existing array")
        return new

    def convert(self, dtype: str) -> None:
        """Replace the arrays by copies of another dtype. The caller holds the lock, and drops the plans that point to the arrays."""
        if self._array.dtype != dtype:
            converted = zeros(self._array.shape, dtype)
            converted[...] = self._array
            self._array, self._is_readonly = converted, False

    def _make_writable(self) -> Array:
        """Replace read-only arrays by copies, and return the values. If several threads do so, all use the first thread's copy."""
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
"""Attributes that a pickled parameter stores under other names, or not at all."""

_moments = itertools.count(1)


def moment() -> int:
    """Return a number larger than all earlier ones, which serves as a logical timestamp of changes."""
    return next(_moments)


class ParameterList(list["Parameter"]):
    """The parameters of a layer, with a reference to the layer, so that an optimizer can follow later changes of the layer."""

    def __init__(self, parameters: Iterable[Parameter], layer: Layer) -> None:
        super().__init__(parameters)
        self.layer = layer


class Parameter(_StableArray):
    """A trainable array and its gradient.

    Parameters
    ----------
    data : array_like
        The initial values. float32 and float64 are kept; other real dtypes become float32. A writable C-contiguous array is used
        without a copy, so training changes it.
    name : str
        The name shown in messages.
    requires_grad : bool
        Whether training changes the parameter.

    Attributes
    ----------
    data, grad : numpy.ndarray
        Arrays of the same shape and dtype. Their addresses never change: ``p.data = a`` copies the values of ``a``.
    requires_grad : bool
        Whether training changes the parameter.

    Raises
    ------
    TypeError
        If `data` does not consist of real numbers.
    ValueError
        If an assigned array has another shape.

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
    """The `moment` when the parameter was last unfrozen."""

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

    def convert(self, dtype: str) -> None:
        if self._array.dtype != dtype:
            super().convert(dtype)
            converted = zeros(self._grad.shape, dtype)
            converted[...] = self._grad
            self._grad = converted

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

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set ``requires_grad``, and return the parameter."""
        self.requires_grad = bool(requires_grad)
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of ``data``."""
        return self._array.shape

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._array.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of ``data`` and ``grad``."""
        return self._array.dtype

    def dim(self) -> int:
        """Return the number of dimensions."""
        return self._array.ndim

    def numel(self) -> int:
        """Return the number of elements."""
        return self._array.size

    def size(self, dim: int | None = None) -> Any:
        """Return the shape, or the length of one axis."""
        return self._array.shape if dim is None else self._array.shape[dim]

    def numpy(self) -> Array:
        """Return ``data``: the array itself, not a copy."""
        return self.data

    def __repr__(self) -> str:
        return f"<Parameter {self.name or 'unnamed'}: {self._array.dtype} {self.shape}{'' if self.requires_grad else ', frozen'}>"


def listed(parameters: Parameter | Iterable[Parameter]) -> list[Parameter]:
    """Return the argument ``parameters`` of a public function as a list, or raise TypeError."""
    members = [parameters] if isinstance(parameters, Parameter) else [*parameters]
    for p in members:
        if not isinstance(p, Parameter):
            raise TypeError(f"parameters: expected pynn.Parameter, got {type(p).__name__}")
    return members


class Buffer(_StableArray):
    """An array of a layer's state that is not trained, such as a running mean. Its address never changes."""

    grad: Array | None = None
    requires_grad = False
    persistent = True
    """Whether a state contains it."""

    def __init__(self, data: Array, name: str, *, optional: bool = False, persistent: bool = True) -> None:
        reserve_values(data.size)
        self._attach(data)
        self.name = name
        self.optional = optional
        if not persistent:
            self.persistent = False


class Builder:
    """A graph under construction, to which layers add nodes.

    Attributes
    ----------
    nodes : tuple of int
        The nodes that the next layer takes as inputs: several between the branches of a net. Layers with branches set it.
    training : bool
        Whether layers run in training mode; each layer does so only if its own ``training`` is set too.
    random : bool
        Whether a layer added so far draws random numbers.
    dtype : str
        The dtype of the computation.
    batched : bool
        Whether the first axis of the input is the batch.
    skip : frozenset of str
        Names of layers to leave out where samples have one axis, because the loss includes them.
    skipped : set of str
        The names that were left out.
    writes : bool
        Whether the graph may write parameters, buffers or gradients. If not, read-only arrays are used without a copy.
    made : list of (str, tuple of int)
        Each part of the net by its path, and the nodes of its outputs.
    owners : dict of int to (str, str)
        For each node, the name and the class of the layer it belongs to.
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
        self.made: list[tuple[str, tuple[int, ...]]] = []
        self.owners: dict[int, tuple[str, str]] = {}
        self._top = max(self.nodes)

    @property
    def shape(self) -> tuple[int, ...]:
        """The sample shape at the current node."""
        return self.graph.shape(self.nodes[0])

    def child(self, name: str, layer: Layer) -> None:
        """Add a sublayer under its name."""
        self._path.append(name)
        path = ".".join(self._path)
        if path in self.skip and len(self.shape) == 1:
            self.skipped.add(path)
        else:
            first = self._top + 1
            (layer if layer._hooks is None else layer._hooks.adapter)._build(self, f"layer {path} ({type(layer).__name__})")
            self._top = max(self._top, *self.nodes)
            self.owners = {node: (path, type(layer).__name__) for node in range(first, self._top + 1)} | self.owners
            self.made.append((path, self.nodes))
        self._path.pop()

    def add(
        self,
        kind: str,
        where: str,
        config: Mapping[str, Any],
        *parameters: Parameter | Buffer | None,
        inputs: Sequence[int] | None = None,
        training: bool = False,
    ) -> int:
        """Add one of the core's layers, with its settings, after ``inputs`` or else the current nodes, and make it the current node."""
        pairs = self.pairs([p for p in parameters if p is not None])
        feeds = self.nodes if inputs is None else tuple(inputs)
        node = self.graph.add(kind, where, dict(config), pairs, feeds, training and self.training)
        self.nodes = (node,)
        return node

    def values(self, p: Parameter | Buffer) -> Array:
        """Return a parameter's array, writable if the graph writes."""
        return p.data if self.writes else p._array

    def pairs(self, parameters: Sequence[Parameter | Buffer]) -> tuple[tuple[Array, Array | None], ...]:
        """Return values and gradients in the core's form, and register their locks with the graph."""
        for p in parameters:
            self.graph.guard(p._gate, *([self.values(p)] if isinstance(p, Parameter) else []))
        return tuple((self.values(p), p.grad if self.writes and p.requires_grad else None) for p in parameters)

    def finish(self) -> _core.Graph:
        """Return the graph, with the current nodes as its outputs."""
        self.graph.outputs(self.nodes)
        return self.graph

    def sample_axis(self, axis: int, where: str) -> int:
        """Convert an axis of the whole array to an axis of one sample."""
        ndim = len(self.shape) + self.batched
        if not -ndim <= axis < ndim:
            raise ValueError(f"{where}: axis {axis} is out of range for an array of {ndim} dimensions")
        if axis % ndim < self.batched:
            raise ValueError(f"{where}: axis {axis} is the batch axis; a layer of a model processes each sample separately")
        return axis % ndim - self.batched


class Symbol:
    """A symbolic value of a net under construction: the result of `Input`, or of calling a layer with symbols.

    Attributes
    ----------
    layer : Layer or None
        The layer that computes the value; None for an input.
    inputs : tuple of Symbol
        The inputs of that layer.
    shape : tuple of int or None
        The sample shape of an input. Other shapes are inferred when a model is created.
    """

    def __init__(self, layer: Layer | None, inputs: tuple[Symbol, ...], shape: tuple[int, ...] | None = None, index: int = 0) -> None:
        self.layer, self.inputs, self.shape, self.index = layer, inputs, shape, index

    @classmethod
    def _of(cls, layer: Layer, inputs: Sequence[Any]) -> Symbol:
        invalid = [x for x in inputs if not isinstance(x, Symbol)]
        if invalid:
            raise TypeError(f"{type(layer).__name__}: cannot mix symbols and arrays, got {type(invalid[0]).__name__}")
        return cls(layer, tuple(inputs))

    def __repr__(self) -> str:
        return f"<Symbol: input {self.shape}>" if self.layer is None else f"<Symbol: output of {self.layer!r}>"
