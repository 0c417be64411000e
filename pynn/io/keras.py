"""Convert weights from and to Keras.

Keras stores the same numbers under other names and in other shapes, and after Flatten in another order.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .._arrays import Array, real_array
from .._dtypes import from_tensor
from .._graph import Builder
from ..layers import Flatten, Linear
from ..layers._base import Layer
from ..layers._flow import Flow
from ..layers.conv import _Conv
from ..layers.embedding import Embedding
from ..layers.gates import PReLU
from ..layers.norm import LayerNorm, RMSNorm, _BatchNorm, _Norm
from ..layers.shape import _Pixels
from ._keras_files import Group, Order, read

__all__ = ["from_keras", "to_keras"]


def __dir__() -> list[str]:
    return __all__


class _Row(NamedTuple):
    """The counterpart of a layer class in Keras: names of its arrays in Keras's order, and Keras's classes in snake case."""

    cls: type[Layer]
    names: Mapping[str, str]
    kinds: tuple[str, ...]


_KERNEL = {"weight": "kernel", "bias": "bias"}
_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
_CONVS = tuple(kind.format(n) for kind in ("conv{}d", "depthwise_conv{}d", "separable_conv{}d", "conv{}d_transpose") for n in (1, 2))
_ROWS = (
    _Row(Linear, _KERNEL, ("dense",)),
    _Row(_Conv, _KERNEL, _CONVS),
    _Row(Embedding, {"weight": "embeddings"}, ("embedding",)),
    _Row(PReLU, {"weight": "alpha"}, ("p_re_lu",)),
    _Row(RMSNorm, {"weight": "scale"}, ("rms_normalization",)),
    _Row(_BatchNorm, _NORM, ("batch_normalization",)),
    _Row(LayerNorm, _NORM, ("layer_normalization",)),
    _Row(_Norm, _NORM, ("group_normalization",)),
)
"""The first row that matches a layer applies."""
_KINDS = frozenset(kind for row in _ROWS for kind in row.kinds)
_LEFT_OUT = {"gamma": 1.0, "beta": 0.0}
"""Values of arrays that a normalization layer of Keras may omit (``scale=False``, ``center=False``)."""
_IGNORED = ("num_batches_tracked",)
"""Arrays without a counterpart in Keras."""
_BY_FEATURE = ("linear", "batch_norm", "layer_norm", "prelu")
"""The core's layer kinds that have an array along the features."""
_MOST_TRIALS = 100_000


class _Array(NamedTuple):
    """An array of a layer, and its name in Keras."""

    layer: Layer
    path: str
    name: str
    keras: str
    data: Array

    @property
    def where(self) -> str:
        return f"layer {self.path} ({type(self.layer).__name__})"

    def _sorted(self, a: Array, order: Array | None) -> Array:
        """Return Keras's array with the features of the layer's input permuted by ``order``."""
        axis = -2 if self.keras == "kernel" else -1
        return a if order is None or self.keras == "bias" or a.shape[axis] == 1 else np.take(a, order, axis)

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape in Keras."""
        s = self.data.shape
        return (*s[2:], s[1], s[0]) if self.keras == "kernel" else s

    def to_keras(self, order: Array | None) -> Array:
        a = self.data if self.keras != "kernel" else np.moveaxis(self.data, (0, 1), (-1, -2))
        return np.array(self._sorted(a, None if order is None else np.argsort(order)), order="C")

    def reshaped(self, a: Array) -> Array | None:
        """Return Keras's array in the expected shape, or None if it does not fit."""
        depthwise = isinstance(self.layer, _Conv) and self.layer.groups == self.layer.in_channels
        if self.keras == "kernel" and depthwise and a.size == self.data.size:
            a = a.reshape(self.shape)  # from (..., in, multiplier), which has the same order
        if self.keras == "alpha" and a.shape[-1:] == (a.size,):
            a = a.reshape(-1)  # from (1, 1, channels), for slopes that are shared along axes
        return a if a.shape == self.shape else None

    def from_keras(self, given: ArrayLike, order: Array | None) -> Array:
        whole = real_array(given, f"{self.where}: {self.keras}")
        a = self.reshaped(whole)
        if a is None:
            target = f"{self.name} of shape {self.data.shape}"
            raise ValueError(f"{self.where}: Keras's {self.keras} has shape {whole.shape}, expected {self.shape} for {target}")
        a = self._sorted(a, order)
        return np.ascontiguousarray(np.moveaxis(a, (-1, -2), (0, 1)) if self.keras == "kernel" else a, self.data.dtype)


