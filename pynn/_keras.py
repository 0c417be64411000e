"""Weights that come from Keras and go there: the same numbers under other names, in other shapes, and behind Flatten in another order."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ._files import opened
from ._layer import Array, Builder, Layer, real_array
from .layers import Flatten, Linear
from .layers.conv import _Conv
from .layers.embedding import Embedding
from .layers.gates import PReLU
from .layers.norm import RMSNorm, _Norm
from .layers.shape import _Pixels

_NAMES: dict[type[Layer], dict[str, str]] = {
    Linear: {"weight": "kernel", "bias": "bias"},
    _Conv: {"weight": "kernel", "bias": "bias"},
    Embedding: {"weight": "embeddings"},
    PReLU: {"weight": "alpha"},
    RMSNorm: {"weight": "scale"},
    _Norm: {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"},
}
"""Keras's names for a layer's arrays, in its order; of several classes that fit, the first."""
_IGNORED = ("num_batches_tracked",)
"""What Keras does not count."""
_BY_FEATURE = ("linear", "batch_norm", "layer_norm", "prelu")
"""What has an array along the features, as the core calls it."""
_SEPARABLE = "depthwise_kernel", "pointwise_kernel", "bias"
_LONGEST_CONFIG = 2**24


class _Array(NamedTuple):
    """An array of a layer, and what it is in Keras."""

    layer: Layer
    path: str
    name: str
    keras: str
    data: Array

    @property
    def where(self) -> str:
        return f"layer {self.path} ({type(self.layer).__name__})"

    def _sorted(self, a: Array, order: Array | None) -> Array:
        """Return Keras's array with another order of the features of the layer's input."""
        axis = -2 if self.keras == "kernel" else -1
        return a if order is None or self.keras == "bias" or a.shape[axis] == 1 else np.take(a, order, axis)

    def to_keras(self, order: Array | None) -> Array:
        a = self.data if self.keras != "kernel" else np.moveaxis(self.data, (0, 1), (-1, -2))
        return np.array(self._sorted(a, None if order is None else np.argsort(order)), order="C")

    def from_keras(self, given: ArrayLike, order: Array | None) -> Array:
        a = real_array(given, f"{self.where}: {self.keras}")
        expected = self.to_keras(None).shape
        depthwise = isinstance(self.layer, _Conv) and self.layer.groups == self.layer.in_channels
        if self.keras == "kernel" and depthwise and a.size == self.data.size:
            a = a.reshape(expected)  # from (..., in, each), which is the same order
        if self.keras == "alpha" and a.shape[-1:] == (a.size,):
            a = a.reshape(-1)  # (1, 1, channels) where axes share it
        if a.shape != expected:
            own = f"{self.name} of shape {self.data.shape}"
            raise ValueError(f"{self.where}: Keras's {self.keras} has shape {a.shape}, expected {expected} for {own}")
        a = self._sorted(a, order)
        return np.ascontiguousarray(np.moveaxis(a, (-1, -2), (0, 1)) if self.keras == "kernel" else a, self.data.dtype)


def _arrays(model: Layer) -> dict[str, list[_Array]]:
    """Return by layer's path the arrays that Keras knows too, in its order; a shared layer comes once."""
    leaves = [*model._leaves()] if model._children() else [("", model)]
    found: dict[str, list[_Array]] = {}
    for path, layer in {id(layer): (path, layer) for path, layer in reversed(leaves)}.values():
        state = layer._all_state()
        names = next((names for cls, names in _NAMES.items() if isinstance(layer, cls)), {})
        strange = state.keys() - names.keys() - {*_IGNORED}
        if strange or any(a.data.ndim > 1 for a in state.values() if isinstance(layer, _Norm)):
            raise TypeError(f"layer {path} ({type(layer).__name__}) has arrays that no layer of Keras has in this form")
        if state:
            found[path] = [_Array(layer, path, name, keras, state[name].data) for name, keras in names.items() if name in state]
    return {path: found[path] for path, _ in leaves if path in found}


