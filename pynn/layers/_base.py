"""The base class of all layers: parameters, forward and backward calls, state and configuration."""

from __future__ import annotations

import math
import weakref
from _thread import get_ident
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial, wraps
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from .. import _core
from .._arrays import Array, check_size, is_float, real_array
from .._graph import Buffer, Builder, Parameter, ParameterList, Symbol, _set, moment
from .._hints import hinted
from .._tables import unknown_name
from ._arguments import arguments
from ._convert import convert, parse
from ._flow import Flow
from ._hooks import Handle, Hooks
from ._state import IncompatibleKeys, match_state, mismatch_error

_KEPT_PLANS = 8


def check_initialized(layer: object, name: str) -> None:
    """Raise TypeError unless ``layer`` is a layer whose ``__init__`` called that of `Layer`."""
    if not isinstance(layer, Layer):
        raise TypeError(f"{name}: expected a pynn.Layer, got {layer!r}")
    if "_owners" not in layer.__dict__:
        raise TypeError(f"{name}: {type(layer).__name__}.__init__ must call super().__init__() before anything else")


def _without_hooks(self: Layer, *xs: Any, **options: Any) -> Any:
    if self._hooks is None:
        return self(*xs, **options)
    with self._hooks.suspended(self):
        return self(*xs, **options)


if TYPE_CHECKING:
    _LayerBase = object
else:
    _LayerBase = hinted("layer", __name__)