def _arrays(model: Layer) -> dict[str, list[_Array]]:
    """Return the arrays that exist in Keras too, in Keras's order, by layer path; a shared layer appears once."""
    leaves = [*model._leaves()] if model._children() else [("", model)]
    found: dict[str, list[_Array]] = {}
    for path, layer in {id(layer): (path, layer) for path, layer in reversed(leaves)}.values():
        state = layer._all_state()
        names = next((row.names for row in _ROWS if isinstance(layer, row.cls)), {})
        invalid = state.keys() - names.keys() - {*_IGNORED}
        if invalid or any(a.data.ndim > 1 for a in state.values() if isinstance(layer, _Norm)):
            raise TypeError(f"layer {path} ({type(layer).__name__}) has arrays without a counterpart in Keras; it cannot be converted")
        if state:
            found[path] = [_Array(layer, path, name, keras, state[name].data) for name, keras in names.items() if name in state]
    return {path: found[path] for path, _ in leaves if path in found}


# ---- the order of features after Flatten -----------------------------------------------------------------------------
class _Trace:
    """A walk over a graph that traces images to the point where Flatten turns them into features; Keras has channels last.

    Attributes
    ----------
    found : dict of str to numpy.ndarray
        By layer path, the position in Keras of each input feature.
    """

    def __init__(self, builder: Builder, layers: Mapping[str, Layer]) -> None:
        self._nodes = builder.finish().read()
        self._images: set[int] = set()
        self._orders: dict[int, Array] = {}
        self.found: dict[str, Array] = {}
        paths = [builder.owners.get(number, ("", ""))[0] for number in range(len(self._nodes))]
        starts_with_images = False
        for number, node in enumerate(self._nodes):
            path = paths[number]
            if node["kind"] is None:
                continue
            if paths[number - 1] != path:
                starts_with_images = node["inputs"][0] in self._images
            self._follow(number, path)
            is_last = paths[number + 1 : number + 2] != [path]
            if is_last and starts_with_images and isinstance(layers.get(path), _Pixels):
                self._images.add(number)

    def _follow(self, number: int, path: str) -> None:
        """Record whether a node gives images, and the order of its features."""
        node = self._nodes[number]
        kind, first, after = node["kind"], node["inputs"][0], node["shape"]
        before = self._nodes[first]["shape"]
        keeps = first in self._images and len(before) == len(after) and kind not in ("linear", "permute", "reshape")
        if len(after) > 1 and (kind in ("conv", "pooling") or keeps):
            self._images.add(number)
        if kind == "reshape" and len(after) == 1 and first in self._images:
            order = np.moveaxis(np.arange(after[0]).reshape(*before[1:], before[0]), -1, 0).reshape(-1)
            if not np.array_equal(order, np.arange(after[0])):
                self._orders[number] = order
        elif any(feed in self._orders for feed in node["inputs"]):
            self._reorder(number, path)

    def _reorder(self, number: int, path: str) -> None:
        """Derive the order of features after a node from the orders of its inputs."""
        node = self._nodes[number]
        kind, sizes = node["kind"], [self._nodes[feed]["shape"] for feed in node["inputs"]]
        orders = [self._orders.get(feed, np.arange(math.prod(size))) for feed, size in zip(node["inputs"], sizes, strict=True)]
        alike = all(np.array_equal(order, orders[0]) for order in orders) and node["shape"] == sizes[0]
        if kind in _BY_FEATURE:
            self.found[path] = orders[0]
        if kind == "concat":
            starts = np.cumsum([0, *(len(order) for order in orders)])
            self._orders[number] = np.concatenate([order + start for order, start in zip(orders, starts, strict=False)])
        elif kind != "linear":
            if not alike or kind in ("group_norm", "reshape", "permute"):
                where = node["where"]
                raise ValueError(f"{where}: cannot reorder its flattened images for Keras; add pynn.Permute((0, 2, 3, 1)) before Flatten")
            self._orders[number] = orders[0]


