"""What all layers share: parameters, the call and its gradient, state, configuration."""

from __future__ import annotations

import math
import weakref
from collections import OrderedDict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from threading import get_ident
from types import FunctionType
from typing import Any, ClassVar, NamedTuple, Self, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike

import pynn

from .. import _core
from .._arrays import (
    Array,
    check_size,
    is_float,
    real_array,
)
from .._graph import Buffer, Builder, Parameter, ParameterList, Symbol, _set, moment
from .._tables import unknown_name
from ._state import IncompatibleKeys, matched, mismatch

_KEPT_PLANS = 8


def check_made(layer: object, name: str) -> None:
    """Raise unless this is a layer, and made as one."""
    if not isinstance(layer, Layer):
        raise TypeError(f"{name}: expected a pynn.Layer, got {layer!r}")
    if "_owners" not in layer.__dict__:
        raise TypeError(f"{name}: {type(layer).__name__}.__init__ must call super().__init__() before anything else")


class Flow:
    """The layers of a net that are made of no others, each use of one behind those it takes its inputs from."""

    def __init__(self) -> None:
        self._uses: list[tuple[int, list[int]]] = []

    def add(self, layer: Layer, inputs: Sequence[int]) -> tuple[int, ...]:
        """Add a use of a layer behind others; return it as an input for the next."""
        number = len(self._uses)
        self._uses.append((id(layer), []))
        for use in inputs:
            self._uses[use][1].append(number)
        return (number,)

    def depths(self, counted: Container[int] | None) -> dict[int, int]:
        """Return by the id of a layer how many layers there are at most from it to an output; only those ``counted``, or all."""
        behind = [0] * len(self._uses)
        found: dict[int, int] = {}
        for number in reversed(range(len(self._uses))):
            layer, consumers = self._uses[number]
            behind[number] = max((behind[use] for use in consumers), default=0) + (counted is None or layer in counted)
            found[layer] = max(found.get(layer, 0), behind[number])
        return found