class Layer(_LayerBase):
    """Base class of all layers: ``y = layer(x)``, then ``gx = layer.backward(gy)``.

    A subclass that defines ``forward`` and ``backward`` in NumPy is a custom layer and can be used in any net, see
    `pynn.layers.custom`.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> class Double(pynn.Layer):
    ...     def forward(self, x):
    ...         return 2 * x
    ...     def backward(self, gy):
    ...         return 2 * gy
    >>> layer = Double()
    >>> layer(np.array([[1.0, 3.0]])), layer.backward(np.array([[1.0, 1.0]]))
    (array([[2., 6.]]), array([[2., 2.]]))
    """

    dtype: str | None = None
    """The dtype that the layer computes in; None means that of its input."""

    classes: ClassVar[dict[str, type[Layer]]] = {}
    """All layer classes by name, for reading configurations."""

    _since = 0
    """The `moment` when a sublayer was last added or replaced; optimizers compare it with their own."""

    _changes = 0
    """The number of times plans were dropped here or in a sublayer; `fit` compares it between epochs."""

    _is_custom: ClassVar[bool] = False
    """Whether the layer is written in Python, with ``forward`` and ``backward``."""
    _accepts_any_scale: ClassVar[bool] = False
    """Whether the scale of the inputs is irrelevant, because the layer normalizes them or because they are indices."""
    _is_activation: ClassVar[bool] = False
    """Whether the layer accepts any shape and has no parameters, so that its range can be measured."""
    _has_gain: ClassVar[bool] = False
    """Whether `apply_init` chooses the weights of the preceding layer to suit the function of this one."""

    def __init_subclass__(cls, *, abstract: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._is_custom = cls.forward is not Layer.forward and cls._build is Layer._build
        if "forward" in vars(cls) and not cls._is_custom and not cls.__module__.startswith("pynn."):
            base = next(base.__name__ for base in cls.__mro__ if "_build" in vars(base))
            remedy = "derive the class from pynn.Layer, define forward and backward, and store the layers as attributes"
            raise TypeError(f"{cls.__name__}: a {base} computes its own layers, so fit would never call forward; {remedy}")
        if cls._is_custom:
            _check_call_order(cls)
        if cls._is_custom and cls.__setattr__ in (object.__setattr__, Layer.__setattr__):
            cls.__setattr__ = _set_custom_attribute  # type: ignore[method-assign]
        if not cls.__name__.startswith("_") and "__init__" not in cls.__dict__ and cls.__init__.__qualname__.startswith("_"):
            cls.__init__ = _with_class_name(cls.__init__, cls)  # type: ignore[method-assign]
        known = Layer.classes.get(cls.__name__)
        library = known is not None and known.__module__.startswith("pynn.") and not cls.__module__.startswith("pynn.")
        if not abstract and not cls.__name__.startswith("_") and not library:
            Layer.classes[cls.__name__] = cls

    _hooks: Hooks | None = None
    """The hooks of this layer."""

    forward: Callable[..., Any] = _without_hooks
    """Return the output for given inputs, as a call does, but without hooks. A custom layer defines it."""

    def __init__(self) -> None:
        self._parameters: dict[str, Parameter] = {}
        self._buffers: dict[str, Buffer] = {}
        self._training = True
        self._ticks = 0
        self._owners: weakref.WeakSet[Layer] = weakref.WeakSet()
        self._drop_plans()

    def _extra_state(self) -> dict[str, Any]:
        """Return facts that a file stores in addition to layers and arrays: plain JSON types by name."""
        return {}

    def _extra_arrays(self) -> dict[str, Array]:
        """Return arrays that a file may store in addition to the state, under names that begin with a dot."""
        return {}

    def _load_extra(self, facts: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
        """Restore what `_extra_state` and `_extra_arrays` returned, from a file that may be untrusted."""

    def _drop_plans(self, seen: bool = True) -> None:
        """Drop the plans of this layer and of the nets that contain it; with ``seen``, also the input shapes of the last call.

        Plans borrow the memory of the parameters, so they must go before a parameter is replaced.
        """
        if seen:
            self._seen: tuple[tuple[int, ...], ...] = ()
        self._parameter_list: list[Parameter] | None = None
        self._plans: OrderedDict[Any, tuple[_core.Plan, bool]] = OrderedDict()
        self._eval_plans: OrderedDict[Any, tuple[_core.Plan, bool]] = OrderedDict()
        self._last: _Call | None = None
        self._changes += 1
        for owner in self._owners:
            owner._drop_plans(seen)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute. If it is a setting such as ``p`` or ``eps``, drop the plans that were made with the old value."""
        is_setting = name[0] != "_" and not hasattr(type(self), name) and hasattr(self, name)
        object.__setattr__(self, name, value)
        if is_setting and hasattr(self, "_owners"):
            self._drop_plans(seen=False)

    @property
    def training(self) -> bool:
        """Whether calls run in training mode; `predict` and `evaluate` always run in evaluation mode."""
        return self._training

    @training.setter
    def training(self, mode: bool) -> None:
        if mode != self._training:
            self._training = bool(mode)
            self._drop_plans(seen=False)

    # ---- what subclasses override -------------------------------------------------------------------------------
    def _build(self, builder: Builder, where: str) -> None:
        """Add this layer to a graph."""
        if not self._is_custom:
            raise NotImplementedError(f"{type(self).__name__}: a custom layer must define forward and backward")
        shapes = [builder.graph.shape(node) for node in builder.nodes]
        named = dict(self.named_parameters())
        pairs = builder.pairs([*named.values()])
        builder.graph.guard(self._custom_gate())
        shape = self._custom_output_shape(shapes, builder.dtype, where)
        builder.nodes = (builder.graph.add_custom(self, where, shape, tuple(named), pairs, builder.nodes),)

    def _flow(self, flow: Flow, inputs: tuple[int, ...]) -> tuple[int, ...]:
        """Add the uses of this layer's leaves to ``flow`` after ``inputs``, and return the uses that compute the outputs."""
        return flow.add(self, inputs)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that create a layer like this one, as plain JSON types."""
        if not self._is_custom:
            return {}
        return arguments(self)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Create a layer from what ``get_config`` returned."""
        return cls(**config)

    def _split(self, x: Array) -> tuple[int, tuple[int, ...], bool]:
        """Return the number of rows, the shape of one sample, and whether the first axis is the batch."""
        return (x.shape[0], x.shape[1:], True) if x.ndim > 1 else (1, x.shape, False)

    # ---- custom layers --------------------------------------------------------------------------------------------
    def _custom_output_shape(self, shapes: Sequence[tuple[int, ...]], dtype: str, where: str) -> tuple[int, ...]:
        """Return the shape of one output sample, from ``output_shape`` or from a forward call on zeros."""
        if hasattr(self, "output_shape") and callable(self.output_shape):
            return tuple(check_size("output_shape", n) for n in self.output_shape(*shapes))
        with np.errstate(all="ignore"), _core.Writing((self._custom_gate(),)):
            y, _ = self.custom_forward(False, *(np.zeros((1, *shape), dtype) for shape in shapes))
        if np.ndim(y) < 1 or np.shape(y)[0] != 1:
            raise ValueError(f"{where}: forward returned shape {np.shape(y)} for one sample of shape {shapes[0]}; expected (1, ...)")
        return tuple(np.shape(y)[1:])

    def _custom_gate(self) -> _core.Gate:
        """Return the lock of a custom layer, whose attributes hold the data of one call at a time."""
        gate: _core.Gate = self.__dict__.setdefault("_gate", _core.Gate())
        return gate

    def custom_forward(self, keep: bool, *xs: Array) -> tuple[Any, _CallState]:
        """Run ``forward`` for a plan. Return its output, and the state that ``custom_backward`` needs.

        The state consists of the attributes that the call set on this layer and on custom layers inside it, and of the calls that
        built-in layers inside it keep for their own backward. Without ``keep``, for predictions, all layers are left as they were.
        """
        layers = [*dict.fromkeys((self, *self._descendants()))]
        own = [layer for layer in layers if layer._is_custom]
        before = {layer: dict(layer.__dict__) for layer in own}
        planned = {layer: (layer._last, layer._plans) for layer in layers if not layer._is_custom}
        modes = {layer: layer._training for layer in layers}
        for layer in planned:
            if keep:
                layer._take_last_call()
            else:
                _set(layer, "_plans", layer._eval_plans)
        for layer in layers if not keep else ():
            _set(layer, "_training", False)
        try:
            y = self.forward(*xs)
        finally:
            changed = {layer: _changed(before[layer], layer.__dict__) for layer in own}
            calls = [(weakref.ref(layer), layer._take_last_call()) for layer in planned if layer._last is not None] if keep else []
            for layer, (last, plans) in planned.items():
                _set(layer, "_last", last)
                if not keep and layer._plans is layer._eval_plans:  # otherwise they were dropped during the call
                    _set(layer, "_plans", plans)
            for layer, mode in modes.items() if not keep else ():
                _set(layer, "_training", mode)
            for layer in own:
                if not keep:
                    layer._restore(changed[layer], before[layer])
                else:
                    _set(layer, "_call", None)  # its attributes now belong to this call, not to one that the user made
        return y, _CallState([(weakref.ref(layer), attributes) for layer, attributes in changed.items()], calls)

    def _restore(self, changed: Mapping[str, Any], before: Mapping[str, Any]) -> None:
        for name in changed:
            self.__dict__.pop(name, None)
        self.__dict__.update({k: before[k] for k in (*changed, "_call") if k in before})

    def custom_backward(self, kept: _CallState | None, gy: Array) -> Any:
        """Run ``backward`` for a plan, with the layers in the state in which that call of ``forward`` left them."""
        if type(self).backward is Layer.backward:
            raise NotImplementedError(f"{type(self).__name__} defines forward but no backward")
        changed = [(layer, attributes) for ref, attributes in (kept.changed if kept else ()) if (layer := ref()) is not None]
        calls = [(layer, call, layer._last) for ref, call in (kept.calls if kept else ()) if (layer := ref()) is not None]
        for layer, attributes in changed:
            layer.__dict__.update(attributes)
            _set(layer, "_call", _IN_BACKWARD if layer is self else (get_ident(), layer._versions()))
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
                if plans is layer._plans:  # they have not been dropped since
                    layer._plans.setdefault(key, found)

    def _versions(self) -> int:
        """Return how often the library has written the parameters."""
        return sum([p._gate.version for p in self._parameter_list or self.parameters()])

    def _check_call(self, call: tuple[int, int] | None) -> None:
        """Raise unless this thread made the last forward call and the parameters are unchanged since."""
        if call is None:
            raise missing_forward(type(self).__name__)
        if call[0] != get_ident():
            raise RuntimeError("backward: another thread made the last forward call; give each thread its own copy (copy.deepcopy)")
        if call[1] != self._versions():
            raise RuntimeError(
                "backward: the parameters have changed since the forward call (an optimizer step, load_state_dict or an assignment), so "
                "its output is out of date; call backward before changing them, or call the layer again"
            )

    def _take_last_call(self) -> _Call:
        """Return the state of the last call, and remove its plan from those that later calls may reuse."""
        call = self._last
        if call is not None and self._plans.get(call[0]) is call[1]:
            del self._plans[call[0]]
        _set(self, "_last", None)
        return call  # type: ignore[return-value]

    def _descendants(self) -> Iterator[Layer]:
        for layer in self._children().values():
            yield layer
            yield from layer._descendants()

    def _call_custom(self, xs: tuple[Array, ...]) -> Any:
        dtype = self._compute_dtype(*xs)
        y = self.forward(*(np.asarray(x, dtype) for x in xs))
        return np.asarray(y, dtype)

    # ---- calling -------------------------------------------------------------------------------------------------
    def _compute_dtype(self, *xs: Array) -> str:
        if self.dtype:
            return self.dtype
        return "float32" if all(is_float(x, 2, 4) for x in xs) else "float64"

    def _plan(self, xs: tuple[Array, ...]) -> tuple[Any, tuple[_core.Plan, bool]]:
        """Return the cache key of the plan for these inputs, and the plan with whether it draws random numbers."""
        dtype = self._compute_dtype(*xs)
        known = self.parameters() if self._parameter_list is None else self._parameter_list
        key = (*[x.shape for x in xs], dtype, *[p.requires_grad for p in known], _core.isa())
        found = self._plans.get(key)
        if found is None:
            rows, _, batched = self._split(xs[0])
            shapes = tuple(self._split(x)[1] for x in xs)
            for x in xs[1:]:
                if self._split(x)[0] != rows:
                    raise ValueError(f"{type(self).__name__}: inputs have different row counts: {rows} and {len(x)}")
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
            except KeyError:  # another thread dropped it
                self._plans[key] = found
        plan, random = found
        if random:
            plan.tick = self._ticks
            _set(self, "_ticks", self._ticks + 1)
        return key, found

    def __call__(self, *xs: ArrayLike) -> Any:
        """Return the output, or a tuple of outputs, and store what ``backward`` needs.

        Inputs are held by reference until then. A layer stores its last call only. Overlapping calls of one layer from several
        threads raise a RuntimeError; ``predict`` may run in any number of threads.
        """
        if not xs:
            raise TypeError(f"{type(self).__name__}: expected an array")
        if isinstance(xs[0], Symbol):
            return Symbol._of(self, xs)
        if self._hooks is not None:
            return self._hooks.forward(self, tuple(real_array(x, "x") for x in xs), partial(Layer.__call__, self))
        arrays = tuple([real_array(x, "x") for x in xs])
        if self._is_custom:
            return self._call_custom(arrays)
        key, found = self._plan(arrays)
        _, _, batched = self._split(arrays[0])
        y = found[0].forward(*(arrays if batched else [a[np.newaxis] for a in arrays]))
        _set(self, "_last", (key, found, arrays, self._plans))  # a _Call
        half = not self.dtype and is_float(arrays[0], 2)
        if batched and not half:
            return y
        outputs = [out if batched else out[0] for out in (y if isinstance(y, tuple) else (y,))]
        outputs = [out.astype(np.float16) for out in outputs] if half else outputs
        return tuple(outputs) if isinstance(y, tuple) else outputs[0]

    def backward(self, *gys: ArrayLike) -> Any:
        """Return dL/dx of the last call for ``gy = dL/dy``, and add dL/dparameter to ``grads``.

        A layer with several outputs takes one gradient per output. A layer with several inputs returns a tuple.

        Raises
        ------
        RuntimeError
            If the layer has not been called, or backward has already run for the last call. A loop that uses the same parameters
            several times before backward needs a `Model`, in which layers may be shared. Also if the parameters have changed since
            the call, or another thread made it.
        ValueError
            If the shape of a gradient differs from that of its output.
        """
        if self._is_custom:
            raise NotImplementedError(f"{type(self).__name__} defines forward but no backward")
        if self._hooks is not None:
            return self._hooks.backward(self, tuple(real_array(g, "gy") for g in gys), partial(Layer.backward, self))
        call = self._last
        if call is None:
            raise missing_forward(type(self).__name__)
        _, (plan, _), xs, _ = call
        shapes = plan.output_shapes
        if len(gys) != len(shapes):
            raise TypeError(f"backward: expected {len(shapes)} gradients, got {len(gys)}")
        gs = []
        for gy, shape in zip(gys, shapes, strict=True):
            g = real_array(gy, "gy")
            if g.shape != shape:
                if math.prod(g.shape) != math.prod(shape):
                    raise ValueError(f"gy: shape {g.shape} differs from that of the last output, {shape}")
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

    # ---- sublayers -------------------------------------------------------------------------------------------------
    def _children(self) -> dict[str, Layer]:
        """Return the direct sublayers by name."""
        return self.__dict__.get("_parts", {}) if self._is_custom else {}

    def named_children(self) -> Iterator[tuple[str, Layer]]:
        """Yield the direct sublayers with their names, each once."""
        seen: set[Layer] = set()
        for name, layer in self._children().items():
            if layer not in seen:
                seen.add(layer)
                yield name, layer

    def children(self) -> Iterator[Layer]:
        """Yield the direct sublayers, each once."""
        for _, layer in self.named_children():
            yield layer

    def named_modules(self) -> Iterator[tuple[str, Layer]]:
        """Yield this layer, named ``""``, and all layers inside it, each once, with full names such as ``"4.layers.0"``."""
        seen: set[Layer] = set()
        waiting: list[tuple[str, Layer]] = [("", self)]
        while waiting:
            path, layer = waiting.pop()
            if layer not in seen:
                seen.add(layer)
                yield path, layer
                waiting += [(f"{path}.{name}" if path else name, part) for name, part in reversed(layer._children().items())]

    def modules(self) -> Iterator[Layer]:
        """Yield this layer and all layers inside it, each once.

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
        """Call ``f`` with every layer inside this one and finally with this one, as in PyTorch. Return this layer."""
        for layer in reversed([*self.modules()]):
            f(layer)
        return self

    def _leaves(self, prefix: str = "") -> Iterator[tuple[str, Layer]]:
        """Yield the layers without sublayers, with full names; a shared layer appears once per use."""
        for name, layer in self._children().items():
            if layer._children() and not layer._is_custom:
                yield from layer._leaves(f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}", layer

    def _output_layers(self) -> list[tuple[str, Layer | None]]:
        """Return for each output the layer that computes it and its name; ("", None) if no single layer does."""
        return [("", None if self._children() else self)]

    def _adopt(self) -> None:
        """Register with the sublayers as their owner, check that they share one dtype, and use that dtype."""
        for name, layer in self._children().items():
            if self in layer.modules():
                raise ValueError(f"layers: layer {name} contains this {type(self).__name__}; a layer cannot contain itself")
        found = {layer.dtype: name for name, layer in self._leaves() if layer.dtype}
        if len(found) > 1:
            raise ValueError("layers: all must have one dtype, got " + ", ".join(f"{d} in layer {n}" for d, n in found.items()))
        self.dtype = next(iter(found), None)
        for layer in self._children().values():
            layer._owners.add(self)
        self._since = moment()
        self._drop_plans()

    # ---- parameters ----------------------------------------------------------------------------------------------
    def _all_parameters(self) -> dict[str, Parameter]:
        parts = ((f"{name}.{own}", p) for name, layer in self._children().items() for own, p in layer._all_parameters().items())
        return {**self._parameters, **dict(parts)}

    def _all_state(self) -> dict[str, Parameter | Buffer]:
        parts = ((f"{name}.{own}", p) for name, layer in self._children().items() for own, p in layer._all_state().items())
        own = {name: buffer for name, buffer in self._buffers.items() if buffer.persistent}
        return {**self._parameters, **own, **dict(parts)}

    def _array(self, name: str) -> Array | None:
        """Return an array of this layer's state (not of its sublayers'), or None if the layer has none of that name."""
        found = self._parameters.get(name) or self._buffers.get(name)
        return None if found is None else found.data

    def _assign(self, name: str, value: Any) -> None:
        """Copy values, or one number for all elements, into an array of this layer's state."""
        held = self._parameters.get(name) or self._buffers.get(name)
        if held is None:
            raise AttributeError(f"{type(self).__name__} has no {name}: it was created without one, so values cannot be assigned")
        new = real_array(value.data if isinstance(value, Parameter) else value, name)
        held.data = new if new.ndim else np.full(held.data.shape, new)

    def parameters(self) -> list[Parameter]:
        """Return the parameters, each once. An optimizer made from this list also trains parameters that are added later."""
        if self._parameter_list is None:
            _set(self, "_parameter_list", [*{id(p): p for p in self._all_parameters().values()}.values()])
        return ParameterList(self._parameter_list or (), self)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield pairs of a name, such as ``"0.weight"``, and a parameter; a shared parameter appears once, under its first name."""
        first = {id(p): name for name, p in reversed(self._all_parameters().items())}
        yield from ((name, p) for name, p in self._all_parameters().items() if first[id(p)] == name)

    def named_buffers(self) -> Iterator[tuple[str, Array]]:
        """Yield pairs of a name, such as ``"1.running_mean"``, and the array of a buffer, each buffer once."""
        seen: set[int] = set()
        for path, layer in self.named_modules():
            for name, buffer in layer._buffers.items():
                if id(buffer) not in seen:
                    seen.add(id(buffer))
                    yield f"{path}.{name}" if path else name, buffer.data

    def buffers(self) -> Iterator[Array]:
        """Yield the arrays of the state that are not trained, such as running means, each once."""
        for _, array in self.named_buffers():
            yield array

    def get_submodule(self, target: str) -> Layer:
        """Return the layer of a name, such as ``"0.layers.1"``; ``""`` is this layer."""
        known = dict(self.named_modules())
        if target not in known:
            raise AttributeError(str(unknown_name("layer", target, [name for name in known if name])))
        return known[target]

    def get_parameter(self, target: str) -> Parameter:
        """Return the parameter of a name, such as ``"0.weight"``."""
        known = self._all_parameters()
        if target not in known:
            raise AttributeError(str(unknown_name("parameter", target, known)))
        return known[target]

    def get_buffer(self, target: str) -> Array:
        """Return the array of a buffer by its name, such as ``"1.running_mean"``."""
        known = dict(self.named_buffers())
        if target not in known:
            raise AttributeError(str(unknown_name("buffer", target, known)))
        return known[target]

    @property
    def params(self) -> dict[str, Array]:
        """The parameters' arrays by name, not copies."""
        return {name: p.data for name, p in self._all_parameters().items()}

    @property
    def grads(self) -> dict[str, Array]:
        """The gradients by name, not copies."""
        return {name: p.grad for name, p in self._all_parameters().items()}

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all arrays of the layer's state, under PyTorch's names."""
        return {name: p._array.copy() for name, p in self._all_state().items()}

    def load_state_dict(self, state: Mapping[str, ArrayLike], strict: bool = True) -> IncompatibleKeys:
        """Copy ``state`` into the layer's arrays.

        Parameters
        ----------
        state : mapping of str to array_like
            As returned by ``state_dict``. PyTorch states are accepted too: tensors of any floating-point type, names with the
            prefixes of DataParallel (``module.``) and torch.compile (``_orig_mod.``), checkpoints with an entry ``state_dict``,
            ``model_state_dict`` or ``model``, and states without ``num_batches_tracked``.
        strict : bool
            Whether a missing or an unexpected name is an error. Shapes must always match.

        Returns
        -------
        IncompatibleKeys
            ``missing_keys`` and ``unexpected_keys``, as in PyTorch; both are empty if ``strict``.

        Raises
        ------
        KeyError
            If ``strict`` and names are missing or unexpected.
        ValueError
            If a shape differs, or the state is a checkpoint with several candidate entries. The layer is left unchanged.
        TypeError
            If the state is not a mapping, or a value is not an array of real numbers.
        """
        own = self._all_state()
        given, unmatched = match_state(state, own.keys(), [name for name, held in own.items() if held.optional])
        if strict and any(unmatched):
            raise mismatch_error(unmatched, own.keys())
        new = {name: real_array(a, name) for name, a in given.items()}
        for name, a in new.items():
            if a.shape != own[name]._array.shape:
                raise ValueError(f"state: {name} has shape {a.shape}, expected {own[name]._array.shape}")
        with _core.Writing([own[name]._gate for name in new]):
            for name, a in new.items():
                own[name].data[...] = a
        return unmatched

    def zero_grad(self, set_to_none: bool = False) -> None:
        """Set every gradient to zero. ``set_to_none`` is accepted for PyTorch's sake: arrays of gradients are never removed."""
        for p in self.parameters():
            p.grad.fill(0)

    def freeze(self, *names: str) -> Self:
        """Exclude this layer's parameters from training, or only the named sublayers and parameters, such as ``"0"``."""
        return self._require_grad(False, names)

    def unfreeze(self, *names: str) -> Self:
        """Include this layer's parameters in training again, or only the named sublayers and parameters."""
        return self._require_grad(True, names)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Include this layer's parameters in training, or exclude them, as `unfreeze` and `freeze` do."""
        return self._require_grad(bool(requires_grad), ())

    def _require_grad(self, value: bool, names: Sequence[str]) -> Self:
        own = self._all_parameters()
        found = {name: [p for full, p in own.items() if f"{full}.".startswith(f"{name}.")] for name in names}
        for name, parameters in found.items():
            if not parameters:
                known = dict.fromkeys(full.rsplit(".", k)[0] for full in own for k in range(full.count("."), -1, -1))
                raise unknown_name("layer or parameter to train", name, known)
        for p in [p for part in found.values() for p in part] if names else self.parameters():
            p.requires_grad = value
        return self

    # ---- custom layers: registration --------------------------------------------------------------------------------
    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter to a custom layer, as ``layer.name = pynn.Parameter(...)`` does; None sets the attribute to None."""
        self._check_new_name("register_parameter", name)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"param: expected a pynn.Parameter or None, got {type(param).__name__}")
        setattr(self, name, param)

    def register_module(self, name: str, module: Layer | None) -> None:
        """Add a sublayer to a custom layer, as ``layer.name = module`` does; None sets the attribute to None."""
        self._check_new_name("register_module", name)
        if module is not None:
            check_initialized(module, "module")
        setattr(self, name, module)

    add_module = register_module

    def register_buffer(self, name: str, tensor: ArrayLike | None, persistent: bool = True) -> None:
        """Add an array to a custom layer's state that is not trained, such as a running mean.

        Parameters
        ----------
        name : str
            The attribute that returns the array. Assigning to it copies values into the array.
        tensor : array_like or None
            The initial values, which are copied; None sets the attribute to None.
        persistent : bool
            Whether ``state_dict`` and files contain the buffer.

        Raises
        ------
        TypeError
            If the layer is not a custom layer, or the values are not real numbers.
        KeyError
            If the layer has an attribute of that name.
        """
        self._check_new_name("register_buffer", name)
        if tensor is None:
            setattr(self, name, None)
            return
        self._buffers[name] = Buffer(np.array(real_array(tensor, "tensor"), order="C"), name, persistent=persistent)
        self._show_buffers()
        self._drop_plans()

    def _show_buffers(self) -> None:
        """Make the arrays of a custom layer's buffers its attributes. Built-in layers have properties instead."""
        if self._is_custom:
            self.__dict__.update({name: buffer.data for name, buffer in self._buffers.items()})

    def _check_new_name(self, method: str, name: str) -> None:
        if not self._is_custom:
            remedy = "containers take layers as arguments" if self._children() else "its arrays are fixed"
            why = f"only custom layers, which define forward, register names; this is a {type(self).__name__}"
            raise TypeError(f"{method}: {why}: {remedy}")
        if "_owners" not in self.__dict__:
            raise TypeError(f"{type(self).__name__}.__init__ must call super().__init__() before {method}")
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError(f"name: expected the name of an attribute, got {name!r}")
        if hasattr(self, name) and name not in self._parameters and name not in self._children():
            raise KeyError(f"{type(self).__name__} already has an attribute {name!r}")

    # ---- hooks --------------------------------------------------------------------------------------------------------
    def register_forward_hook(self, hook: Callable[..., Any], *, prepend: bool = False) -> Handle:
        """Call ``hook(layer, inputs, output)`` after each call of this layer.

        Parameters
        ----------
        hook : callable
            Takes the layer, the tuple of its inputs, and the output. If it returns a value other than None, that replaces the output; a
            ``backward`` of such a call is an error, because the derivative of the replacement is not known.
        prepend : bool
            Whether to call it before the hooks that are already registered.

        Returns
        -------
        Handle
            ``handle.remove()`` removes the hook.

        Notes
        -----
        Hooks of a layer inside a net are called wherever the net runs: in calls of the net, and for each batch in `fit`, `predict` and
        `evaluate`, with copies of the arrays. The net then runs that layer from Python, which is slower, and health reports show it as one
        layer. Hooks of the net itself are called in calls ``net(x)`` and ``net.backward(gy)`` only. Copies, pickles and files do not
        contain hooks. A layer with several outputs can have hooks only if it is called itself.

        Examples
        --------
        >>> import numpy as np, pynn
        >>> net = pynn.Sequential(pynn.Linear(2, 3, seed=0), "relu")
        >>> shapes = []
        >>> with net[0].register_forward_hook(lambda layer, inputs, output: shapes.append(output.shape)):
        ...     _ = net(np.ones((4, 2)))
        >>> shapes
        [(4, 3)]
        """
        return self._register("forward", hook, prepend)

    def register_forward_pre_hook(self, hook: Callable[..., Any], *, prepend: bool = False) -> Handle:
        """Call ``hook(layer, inputs)`` before each call of this layer; a value other than None replaces the inputs.

        See `register_forward_hook`.
        """
        return self._register("forward_pre", hook, prepend)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """Call ``hook(layer, grad_input, grad_output)`` after each ``backward`` of this layer.

        Both gradients are tuples. A value other than None replaces ``grad_input``. See `register_forward_hook`.
        """
        return self._register("full_backward", hook, prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> Handle:
        """Call ``hook(layer, grad_output)`` before each ``backward``; a value other than None replaces ``grad_output``.

        See `register_forward_hook`.
        """
        return self._register("full_backward_pre", hook, prepend)

    def _register(self, kind: str, hook: Callable[..., Any], prepend: bool) -> Handle:
        if not callable(hook):
            raise TypeError(f"hook: expected a function, got {hook!r}")
        hooks = self._hooks
        if hooks is None:
            hooks = Hooks(self, _Hooked(self))
            _set(self, "_hooks", hooks)
            self._drop_plans(seen=False)
        return hooks.add(kind, hook, prepend)

    # ---- dtype ------------------------------------------------------------------------------------------------------
    def to(self, *args: Any, dtype: Any = None, device: Any = None) -> Self:
        """Convert parameters and buffers to another dtype in place, and return this layer.

        Parameters
        ----------
        *args : dtype, 'float32', 'float64' or 'cpu'
            The dtype, or the device, as in PyTorch.
        dtype : dtype, optional
            'float32' or 'float64'. Integer buffers keep their dtype.
        device : str, optional
            'cpu', the only device.

        Raises
        ------
        ValueError
            If the dtype or the device is another one, or the layer is part of a net whose other layers would keep their dtype.

        Notes
        -----
        An optimizer of these parameters converts its state in the next step.

        Examples
        --------
        >>> import pynn
        >>> net = pynn.Sequential(pynn.Linear(2, 3), "relu").to("float64")
        >>> net[0].weight.dtype
        dtype('float64')
        """
        convert(self, parse(args, dtype, device))
        return self

    def double(self) -> Self:
        """Convert to float64, see `to`."""
        return self.to("float64")

    def float(self) -> Self:
        """Convert to float32, see `to`."""
        return self.to("float32")

    def cpu(self) -> Self:
        """Return this layer: all layers are on the CPU."""
        return self

    # ---- mode, text, pickling -------------------------------------------------------------------------------------
    def train(self, mode: bool = True) -> Self:
        """Set training mode here and in all sublayers. It affects layers such as dropout and batch normalization."""
        self.training = mode
        for layer in self._children().values():
            layer.train(mode)
        return self

    def eval(self) -> Self:
        """Set evaluation mode here and in all sublayers."""
        return self.train(False)

    def __repr__(self) -> str:
        try:
            return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_config().items())})"
        except TypeError:
            return f"<{type(self).__name__}>"

    def __getstate__(self) -> dict[str, Any]:
        shown = self._buffers if self._is_custom else ()
        return {k: v for k, v in self.__dict__.items() if k not in _NOT_COPIED and k not in shown}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._owners = weakref.WeakSet()
        for layer in self._children().values():
            layer._owners.add(self)
        self._show_buffers()
        self._drop_plans(seen=False)