def _orders(model: Layer, shape: Sequence[int] | None) -> dict[str, Array]:
    """Return by layer path the position in Keras of each input feature, for layers where the order differs."""
    layers = [layer for _, layer in model._leaves()]
    if not (any(isinstance(layer, Flatten) for layer in layers) and any(isinstance(layer, _Conv) for layer in layers)):
        return {}
    shapes = [tuple(shape)] if shape is not None else model._input_shapes() if hasattr(model, "_input_shapes") else []
    if not shapes:
        raise ValueError("shape: expected the shape of one sample, such as (1, 28, 28), because Keras flattens images with channels last")
    builder = Builder(model.dtype or "float32", shapes)
    model._build(builder, "")
    return _Trace(builder, dict(model._leaves())).found


# ---- given weights ---------------------------------------------------------------------------------------------------
def _by_layer(weights: Mapping[str, Any]) -> list[Group]:
    """Group variables by layer name."""
    found: dict[str, dict[str, Any]] = {}
    for full, a in weights.items():
        layer, _, name = re.sub(r":\d+$", "", str(full)).rpartition("/")
        found.setdefault(layer, {})[name] = from_tensor(a, str(full))
    return [Group((layer,), "", "", variables) for layer, variables in found.items()]


def _split(groups: Iterable[Group]) -> Iterator[Group]:
    """Yield layers, with each separable convolution split into a depthwise and a pointwise one.

    The kernel of a depthwise convolution is named "depthwise_kernel" in Keras 2 and "kernel" in Keras 3.
    """
    for group in groups:
        variables = dict(group.variables)
        if "depthwise_kernel" in variables:
            kernel = variables.pop("depthwise_kernel")
            if "pointwise_kernel" not in variables:
                yield group._replace(variables={"kernel": kernel, **variables})
                continue
            yield group._replace(names=tuple(f"{name}/depthwise" for name in group.names), variables={"kernel": kernel})
            variables = {"kernel": variables.pop("pointwise_kernel"), **variables}
        yield group._replace(variables=variables)


def _values(own: Sequence[_Array], group: Group) -> dict[str, Any] | None:
    """Return the variables of Keras that match a layer's arrays, or None if their names or number differ."""
    expected, variables = [a.keras for a in own], group.variables
    if all(name.isdigit() for name in variables) and len(variables) == len(expected):
        return dict(zip(expected, (variables[name] for name in sorted(variables, key=int)), strict=True))
    if isinstance(own[0].layer, _Norm) and not any(name.isdigit() for name in variables):
        missing = {a.keras: np.full(a.shape, _LEFT_OUT[a.keras]) for a in own if a.keras in _LEFT_OUT and a.keras not in variables}
        variables = {**variables, **missing}
    return dict(variables) if variables.keys() == {*expected} else None


def _fits(own: Sequence[_Array], group: Group) -> bool:
    """Return whether a layer of Keras may correspond to a layer here, by class and by number and shapes of its arrays."""
    row = next(row for row in _ROWS if isinstance(own[0].layer, row.cls))
    values = _values(own, group) if group.kind not in _KINDS or group.kind in row.kinds else None
    return values is not None and all(a.reshaped(np.asarray(values[a.keras])) is not None for a in own)


# ---- matching layers -------------------------------------------------------------------------------------------------
def _sequences(model: Layer, arrays: Mapping[str, list[_Array]]) -> list[list[str]]:
    """Return the possible orders in which Keras lists the layers with arrays, the first one being the order of computation.

    Keras sorts the layers of a functional model by the number of layers after them. That number is uncertain, because an activation is
    a layer here and may be part of a layer in Keras. For a chain of layers all orders coincide.
    """
    flow = Flow()
    model._flow(flow, ())
    known = {id(own[0].layer) for own in arrays.values()}
    orders = [[*arrays]]
    for counted in (None, known):
        depth = flow.depths(counted)
        order = sorted(arrays, key=lambda path: -depth[id(arrays[path][0].layer)])
        if order not in orders:
            orders.append(order)
    return orders