# ---- the order behind Flatten ----------------------------------------------------------------------------------------
class _Tracer(Builder):
    """Follows images, whose channels Keras has last, to where Flatten makes features of them.

    Attributes
    ----------
    found : dict of str to numpy.ndarray
        By layer's path: where in Keras each feature of its input stands.
    """

    def __init__(self, dtype: str, shapes: Sequence[tuple[int, ...]]) -> None:
        super().__init__(dtype, shapes)
        self._images: set[int] = set()
        self._orders: dict[int, Array] = {}
        self.found: dict[str, Array] = {}

    def child(self, name: str, layer: Layer) -> None:
        start = self.nodes
        super().child(name, layer)
        if isinstance(layer, _Pixels) and start[0] in self._images:
            self._images.update(self.nodes)

    def add(
        self,
        kind: str,
        where: str,
        config: tuple[float, ...],
        *parameters: Any,
        inputs: Sequence[int] | None = None,
        training: bool = False,
    ) -> int:
        feeds = self.nodes if inputs is None else tuple(inputs)
        node = super().add(kind, where, config, *parameters, inputs=inputs, training=training)
        before, after = self.graph.shape(feeds[0]), self.graph.shape(node)
        keeps = feeds[0] in self._images and len(before) == len(after) and kind not in ("linear", "permute", "reshape")
        if len(after) > 1 and (kind in ("conv", "pooling") or keeps):
            self._images.add(node)
        if kind == "reshape" and len(after) == 1 and feeds[0] in self._images:
            order = np.moveaxis(np.arange(after[0]).reshape(*before[1:], before[0]), -1, 0).reshape(-1)
            if not np.array_equal(order, np.arange(after[0])):
                self._orders[node] = order
        elif any(feed in self._orders for feed in feeds):
            self._go_on(kind, where, feeds, node)
        return node

    def _go_on(self, kind: str, where: str, feeds: Sequence[int], node: int) -> None:
        """Tell the order of features behind a layer whose input has one."""
        sizes = [self.graph.shape(feed) for feed in feeds]
        orders = [self._orders.get(feed, np.arange(math.prod(size))) for feed, size in zip(feeds, sizes, strict=True)]
        alike = all(np.array_equal(order, orders[0]) for order in orders) and self.graph.shape(node) == sizes[0]
        if kind in _BY_FEATURE:
            self.found[".".join(self._path)] = orders[0]
        if kind == "concat":
            starts = np.cumsum([0, *(len(order) for order in orders)])
            self._orders[node] = np.concatenate([order + start for order, start in zip(orders, starts, strict=False)])
        elif kind != "linear":
            if not alike or kind in ("group_norm", "reshape", "permute"):
                raise ValueError(f"{where}: takes flattened images in Keras's order; put pynn.Permute((0, 2, 3, 1)) before Flatten")
            self._orders[node] = orders[0]


def _orders(model: Layer, shape: Sequence[int] | None) -> dict[str, Array]:
    """Return by layer's path where in Keras each of its features stands, where that differs."""
    layers = [layer for _, layer in model._leaves()]
    if not (any(isinstance(layer, Flatten) for layer in layers) and any(isinstance(layer, _Conv) for layer in layers)):
        return {}
    shapes = [tuple(shape)] if shape is not None else model._input_shapes() if hasattr(model, "_input_shapes") else []
    if not shapes:
        raise ValueError("shape: expected that of one sample, such as (1, 28, 28): Keras flattens images in another order, channels last")
    tracer = _Tracer(model.dtype or "float32", shapes)
    model._build(tracer, "")
    return tracer.found