class Layer:
    """The base of every layer: ``y = layer(x)`` and ``gx = layer.backward(gy)``."""

    dtype: str | None = None
    """What the layer computes in; None: it follows its input."""

    classes: ClassVar[dict[str, type[Layer]]] = {}

    _since = 0
    """When a part was last added or replaced."""

    _changes = 0
    """How often plans were dropped, here or in a part: `fit` compares it between epochs."""

    _own: ClassVar[bool] = False
    _any_scale: ClassVar[bool] = False
    """Whether inputs of any scale suit it, because it normalises them or because they are indices."""
    _is_activation: ClassVar[bool] = False
    """Whether it maps values of any shape and has nothing to learn, so that its range can be measured."""
    """Is the layer written in Python, by ``forward`` and ``backward``?"""

    def __init_subclass__(cls, *, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._own = hasattr(cls, "forward") and cls._build is Layer._build
        if cls._own:
            _pair_calls(cls)
        if cls._own and cls.__setattr__ in (object.__setattr__, Layer.__setattr__):
            cls.__setattr__ = _set_own  # type: ignore[method-assign]
        if not cls.__name__.startswith("_") and "__init__" not in cls.__dict__ and cls.__init__.__qualname__.startswith("_"):
            cls.__init__ = _named(cls.__init__, cls)  # type: ignore[method-assign]
        known = Layer.classes.get(cls.__name__)
        library = known is not None and known.__module__.startswith("pynn.") and not cls.__module__.startswith("pynn.")
        if not abstract and not cls.__name__.startswith("_") and not library:
            Layer.classes[cls.__name__] = cls

    def __init__(self) -> None:
        self._parameters: dict[str, Parameter] = {}
        self._buffers: dict[str, Buffer] = {}
        self._training = True
        self._ticks = 0
        self._owners: weakref.WeakSet[Layer] = weakref.WeakSet()
        self._forget()

    def _extra_state(self) -> dict[str, Any]:
        """Return what a file keeps of it beside layers and arrays: plain JSON types by name."""
        return {}

    def _beside_arrays(self) -> dict[str, Array]:
        """Return further arrays that a file may keep of it, under names that begin with a dot."""
        return {}

    def _take_beside(self, facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Take those up from a file, which may be anybody's."""

    def _forget(self, seen: bool = True) -> None:
        """Drop the plans, which borrow the parameters' memory, here and in the nets that this layer is part of; and the shapes seen."""
        if seen:
            self._seen: tuple[tuple[int, ...], ...] = ()
        self._known: list[Parameter] | None = None
        self._plans: OrderedDict[Any, tuple[_core.Plan, bool]] = OrderedDict()
        self._eval_plans: OrderedDict[Any, tuple[_core.Plan, bool]] = OrderedDict()
        self._last: _Call | None = None
        self._changes += 1
        for owner in self._owners:
            owner._forget(seen)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; a setting such as ``p`` or ``eps`` that changes drops the plans that were made with the old value."""
        is_setting = name[0] != "_" and not hasattr(type(self), name) and hasattr(self, name)
        object.__setattr__(self, name, value)
        if is_setting and hasattr(self, "_owners"):
            self._forget(seen=False)

    @property
    def training(self) -> bool:
        """Whether a call does what the layer does in training; `predict` and `evaluate` never do."""
        return self._training

    @training.setter
    def training(self, mode: bool) -> None:
        if mode != self._training:
            self._training = bool(mode)
            self._forget(seen=False)

    # ---- what a kind of layer says of itself --------------------------------------------------------------------
    def _build(self, builder: Builder, where: str) -> None:
        """Add this layer to a graph."""
        if not self._own:
            raise NotImplementedError(f"{type(self).__name__}: a custom layer defines forward and backward")
        shapes = [builder.graph.shape(node) for node in builder.nodes]
        pairs = builder.pairs(self.parameters())
        builder.graph.guard(self._own_gate())
        builder.nodes = (builder.graph.add_custom(self, where, self._own_shape(shapes, builder.dtype, where), pairs, builder.nodes),)

    def _flow(self, flow: Flow, inputs: tuple[int, ...]) -> tuple[int, ...]:
        """Add the uses of the layers that this one is made of to a flow, behind ``inputs``, and return those that make the outputs."""
        return flow.add(self, inputs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make a layer like this one, as plain JSON types."""
        if not self._own:
            return {}
        from .custom import arguments

        return arguments(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make a layer from what ``get_config`` returned."""
        return cls(**config)

    def _split(self, x: Array) -> tuple[int, tuple[int, ...], bool]:
        """Return rows, the sample's shape, and whether the first axis is the batch."""
        return (x.shape[0], x.shape[1:], True) if x.ndim > 1 else (1, x.shape, False)

    # ---- layers written in Python ---------------------------------------------------------------------------------
    def _own_shape(self, shapes: Sequence[tuple[int, ...]], dtype: str, where: str) -> tuple[int, ...]:
        """Return the shape of a sample's output: what ``output_shape`` says, or what forward gives for zeros."""
        if hasattr(self, "output_shape") and callable(self.output_shape):
            return tuple(check_size("output_shape", n) for n in self.output_shape(*shapes))
        with np.errstate(all="ignore"), _core.Writing((self._own_gate(),)):
            y, _ = self.own_forward(False, *(np.zeros((1, *shape), dtype) for shape in shapes))
        if np.ndim(y) < 1 or np.shape(y)[0] != 1:
            raise ValueError(f"{where}: forward returned shape {np.shape(y)} for one sample of shape {shapes[0]}; expected (1, ...)")
        return tuple(np.shape(y)[1:])

    def _own_gate(self) -> _core.Gate:
        """Return the lock of a layer written in Python, whose attributes belong to one call at a time."""
        gate: _core.Gate = self.__dict__.setdefault("_gate", _core.Gate())
        return gate

    def own_forward(self, keep: bool, *xs: Array) -> tuple[Any, _Kept]:
        """Return what ``forward`` gives, called by a plan, and what ``own_backward`` needs of this call.

        That is the attributes that this layer and those within it set, and the calls that others within it keep. Without ``keep`` all of
        it is as before.
        """
        layers = [*dict.fromkeys((self, *self._parts_within()))]
        own = [layer for layer in layers if layer._own]
        before = {layer: dict(layer.__dict__) for layer in own}
        planned = {layer: (layer._last, layer._plans) for layer in layers if not layer._own}
        modes = {layer: layer._training for layer in layers}
        for layer in planned:
            if keep:
                layer._set_aside()
            else:
                _set(layer, "_plans", layer._eval_plans)
        for layer in layers if not keep else ():
            _set(layer, "_training", False)
        try:
            y = self.forward(*xs)  # type: ignore[attr-defined]
        finally:
            changed = {layer: _changed(before[layer], layer.__dict__) for layer in own}
            calls = [(weakref.ref(layer), layer._set_aside()) for layer in planned if layer._last is not None] if keep else []
            for layer, (last, plans) in planned.items():
                _set(layer, "_last", last)
                if not keep and layer._plans is layer._eval_plans:  # else something has dropped them
                    _set(layer, "_plans", plans)
            for layer, mode in modes.items() if not keep else ():
                _set(layer, "_training", mode)
            for layer in own:
                if not keep:
                    layer._restore(changed[layer], before[layer])
                else:
                    _set(layer, "_call", None)  # its attributes are those of this call now
        return y, _Kept([(weakref.ref(layer), attributes) for layer, attributes in changed.items()], calls)

    def _restore(self, changed: Mapping[str, Any], before: Mapping[str, Any]) -> None:
        for name in changed:
            self.__dict__.pop(name, None)
        self.__dict__.update({k: before[k] for k in (*changed, "_call") if k in before})

    def own_backward(self, kept: _Kept | None, gy: Array) -> Any:
        """Return what ``backward`` gives, called by a plan, with the layers as that call of ``forward`` left them."""
        if type(self).backward is Layer.backward:
            raise NotImplementedError(f"{type(self).__name__} defines forward but no backward")
        changed = [(layer, attributes) for ref, attributes in (kept.changed if kept else ()) if (layer := ref()) is not None]
        calls = [(layer, call, layer._last) for ref, call in (kept.calls if kept else ()) if (layer := ref()) is not None]
        for layer, attributes in changed:
            layer.__dict__.update(attributes)
            _set(layer, "_call", _INSIDE if layer is self else (get_ident(), layer._versions()))
        for layer, call, _ in calls:
            _set(layer, "_last", call)
        try:
            return self.backward(gy)
        finally:
            for layer, _ in changed:
                _set(layer, "_call", None)
            for layer, call, before in calls:
                _set(layer, "_last", before)
                key, found, _, plans = call
                if plans is layer._plans:  # nothing has dropped them since
                    layer._plans.setdefault(key, found)

    def _versions(self) -> int:
        """Return how often the parameters have been written through the library."""
        return sum([p._gate.version for p in self._known or self.parameters()])

    def _check_call(self, call: tuple[int, int] | None) -> None:
        """Raise unless this thread made the call that backward is for, of the parameters as they are."""
        if call is None:
            raise no_call(type(self).__name__)
        if call[0] != get_ident():
            raise RuntimeError("backward: the last call was made in another thread; give each thread its own copy (copy.deepcopy)")
        if call[1] != self._versions():
            raise RuntimeError(
                "backward: the parameters have changed since the forward call (a step, load_state_dict or an assignment), whose outputs no "
                "longer belong to them; call backward before the change, or the layer again after it"
            )

    def _set_aside(self) -> _Call:
        """Take what the last call keeps out of the plans that later calls use."""
        call = self._last
        if call is not None and self._plans.get(call[0]) is call[1]:
            del self._plans[call[0]]
        _set(self, "_last", None)
        return call  # type: ignore[return-value]

    def _parts_within(self) -> Iterator[Layer]:
        for layer in self._children().values():
            yield layer
            yield from layer._parts_within()

    def _call_own(self, xs: tuple[Array, ...]) -> Any:
        dtype = self._compute_dtype(*xs)
        y = self.forward(*(np.asarray(x, dtype) for x in xs))  # type: ignore[attr-defined]
        return np.asarray(y, dtype)

    # ---- calling -------------------------------------------------------------------------------------------------
    def _compute_dtype(self, *xs: Array) -> str:
        if self.dtype:
            return self.dtype
        return "float32" if all(is_float(x, 2, 4) for x in xs) else "float64"

    def _plan(self, xs: tuple[Array, ...]) -> tuple[Any, tuple[_core.Plan, bool]]:
        """Return the plan for such arrays and whether it draws random numbers, behind what it is kept under."""
        dtype = self._compute_dtype(*xs)
        known = self.parameters() if self._known is None else self._known
        key = (*[x.shape for x in xs], dtype, *[p.requires_grad for p in known], _core.isa())
        found = self._plans.get(key)
        if found is None:
            rows, _, batched = self._split(xs[0])
            shapes = tuple(self._split(x)[1] for x in xs)
            for x in xs[1:]:
                if self._split(x)[0] != rows:
                    raise ValueError(f"{type(self).__name__}: inputs of {rows} and {len(x)} rows do not go together")
            builder = Builder(dtype, shapes, batched=batched, writes=True)
            self._build(builder, type(self).__name__)
            _set(self, "_seen", shapes)
            found = _core.Plan(builder.finish(), rows, "backward"), builder.random
            self._plans[key] = found
            if len(self._plans) > _KEPT_PLANS:
                self._plans.popitem(last=False)
        else:
            try:
                self._plans.move_to_end(key)
            except KeyError:  # another thread has dropped it
                self._plans[key] = found
        plan, random = found
        if random:
            plan.tick = self._ticks
            _set(self, "_ticks", self._ticks + 1)
        return key, found

    def __call__(self, *xs: ArrayLike) -> Any:
        """Return the output, or a tuple of outputs, and keep what ``backward`` needs; inputs are held by reference until then.

        A layer keeps one call, the last. Calls of one layer in several threads raise a RuntimeError where they overlap; `Net.predict` may
        run in any number of threads.
        """
        if not xs:
            raise TypeError(f"{type(self).__name__}: expected an array")
        if isinstance(xs[0], Symbol):
            return Symbol._of(self, xs)
        arrays = tuple([real_array(x, "x") for x in xs])
        if self._own:
            return self._call_own(arrays)
        key, found = self._plan(arrays)
        _, _, batched = self._split(arrays[0])
        y = found[0].forward(*(arrays if batched else [a[np.newaxis] for a in arrays]))
        _set(self, "_last", (key, found, arrays, self._plans))  # a _Call, without the cost of making one
        half = not self.dtype and is_float(arrays[0], 2)
        if batched and not half:
            return y
        outputs = [out if batched else out[0] for out in (y if isinstance(y, tuple) else (y,))]
        outputs = [out.astype(np.float16) for out in outputs] if half else outputs
        return tuple(outputs) if isinstance(y, tuple) else outputs[0]

    def backward(self, *gys: ArrayLike) -> Any:
        """Return dL/dx for ``gy = dL/dy`` of the last call, and add dL/dparameter into ``grads``.

        With several outputs it takes a gradient for each; with several inputs it returns a tuple.

        Raises
        ------
        RuntimeError
            If there was no call before, or it has had its backward: a layer keeps one call. Where a loop uses the same parameters
            several times before backward, put the uses into a `Model`, whose layers may be shared. Also if the parameters have changed
            since the call, or another thread made it.
        ValueError
            If a shape does not fit.
        """
        if self._own:
            raise NotImplementedError(f"{type(self).__name__} defines forward but no backward")
        call = self._last
        if call is None:
            raise no_call(type(self).__name__)
        _, (plan, _), xs, _ = call
        shapes = plan.output_shapes
        if len(gys) != len(shapes):
            raise TypeError(f"backward: expected {len(shapes)} gradients, got {len(gys)}")
        gs = []
        for gy, shape in zip(gys, shapes, strict=True):
            g = real_array(gy, "gy")
            if g.shape != shape:
                if math.prod(g.shape) != math.prod(shape):
                    raise ValueError(f"gy: shape {g.shape} does not fit the last output, whose shape is {shape}")
                g = g.reshape(shape)
            gs.append(g)
        gx = plan.backward(*gs)
        if self._last is call:
            _set(self, "_last", None)
        half = not self.dtype and is_float(xs[0], 2)
        if not half and len(xs) == 1 and gx.shape == xs[0].shape:
            return gx
        results = [g.reshape(x.shape) for g, x in zip(gx if isinstance(gx, tuple) else (gx,), xs, strict=True)]
        results = [g.astype(np.float16) for g in results] if half else results
        return tuple(results) if isinstance(gx, tuple) else results[0]

    # ---- parts -----------------------------------------------------------------------------------------------------
    def _children(self) -> dict[str, Layer]:
        """Return the layers that this one is made of, by name."""
        return self.__dict__.get("_parts", {}) if self._own else {}

    def named_children(self) -> Iterator[tuple[str, Layer]]:
        """Yield the layers that this one is made of, each once, with their names here."""
        seen: set[Layer] = set()
        for name, layer in self._children().items():
            if layer not in seen:
                seen.add(layer)
                yield name, layer

    def children(self) -> Iterator[Layer]:
        """Yield the layers that this one is made of, each once."""
        for _, layer in self.named_children():
            yield layer

    def named_modules(self) -> Iterator[tuple[str, Layer]]:
        """Yield this layer, as ``""``, and all those within it, each once with its full name, such as ``"4.layers.0"``."""
        seen: set[Layer] = set()
        waiting: list[tuple[str, Layer]] = [("", self)]
        while waiting:
            path, layer = waiting.pop()
            if layer not in seen:
                seen.add(layer)
                yield path, layer
                waiting += [(f"{path}.{name}" if path else name, part) for name, part in reversed(layer._children().items())]

    def modules(self) -> Iterator[Layer]:
        """Yield this layer and all those within it, each once.

        Examples
        --------
        >>> import pynn
        >>> net = pynn.Sequential(pynn.Residual(pynn.Linear(4, 4), pynn.BatchNorm1d(4)), pynn.Linear(4, 2))
        >>> for layer in net.modules():
        ...     if isinstance(layer, pynn.BatchNorm1d):
        ...         _ = layer.eval().freeze()
        >>> [name for name, p in net.named_parameters() if not p.requires_grad]
        ['0.layers.1.weight', '0.layers.1.bias']
        """
        for _, layer in self.named_modules():
            yield layer

    def apply(self, f: Callable[[Layer], object]) -> Self:
        """Call ``f`` with every layer within this one and at last with this one, as in PyTorch, and return this one."""
        for layer in reversed([*self.modules()]):
            f(layer)
        return self

    def _leaves(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """Yield the layers that are made of no others, each with its full name, as often as they occur."""
        for name, layer in self._children().items():
            if layer._children() and not layer._own:
                yield from layer._leaves(f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}", layer

    def _output_layers(self) -> list[tuple[str, str]]:
        """Return for each output the name and class of the one layer that makes it, and nothing else; "" where there is none such."""
        return [("", "" if self._children() else type(self).__name__)]

    def _adopt(self) -> None:
        """Take on the children: all of one dtype, which becomes this layer's."""
        for name, layer in self._children().items():
            if self in layer.modules():
                raise ValueError(f"layers: layer {name} contains this {type(self).__name__}, which cannot contain itself")
        found = {layer.dtype: name for name, layer in self._leaves() if layer.dtype}
        if len(found) > 1:
            raise ValueError("layers: all must compute in one dtype, got " + ", ".join(f"{d} in layer {n}" for d, n in found.items()))
        self.dtype = next(iter(found), None)
        for layer in self._children().values():
            layer._owners.add(self)
        self._since = moment()
        self._forget()

    # ---- parameters ----------------------------------------------------------------------------------------------
    def _all_parameters(self) -> dict[str, Parameter]:
        parts = ((f"{name}.{own}", p) for name, layer in self._children().items() for own, p in layer._all_parameters().items())
        return {**self._parameters, **dict(parts)}

    def _all_state(self) -> dict[str, Parameter | Buffer]:
        parts = ((f"{name}.{own}", p) for name, layer in self._children().items() for own, p in layer._all_state().items())
        return {**self._parameters, **self._buffers, **dict(parts)}

    def _array(self, name: str) -> Array | None:
        """Return an array of this layer's own state, or None where it was made without."""
        found = self._parameters.get(name) or self._buffers.get(name)
        return None if found is None else found.data

    def _assign(self, name: str, value: Any) -> None:
        """Copy values, or one number for all, into an array of this layer's own state."""
        held = self._parameters.get(name) or self._buffers.get(name)
        if held is None:
            raise AttributeError(f"this {type(self).__name__} was made without {name}, so that there is nowhere to put values")
        new = real_array(value.data if isinstance(value, Parameter) else value, name)
        held.data = new if new.ndim else np.full(held.data.shape, new)

    def parameters(self) -> list[Parameter]:
        """Return the parameters, each once; an optimizer made from this list also trains what is added to the layer later."""
        if self._known is None:
            _set(self, "_known", [*{id(p): p for p in self._all_parameters().values()}.values()])
        return ParameterList(self._known or (), self)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield names, such as ``"0.weight"``, and parameters, each once, under the first of its names."""
        first = {id(p): name for name, p in reversed(self._all_parameters().items())}
        yield from ((name, p) for name, p in self._all_parameters().items() if first[id(p)] == name)

    @property
    def params(self) -> dict[str, Array]:
        """The parameters' arrays by name: live, not copies."""
        return {name: p.data for name, p in self._all_parameters().items()}

    @property
    def grads(self) -> dict[str, Array]:
        """The gradients by name: live, not copies."""
        return {name: p.grad for name, p in self._all_parameters().items()}

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all arrays that make up the layer's state, under PyTorch's names."""
        return {name: p._array.copy() for name, p in self._all_state().items()}

    def load_state_dict(self, state: Mapping[str, ArrayLike], strict: bool = True) -> IncompatibleKeys:
        """Copy ``state`` into the layer's arrays.

        Parameters
        ----------
        state : mapping of str to array_like
            As ``state_dict`` returns it. PyTorch's states are accepted too: tensors of any floating-point type, names with the
            prefixes of DataParallel (``module.``) and torch.compile (``_orig_mod.``), checkpoints with an entry ``state_dict``,
            ``model_state_dict`` or ``model``, and states from before ``num_batches_tracked``.
        strict : bool
            Whether a missing or an unexpected name is an error. Shapes must agree in any case.

        Returns
        -------
        IncompatibleKeys
            ``missing_keys`` and ``unexpected_keys``, as in PyTorch; both are empty under ``strict``.

        Raises
        ------
        KeyError
            Under ``strict``, naming what is missing and what is unexpected.
        ValueError
            If a shape differs, or the state is a checkpoint with several entries that may be meant; nothing has been changed then.
        TypeError
            If the state is no mapping, or a value is no array of real numbers.
        """
        own = self._all_state()
        given, unmatched = matched(state, own.keys(), [name for name, held in own.items() if held.optional])
        if strict and any(unmatched):
            raise mismatch(unmatched, own.keys())
        new = {name: real_array(a, name) for name, a in given.items()}
        for name, a in new.items():
            if a.shape != own[name]._array.shape:
                raise ValueError(f"state: {name} has shape {a.shape}, expected {own[name]._array.shape}")
        with _core.Writing([own[name]._gate for name in new]):
            for name, a in new.items():
                own[name].data[...] = a
        return unmatched

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        for p in self.parameters():
            p.grad.fill(0)

    def freeze(self, *names: str) -> Self:
        """Keep training from changing this layer's parameters, or those of the parts and parameters named, such as ``"0"``."""
        return self._require_grad(False, names)

    def unfreeze(self, *names: str) -> Self:
        """Let training change this layer's parameters again, or those of the parts and parameters named."""
        return self._require_grad(True, names)

    def _require_grad(self, value: bool, names: Sequence[str]) -> Self:
        own = self._all_parameters()
        found = {name: [p for full, p in own.items() if f"{full}.".startswith(f"{name}.")] for name in names}
        for name, parameters in found.items():
            if not parameters:
                known = dict.fromkeys(full.rsplit(".", k)[0] for full in own for k in range(full.count("."), -1, -1))
                raise unknown_name("layer or parameter with anything to learn", name, known)
        for p in [p for part in found.values() for p in part] if names else self.parameters():
            p.requires_grad = value
        return self

    # ---- mode, text, pickling -------------------------------------------------------------------------------------
    def train(self, mode: bool = True) -> Self:
        """Set training mode, here and in all parts; it matters to layers that behave differently when used."""
        self.training = mode
        for layer in self._children().values():
            layer.train(mode)
        return self

    def eval(self) -> Self:
        """Set evaluation mode."""
        return self.train(False)

    def __repr__(self) -> str:
        try:
            return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"
        except TypeError:
            return f"<{type(self).__name__}>"

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in _FRESH}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._owners = weakref.WeakSet()
        for layer in self._children().values():
            layer._owners.add(self)
        self._forget(seen=False)


def _named(init: Callable[..., None], cls: type[Layer]) -> Any:
    """Return the ``__init__`` that a class has from a base of ours under its own name, which Python's messages begin with."""
    assert isinstance(init, FunctionType)
    copy = FunctionType(init.__code__, init.__globals__, "__init__", init.__defaults__, init.__closure__)
    copy.__kwdefaults__, copy.__annotations__, copy.__doc__ = init.__kwdefaults__, init.__annotations__, init.__doc__
    copy.__qualname__ = f"{cls.__qualname__}.__init__"
    return copy


class Weighted(Layer, abstract=True):
    """A layer with a weight."""

    @property
    def weight(self) -> Array:
        """The weights, a live view; assigning copies into it."""
        return self._parameters["weight"].data

    @weight.setter
    def weight(self, value: ArrayLike) -> None:
        self._assign("weight", value)


class Biased(Weighted, abstract=True):
    """A layer with a weight and perhaps a bias."""

    @property
    def bias(self) -> Array | None:
        """The biases, a live view, or None; assigning copies into it."""
        return self._array("bias")

    @bias.setter
    def bias(self, value: ArrayLike) -> None:
        self._assign("bias", value)

_FRESH = frozenset(("_plans", "_eval_plans", "_last", "_owners", "_known", "_call", "_gate", "_since"))
"""Attributes of a layer that a copy does not share."""

_BASE = _FRESH | {"_parameters", "_buffers", "_parts", "_training", "_ticks", "_seen", "_changes", "dtype"}
"""Attributes of a layer that no ``forward`` sets."""

_Plans: TypeAlias = OrderedDict[Any, tuple[_core.Plan, bool]]

_Call: TypeAlias = tuple[Any, tuple[_core.Plan, bool], tuple[Array, ...], _Plans]
"""What a layer keeps of a call until backward: a key, the plan under it with the arrays of the call, the inputs, and where it is kept."""


class _Kept(NamedTuple):
    """What a plan keeps of a call of a layer written in Python: the attributes it set, and the calls within it, with their layers."""

    changed: list[tuple[weakref.ref[Layer], dict[str, Any]]]
    calls: list[tuple[weakref.ref[Layer], _Call]]


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in now.items() if k not in _BASE and before.get(k, _BASE) is not v}

_INSIDE = -1
"""Replaces the thread id of a call while its backward runs, since that may call the backward of a base class."""


def no_call(name: str) -> RuntimeError:
    """Return the error of a backward without a call of its own before it."""
    return RuntimeError(
        f"{name}.backward needs a forward call before it, y = layer(x), and each call has one backward. A layer keeps its last call only: "
        "where a loop uses it several times before backward, use one object for each, or a Sequential or Model that contains all uses"
    )


def _pair_calls(cls: type[Layer]) -> None:
    """Let each call of a layer written in Python have one backward, in the same thread and before its parameters change."""
    forward, backward = cls.forward, cls.backward  # type: ignore[attr-defined]
    if not hasattr(forward, "_is_paired"):

        @wraps(forward)
        def paired_forward(self: Layer, *xs: Any, **options: Any) -> Any:
            y = forward(self, *xs, **options)
            if self.__dict__.get("_call") != _INSIDE:
                _set(self, "_call", (get_ident(), self._versions()))
            return y

        paired_forward._is_paired = True  # type: ignore[attr-defined]
        cls.forward = paired_forward  # type: ignore[attr-defined]
    if backward is not Layer.backward and not hasattr(backward, "_is_paired"):

        @wraps(backward)
        def paired_backward(self: Layer, *gys: Any, **options: Any) -> Any:
            call = self.__dict__.get("_call")
            if call == _INSIDE:
                return backward(self, *gys, **options)
            self._check_call(call)
            _set(self, "_call", _INSIDE)
            try:
                gx = backward(self, *gys, **options)
                call = None
                return gx
            finally:
                _set(self, "_call", call)

        paired_backward._is_paired = True  # type: ignore[attr-defined]
        cls.backward = paired_backward  # type: ignore[method-assign]


def _set_own(self: Layer, name: str, value: Any) -> None:
    """Set an attribute of a layer written in Python; parameters and layers become parts of it under that name."""
    if isinstance(value, (Parameter, Layer)):
        if "_owners" not in self.__dict__:
            raise TypeError(f"{type(self).__name__}.__init__ must call super().__init__() before it sets parameters or layers")
        if isinstance(value, Layer) and self in value.modules():
            how = "it cannot be a part of it as well; keep it as weakref.ref(net)"
            raise ValueError(f"{type(self).__name__}.{name}: the {type(value).__name__} contains this layer, and {how}")
        if isinstance(value, Parameter):
            self._parameters[name] = value
            value.name = value.name or name
        else:
            self.__dict__.setdefault("_parts", {})[name] = value
            value._owners.add(self)
        dtypes = {str(p.data.dtype) for p in self.parameters()}
        if len(dtypes) > 1:
            raise ValueError(f"{type(self).__name__}: all parameters must have one dtype, got {' and '.join(sorted(dtypes))}")
        object.__setattr__(self, "dtype", next(iter(dtypes), None))
        object.__setattr__(self, "_since", moment())
        self._forget()
    elif name in self.__dict__.get("_parameters", {}):
        raise TypeError(f"{type(self).__name__}.{name} is a parameter: assign a Parameter, or its values to {name}.data[...]")
    object.__setattr__(self, name, value)

# ---- configurations of layers within others ---------------------------------------------------------------------------
SHARED = "shared layer"
"""The key of a number by which a layer that occurs several times is written once: at its later places it stands alone."""

_written: ContextVar[dict[int, dict[str, Any]] | None] = ContextVar("_written", default=None)
"""While a net's configuration is written: those of its layers, by their ids."""

_made: ContextVar[dict[int, Layer] | None] = ContextVar("_made", default=None)
"""While a net is made from its configuration: its shared layers, by their numbers."""


@contextmanager
def _once(variable: ContextVar[dict[int, Any] | None]) -> Iterator[dict[int, Any]]:
    """Yield the dictionary of the net that is being described or made, which its outermost container starts."""
    known = variable.get()
    if known is not None:
        yield known
        return
    known = {}
    token = variable.set(known)
    try:
        yield known
    finally:
        variable.reset(token)


def layer_configs(layers: Iterable[Layer]) -> list[dict[str, Any]]:
    """Return ``{"class": name, **arguments}`` for each layer of a container; a layer that came before becomes its number."""
    configs: list[dict[str, Any]] = []
    with _once(_written) as known:
        for layer in layers:
            first = known.get(id(layer))
            if first is None:
                known[id(layer)] = first = {"class": type(layer).__name__, **layer.get_config()}
                configs.append(first)
            else:
                number = first.setdefault(SHARED, sum(SHARED in config for config in known.values()))
                configs.append({SHARED: number})
    return configs


def layers_from_configs(configs: Iterable[Mapping[str, Any]]) -> list[Layer]:
    """Make the layers of a container from what `layer_configs` returned; shared layers are one object again."""
    with _once(_made):
        return [layer_from_config(config) for config in configs]


def layer_from_config(config: Mapping[str, Any]) -> Layer:
    """Make the layer that ``{"class": name, **arguments}`` describes."""
    rest = dict(config)
    number = rest.pop(SHARED, None)
    with _once(_made) as known:
        if number is not None and not rest:
            if number not in known:
                raise ValueError(f"layers: shared layer {number!r} comes before its configuration")
            return cast(Layer, known[number])
        name = rest.pop("class", None)
        if name not in Layer.classes and name in pynn.__all__:
            getattr(pynn, name)  # imports its module, which registers it
        if name not in Layer.classes:
            raise _unknown_class(name)
        layer = Layer.classes[name].from_config(rest)
        if number is not None:
            known[number] = layer
    return layer


def _unknown_class(name: object) -> Exception:
    remedy = "if it is a custom layer, import the module that defines its class first"
    return ValueError(f"{remedy}: {unknown_name('layer class', name, Layer.classes)}")