def _with_class_name(init: Callable[..., None], cls: type[Layer]) -> Any:
    """Return a copy of an inherited ``__init__`` under the name of ``cls``, which Python's error messages show."""
    assert isinstance(init, FunctionType)
    copy = FunctionType(init.__code__, init.__globals__, "__init__", init.__defaults__, init.__closure__)
    copy.__kwdefaults__, copy.__annotations__, copy.__doc__ = init.__kwdefaults__, init.__annotations__, init.__doc__
    copy.__qualname__ = f"{cls.__qualname__}.__init__"
    return copy


_NOT_COPIED = frozenset(("_plans", "_eval_plans", "_last", "_owners", "_parameter_list", "_call", "_gate", "_since", "_hooks"))
"""Attributes of a layer that copies and pickles leave out."""

_BASE_ATTRIBUTES = _NOT_COPIED | {"_parameters", "_buffers", "_parts", "_training", "_ticks", "_seen", "_changes", "dtype"}
"""Attributes that the library manages, as opposed to those that a custom ``forward`` sets."""

_Plans: TypeAlias = OrderedDict[Any, tuple[_core.Plan, bool]]

_Call: TypeAlias = tuple[Any, tuple[_core.Plan, bool], tuple[Array, ...], _Plans]
"""A call that awaits backward: the cache key, the plan with the call's arrays, the inputs, and the cache that holds the plan."""