def _by_name(arrays: Mapping[str, list[_Array]], groups: Sequence[Group]) -> dict[str, Group] | None:
    """Return Keras's layers by layer path if the model's layers have Keras's names, or None if none has."""
    known = {path.replace(".", "/"): path for path in arrays}
    error: KeyError | None = None
    for k in range(max((len(group.names) for group in groups), default=0)):
        matches: dict[str, Group] = {}
        unexpected, matched = [], 0
        for group in groups:
            name = group.names[min(k, len(group.names) - 1)]
            paths = [path for own, path in known.items() if own and f"/{name}".endswith(f"/{own}")]
            matched += bool(paths)
            if paths:
                matches[max(paths, key=len)] = group
            else:
                unexpected.append(name)
        if matched == len(groups) == len(matches) == len(arrays):
            return matches
        if matches and error is None:
            missing = sorted(arrays.keys() - matches.keys())
            error = KeyError(f"weights: missing layers {missing}, unexpected {sorted(unexpected)}")
    if error is not None:
        raise error
    return None


def _by_class(
    order: Sequence[str], arrays: Mapping[str, list[_Array]], groups: Sequence[Group], nested: bool
) -> Iterator[tuple[int, ...]]:
    """Yield the possible assignments of Keras's layers to the layers in ``order``.

    Only the relative order of Keras's layers of one class in one model is known. With ``nested``, nested models correspond to each
    other.
    """
    queues: dict[tuple[str, str], list[int]] = {}
    for i, group in enumerate(groups):
        queues.setdefault((group.parent, group.kind), []).append(i)
    lines = [*queues.values()]
    waiting: list[tuple[tuple[int, ...], tuple[int, ...]]] = [((), (0,) * len(lines))]
    for _ in range(_MOST_TRIALS):
        if not waiting:
            return
        chosen, places = waiting.pop()
        if len(chosen) == len(order):
            yield chosen
            continue
        for k, line in enumerate(lines):
            if places[k] == len(line) or not _fits(arrays[order[len(chosen)]], groups[line[places[k]]]):
                continue
            way = (*chosen, line[places[k]])
            if not nested or _alike([path.rpartition(".")[0] for path in order], [groups[i].parent for i in way]):
                waiting.append((way, (*places[:k], places[k] + 1, *places[k + 1 :])))
    yield from ((), (0,))  # too many to try: report it as ambiguous