# ---- what is given ---------------------------------------------------------------------------------------------------
def _by_layer(weights: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return variables by layer and name; a separable convolution is two layers."""
    found: dict[str, dict[str, Any]] = {}
    for full, a in weights.items():
        layer, _, name = str(full).rpartition("/")
        if name == "depthwise_kernel":
            layer, name = f"{layer}/depthwise", "kernel"
        found.setdefault(layer, {})["kernel" if name == "pointwise_kernel" else name] = a
    return found


def _paired(arrays: Mapping[str, list[_Array]], given: Mapping[str, Any], ordered: bool) -> Iterator[tuple[str, str]]:
    """Yield layers' paths here and there: by names where all of Keras's are known here, in order where none is."""
    known = {path.replace(".", "/"): path for path in arrays}
    named = {theirs: [path for own, path in known.items() if own and f"/{theirs}".endswith(f"/{own}")] for theirs in given}
    matches = {theirs: max(paths, key=len) for theirs, paths in named.items() if paths}
    if matches:
        missing, unexpected = sorted(arrays.keys() - matches.values()), sorted(given.keys() - matches.keys())
        if missing or unexpected or len(matches) != len(arrays):
            raise KeyError(f"weights: missing layers {missing}, unexpected {unexpected}")
        yield from ((own, theirs) for theirs, own in matches.items())
    else:
        if not ordered:
            what = "a .weights.h5 file does not tell the order of its layers"
            raise ValueError(f"weights: {what}, so the model's must have their names: {', '.join(given)}; a .keras file tells")
        if len(arrays) != len(given):
            raise ValueError(f"weights: of {len(given)} layers ({', '.join(given)}), expected {len(arrays)} ({', '.join(arrays)})")
        yield from zip(arrays, given, strict=True)


def _assigned(arrays: Mapping[str, list[_Array]], weights: Any, ordered: bool = True) -> Iterator[tuple[_Array, Any]]:
    """Yield each array of the model with Keras's."""
    if not isinstance(weights, Mapping):
        flat, given = [a for own in arrays.values() for a in own], list(weights)
        if len(flat) != len(given):
            raise ValueError(f"weights: {len(given)} arrays, expected {len(flat)}: {', '.join(f'{a.path}/{a.keras}' for a in flat)}")
        yield from zip(flat, given, strict=True)
        return
    groups = _by_layer(weights)
    for path, theirs in _paired(arrays, groups, ordered):
        expected = [a.keras for a in arrays[path]]
        group = groups[theirs]
        if all(name.isdigit() for name in group) and len(group) == len(expected):
            group = dict(zip(expected, (group[name] for name in sorted(group, key=int)), strict=True))
        if group.keys() != {*expected}:
            raise KeyError(f"{arrays[path][0].where}: Keras's {theirs} has {', '.join(group)}, expected {', '.join(expected)}")
        yield from ((a, group[a.keras]) for a in arrays[path])


def from_keras(weights: Any, model: Layer, *, shape: Sequence[int] | None = None) -> dict[str, Array]:
    """Return weights of Keras as a state for ``model.load_state_dict``.

    Kernels are turned: ``(in, out)`` of a Dense, ``(height, width, in, out)`` of a Conv2D, also depthwise, separable (two layers here)
    and transposed ones. Where Flatten makes features of images, which have their channels last in Keras and first here, the kernel
    behind it is sorted to match. Scales, shifts, running averages, embeddings and slopes keep their form.

    Parameters
    ----------
    weights : mapping of str to array_like, sequence of array_like, or path
        ``{v.path: v.numpy() for v in keras_model.weights}``; or ``keras_model.get_weights()``; or a ``.keras`` or ``.weights.h5`` file,
        which needs the package h5py. Layers go by their names if the model's have Keras's, and in order if none has; a ``.weights.h5``
        keeps no order, so it takes names.
    model : Layer
        A net of the same form. What it computes is its own: Keras's BatchNormalization has ``eps=1e-3`` and ``momentum=0.01`` in the
        terms of `pynn.BatchNorm2d`.
    shape : sequence of int, optional
        Of one sample, channels first: where images are flattened and the net does not know their shape.

    Returns
    -------
    dict of str to numpy.ndarray
        Whatever ``model.state_dict()`` has.

    Raises
    ------
    KeyError
        If names of layers or variables are missing or unexpected.
    ValueError
        If a shape or a number of arrays differs, naming the layer and both; if ``shape`` is needed; if a file is damaged.
    TypeError
        If a layer of the model has no counterpart in Keras.
    ImportError
        For a file, without h5py.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> weights = {"dense/kernel": [[1.0, 2.0]], "dense/bias": [0.0, 5.0]}
    >>> model = pynn.Sequential(pynn.Linear(1, 2))
    >>> model.load_state_dict(pynn.io.from_keras(weights, model))
    >>> model.predict([[10.0]])
    array([[10., 25.]], dtype=float32)
    """
    ordered = True
    if isinstance(weights, (str, os.PathLike)):
        weights, ordered = _read(weights)
    elif not isinstance(weights, (Mapping, Sequence)):
        raise TypeError(f"weights: expected arrays by name, a list of arrays, or a path, got {type(weights).__name__}")
    arrays, orders = _arrays(model), _orders(model, shape)
    found = {id(a.data): a.from_keras(given, orders.get(a.path)) for a, given in _assigned(arrays, weights, ordered)}
    return {name: found.get(id(p.data), p.data).copy() for name, p in model._all_state().items()}


def to_keras(
    model: Layer, like: Mapping[str, ArrayLike] | Sequence[ArrayLike] | None = None, *, shape: Sequence[int] | None = None
) -> dict[str, Array]:
    """Return a model's weights as Keras has them: ``keras_model.set_weights(list(pynn.io.to_keras(model).values()))``.

    Parameters
    ----------
    model : Layer
        Of layers that Keras has too.
    like : mapping of str to array_like, or sequence of array_like, optional
        The weights of the model they are for, as in `from_keras`. Then names, order and shapes are theirs, which matters to depthwise
        convolutions and to PReLU: without it they are those of a Conv2D with groups, and one slope a channel.
    shape : sequence of int, optional
        As in `from_keras`.

    Returns
    -------
    dict of str to numpy.ndarray
        By name, such as ``"0/kernel"``, in the order of ``keras_model.weights``.

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
    for a, given in _assigned(arrays, like):
        a.from_keras(given, None)  # raises where it does not fit
        found[id(given)] = converted[id(a.data)].reshape(np.shape(given))
    return {name: found[id(value)] for name, value in zip(names, values, strict=True)}


# ---- files -----------------------------------------------------------------------------------------------------------
def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], bool]:
    """Return the variables of a file of Keras, a layer's by numbers, and whether they are in order."""
    import zipfile
    import zlib

    try:
        import h5py
    except ImportError as error:
        raise ImportError("files of Keras need h5py: pip install h5py; or give keras_model.get_weights()") from error
    with opened(path) as whole:
        size = os.fstat(whole.fileno()).st_size
        try:
            if not zipfile.is_zipfile(whole):
                with h5py.File(whole, "r") as file:
                    return dict(_variables(file["layers"], None, size)), False
            with zipfile.ZipFile(whole) as archive:
                length = archive.getinfo("config.json").file_size
                if length > _LONGEST_CONFIG:
                    raise ValueError(f"its config.json takes {length} bytes, and {_LONGEST_CONFIG} are allowed")
                config = json.loads(archive.read("config.json"))
                with archive.open("model.weights.h5") as inner, h5py.File(inner, "r") as file:
                    return dict(_variables(file["layers"], config["config"]["layers"], size)), True
        except (AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"{os.fspath(path)}: is no .keras or .weights.h5 file of Keras 3, or is damaged: {error}") from error


def _variables(groups: Any, configs: Iterable[Mapping[str, Any]] | None, size: int, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the variables of layers, in the order of the configuration where there is one."""
    kinds = {str(group["vars"].attrs["name"]): kind for kind, group in groups.items()}
    inner = {str(one["config"]["name"]): one["config"].get("layers") for one in configs} if configs is not None else dict.fromkeys(kinds)
    for name, layers in inner.items():
        if name not in kinds:
            continue
        group, names = groups[kinds[name]], _SEPARABLE if kinds[name].startswith("separable_conv") else ()
        for number, variable in sorted(group["vars"].items(), key=lambda item: int(item[0])):
            if variable.nbytes > size:
                raise ValueError(f"{name} has a variable of {variable.nbytes} bytes, more than the file")
            yield f"{prefix}{name}/{names[int(number)] if names else number}", variable[()]
        if "layers" in group:
            yield from _variables(group["layers"], layers, size, f"{prefix}{name}/")