class _CallState(NamedTuple):
    """What a plan stores of a call of a custom layer: the attributes it set, and the calls of layers inside it."""

    changed: list[tuple[weakref.ref[Layer], dict[str, Any]]]
    calls: list[tuple[weakref.ref[Layer], _Call]]


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in now.items() if k not in _BASE_ATTRIBUTES and before.get(k, _BASE_ATTRIBUTES) is not v}


_IN_BACKWARD = -1
"""The value of ``_call`` while ``backward`` runs; it may call the ``backward`` of a base class, which must not be checked again."""


def missing_forward(name: str) -> RuntimeError:
    """Return the error for a backward that no forward call precedes."""
    return RuntimeError(
        f"{name}.backward needs a forward call before it, y = layer(x), and each call has one backward. A layer stores only its last call; "
        "to use it several times before backward, use one layer object per use, or a Sequential or Model that contains all uses"
    )


def _check_call_order(cls: type[Layer]) -> None:
    """Wrap ``forward`` and ``backward`` of a custom layer so that each call has one backward.

    It must come from the same thread and before the parameters change.
    """
    forward, backward = cls.forward, cls.backward
    if not hasattr(forward, "_is_paired"):

        @wraps(forward)
        def paired_forward(self: Layer, *xs: Any, **options: Any) -> Any:
            y = forward(self, *xs, **options)
            if self.__dict__.get("_call") != _IN_BACKWARD:
                _set(self, "_call", (get_ident(), self._versions()))
            return y

        paired_forward._is_paired = True  # type: ignore[attr-defined]
        cls.forward = paired_forward
    if backward is not Layer.backward and not hasattr(backward, "_is_paired"):

        @wraps(backward)
        def paired_backward(self: Layer, *gys: Any, **options: Any) -> Any:
            call = self.__dict__.get("_call")
            if call == _IN_BACKWARD:
                return backward(self, *gys, **options)
            if self._hooks is not None:
                return self._hooks.backward(self, gys, partial(paired_backward, self, **options))
            self._check_call(call)
            _set(self, "_call", _IN_BACKWARD)
            try:
                gx = backward(self, *gys, **options)
                call = None
                return gx
            finally:
                _set(self, "_call", call)

        paired_backward._is_paired = True  # type: ignore[attr-defined]
        cls.backward = paired_backward  # type: ignore[method-assign]