def _alike(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    """Return whether names of models correspond one to one."""
    pairs = {*zip(ours, theirs, strict=False)}
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def _in_order(model: Layer, arrays: Mapping[str, list[_Array]], groups: Sequence[Group], order: Order) -> dict[str, Group]:
    """Return Keras's layers by layer path, matched by order."""
    names = ", ".join(group.names[0] for group in groups)
    if len(arrays) != len(groups):
        raise ValueError(f"weights: expected {len(arrays)} layers ({', '.join(arrays)}), got {len(groups)} ({names})")
    sequences = [[*arrays]] if order is Order.GRAPH else _sequences(model, arrays)
    ways: set[tuple[int, ...]] = set()
    for sequence in sequences:
        if order is Order.CLASSES:
            tries = (islice(_by_class(sequence, arrays, groups, nested), 2) for nested in (True, False))
            found: Sequence[tuple[int, ...]] = next((ways for ways in map(list, tries) if ways), [])
        elif len(sequences) == 1 or all(_fits(arrays[path], group) for path, group in zip(sequence, groups, strict=True)):
            found = [tuple(range(len(groups)))]
        else:
            found = []
        for way in found:
            place = dict(zip(sequence, way, strict=False))
            ways.add(tuple(place.get(path, -1) for path in arrays))
    if len(ways) > 1:
        remedy = "name the model's layers as Keras does (Sequential({name: layer}), Model(..., layers={name: layer})), or use a .keras file"
        raise ValueError(f"weights: the order of the layers is unknown, and several orders match the shapes; {remedy}: {names}")
    if not ways and order is Order.CLASSES:
        wanted = ", ".join(f"{path} {[a.shape for a in own]}" for path, own in arrays.items())
        given = ", ".join(f"{group.names[0]} {[np.shape(a) for a in group.variables.values()]}" for group in groups)
        raise ValueError(
            f"weights: the layers of the file match those of the model in no order. The file has {given}; the model has {wanted}. If a "
            f"BatchNormalization has scale=False or center=False, use a .keras file, which also holds the settings of layers"
        )
    way = ways.pop() if ways else tuple(range(len(groups)))
    return {path: groups[i] for path, i in zip(arrays, way, strict=True)}


def _listed(model: Layer, arrays: Mapping[str, list[_Array]], given: Sequence[Any]) -> Iterator[tuple[_Array, Any]]:
    """Yield each array of the model with the matching one of Keras's, which are a list without names."""
    flat = [a for own in arrays.values() for a in own]
    if len(flat) != len(given):
        expected = ", ".join(f"{a.path}/{a.keras}" for a in flat)
        raise ValueError(f"weights: expected {len(flat)} arrays, got {len(given)}; expected {expected}")
    ways: dict[tuple[int, ...], list[_Array]] = {}
    for sequence in _sequences(model, arrays):
        ordered = [a for path in sequence for a in arrays[path]]
        if all(a.reshaped(np.asarray(one)) is not None for a, one in zip(ordered, given, strict=True)):
            ways[tuple(map(id, ordered))] = ordered
    if len(ways) > 1:
        remedy = "pass {v.path: v.numpy() for v in keras_model.weights} and name the model's layers as Keras does, or pass a .keras file"
        raise ValueError(f"weights: the list is ambiguous, because parallel layers have arrays of the same shapes; {remedy}")
    yield from zip(next(iter(ways.values()), flat), given, strict=True)


def _assigned(model: Layer, arrays: Mapping[str, list[_Array]], weights: Any, order: Order = Order.LAYERS) -> Iterator[tuple[_Array, Any]]:
    """Yield each array of the model with the matching one of Keras's."""
    if not isinstance(weights, Mapping) and not all(isinstance(one, Group) for one in weights):
        yield from _listed(model, arrays, [from_tensor(a, f"weights[{i}]") for i, a in enumerate(weights)])
        return
    groups = [*_split(_by_layer(weights) if isinstance(weights, Mapping) else weights)]
    found = _by_name(arrays, groups)
    if found is None:
        found = _in_order(model, arrays, groups, order)
    for path, own in arrays.items():
        values = _values(own, found[path])
        if values is None:
            names = ", ".join(found[path].variables)
            raise KeyError(f"{own[0].where}: expected {', '.join(a.keras for a in own)}, but Keras's {found[path].names[0]} has {names}")
        yield from ((a, values[a.keras]) for a in own)


def from_keras(weights: Any, model: Layer, *, shape: Sequence[int] | None = None) -> dict[str, Array]:
    """Convert weights of Keras to a state for ``model.load_state_dict``.

    Kernels are transposed: ``(in, out)`` of Dense, ``(height, width, in, out)`` of Conv2D, and those of depthwise, separable (two
    layers here) and transposed convolutions. Keras has channels last, so the kernel after Flatten is permuted to match. Scales,
    shifts, running averages, embeddings and slopes keep their shape.

    Parameters
    ----------
    weights : mapping of str to array_like, sequence of array_like, or path
        One of ``{v.path: v.numpy() for v in keras_model.weights}``, ``keras_model.get_weights()``, or a file of Keras 2 or 3:
        ``.keras``, ``.weights.h5`` or a whole-model ``.h5``, which require the package h5py. Files may come from untrusted sources: no
        code in them is run, and external storage, links and virtual datasets, which refer to other files, are rejected. Layers are
        matched by name if the model uses Keras's names. (``.weights.h5`` files of Keras 3.0 to 3.5 only have names such as
        ``dense_1``.) Otherwise they are matched in the order of the file's graph, or of Keras's list of layers. It is an error if
        several orders match the shapes.
    model : Layer
        A net of the same architecture. Settings are not converted: Keras's defaults of BatchNormalization correspond to ``eps=1e-3``
        and ``momentum=0.01`` of `pynn.BatchNorm2d`.
    shape : sequence of int, optional
        The shape of one sample, channels first. Needed if images are flattened and the net has no known input shape.

    Returns
    -------
    dict of str to numpy.ndarray
        A state with the names of ``model.state_dict()``.

    Raises
    ------
    KeyError
        If names of layers or variables are missing or unexpected.
    ValueError
        If a shape or the number of arrays differs, `shape` is needed, or a file is damaged.
    TypeError
        If a layer of the model has no counterpart in Keras.
    ImportError
        If a file is given and h5py is not installed.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> weights = {"dense/kernel": [[1.0, 2.0]], "dense/bias": [0.0, 5.0]}
    >>> model = pynn.Sequential(pynn.Linear(1, 2))
    >>> model.load_state_dict(pynn.io.from_keras(weights, model))
    <All keys matched successfully>
    >>> model.predict([[10.0]])
    array([[10., 25.]], dtype=float32)
    """
    order = Order.LAYERS
    if isinstance(weights, (str, os.PathLike)):
        weights, order = read(weights)
    elif not isinstance(weights, (Mapping, Sequence)):
        raise TypeError(f"weights: expected a mapping from names to arrays, a list of arrays, or a path, got {type(weights).__name__}")
    arrays, orders = _arrays(model), _orders(model, shape)
    found = {id(a.data): a.from_keras(given, orders.get(a.path)) for a, given in _assigned(model, arrays, weights, order)}
    return {name: found.get(id(p.data), p.data).copy() for name, p in model._all_state().items()}


def to_keras(
    model: Layer, like: Mapping[str, ArrayLike] | Sequence[ArrayLike] | None = None, *, shape: Sequence[int] | None = None
) -> dict[str, Array]:
    """Convert a model's weights for Keras.

    Use ``keras_model.set_weights(list(pynn.io.to_keras(model).values()))``.

    Parameters
    ----------
    model : Layer
        A net of layers that Keras has too.
    like : mapping of str to array_like, or sequence of array_like, optional
        The weights of the Keras model, in a form that `from_keras` accepts. The result then has their names, order and shapes, which
        matters for depthwise convolutions and PReLU. By default these have the shapes of a Conv2D with groups, and of one slope per
        channel.
    shape : sequence of int, optional
        As in `from_keras`.

    Returns
    -------
    dict of str to numpy.ndarray
        Arrays by name, such as ``"0/kernel"``, in the order of ``keras_model.weights``.

    Raises
    ------
    KeyError, ValueError, TypeError
        As in `from_keras`.

    Examples
    --------
    >>> import pynn
    >>> model = pynn.Sequential({"dense": pynn.Linear(3, 2)})
    >>> {name: a.shape for name, a in pynn.io.to_keras(model).items()}
    {'dense/kernel': (3, 2), 'dense/bias': (2,)}
    """
    arrays, orders = _arrays(model), _orders(model, shape)
    ours = {f"{a.path.replace('.', '/')}/{a.keras}": a for own in arrays.values() for a in own}
    converted = {id(a.data): a.to_keras(orders.get(a.path)) for a in ours.values()}
    if like is None:
        return {name: converted[id(a.data)] for name, a in ours.items()}
    names = [*like] if isinstance(like, Mapping) else [*ours]
    values = [*like.values()] if isinstance(like, Mapping) else [*like]
    found: dict[int, Array] = {}
    for a, given in _assigned(model, arrays, like):
        a.from_keras(given, None)  # raises if the shape differs
        found[id(given)] = converted[id(a.data)].reshape(np.shape(given))
    return {name: found[id(value)] for name, value in zip(names, values, strict=True)}