def _set_custom_attribute(self: Layer, name: str, value: Any) -> None:
    """Set an attribute of a custom layer; parameters and layers are registered under its name."""
    if isinstance(value, (Parameter, Layer)):
        if "_owners" not in self.__dict__:
            raise TypeError(f"{type(self).__name__}.__init__ must call super().__init__() before it sets parameters or layers")
        if isinstance(value, Layer) and self in value.modules():
            remedy = "so it cannot also be a sublayer of it; store weakref.ref(net) instead"
            raise ValueError(f"{type(self).__name__}.{name}: the {type(value).__name__} contains this layer, {remedy}")
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
        self._drop_plans()
    elif name in self.__dict__.get("_buffers", ()):
        self._buffers[name].data = value
        return
    elif name in self.__dict__.get("_parameters", {}):
        raise TypeError(f"{type(self).__name__}.{name} is a parameter: assign a Parameter, or assign values to {name}.data[...]")
    object.__setattr__(self, name, value)


def output_shape_of(layer: Layer, shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Return the shape of one output sample of a layer that a layer written in Python contains, without running it."""
    builder = Builder(layer.dtype or "float32", shapes, training=False)
    layer._build(builder, type(layer).__name__)
    if len(builder.nodes) > 1:
        what = "a layer with several outputs cannot have hooks, or normalized weights, inside a net"
        raise ValueError(f"{type(layer).__name__}: {what}")
    return builder.shape


class _Hooked(Layer, abstract=True):
    """A layer with hooks as a net's graph contains it: written in Python, with the layer inside."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layer: Layer
        self.__dict__["layer"] = layer  # not as an attribute, which would make this adapter an owner of the layer

    def _children(self) -> dict[str, Layer]:
        return {"layer": self.layer}

    def output_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one output sample, without calling the hooks."""
        return output_shape_of(self.layer, shapes)

    def forward(self, *xs: Any) -> Any:
        """Call the layer with its hooks."""
        return self.layer(*xs)

    def backward(self, *gys: Any) -> Any:
        """Call the layer's backward with its hooks."""
        return self.layer.backward(*gys)


if not TYPE_CHECKING:
    del _LayerBase
