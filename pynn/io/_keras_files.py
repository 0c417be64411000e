"""Read files of Keras 2 and 3: ``.keras``, ``.weights.h5`` and whole-model ``.h5`` files.

The files may come from untrusted sources. External storage, links and virtual datasets, by which an HDF5 file can refer to other
files, are rejected.
"""

from __future__ import annotations

import json
import math
import os
import re
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

import numpy as np

from .._arrays import Array
from .._dtypes import from_bfloat16
from ._files import foreign_format, opened

_LONGEST_CONFIG = 2**24
_MOST_OBJECTS = 200_000
_DEEPEST = 64
_CONTAINERS = ("layers", "_layer_checkpoint_dependencies")
"""Groups that contain layers but are not part of their names."""
_OUTSIDE = ("optimizer", "metrics", "optimizer_weights")
"""Groups at the root that hold no layers."""
_RANDOM = ("seed_generator", "_seed_generators")
"""Groups in a layer that hold the state of its random number generator."""
_SEPARABLE = "depthwise_kernel", "pointwise_kernel", "bias"
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError),
    *(struct.error, zipfile.BadZipFile, zlib.error),
)
"""The exceptions of zipfile, json and h5py for damaged files."""


class Order(Enum):
    """The meaning of the order of a file's layers."""

    GRAPH = "the order of computation"
    LAYERS = "the order in which Keras lists layers"
    CLASSES = "unknown, except among layers of the same class"


class Group(NamedTuple):
    """The variables of one layer in Keras.

    Attributes
    ----------
    names : tuple of str
        The layer's names, best first: from the model's configuration, then from the file.
    kind : str
        The layer's class in snake case, such as "conv2d"; "" if unknown.
    parent : str
        The name of the enclosing layer in the file.
    variables : dict of str to numpy.ndarray
        The variables by name, or by number in Keras's order.
    """

    names: tuple[str, ...]
    kind: str
    parent: str
    variables: dict[str, Any]


def read(path: str | os.PathLike[str]) -> tuple[list[Group], Order]:
    """Return the layers of a Keras file that have variables, and the meaning of their order."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError("reading files of Keras requires h5py: pip install h5py; or pass keras_model.get_weights()") from error
    with opened(path) as whole:
        other = foreign_format(whole, "HDF5", "Keras")
        if other is not None:
            raise ValueError(f"{os.fspath(path)}: {other}; pynn.io.from_keras reads .keras, .weights.h5 and .h5 files of Keras")
        size = os.fstat(whole.fileno()).st_size
        try:
            if not zipfile.is_zipfile(whole):
                with h5py.File(whole, "r") as file:
                    return _read_hdf5(file, size, None)
            with zipfile.ZipFile(whole) as archive:
                config = _config(archive)
                with archive.open("model.weights.h5") as inner, h5py.File(inner, "r") as file:
                    return _read_hdf5(file, size, config)
        except _DAMAGE as error:
            raise ValueError(f"{os.fspath(path)}: is damaged, or is not a Keras file with weights: {error}") from error


def _config(archive: zipfile.ZipFile) -> Any:
    """Return the architecture in the config.json of a ``.keras`` file."""
    if "model.weights.json" in archive.namelist():
        raise ValueError("its weights are sharded, which is not supported; save it without max_shard_size")
    for name in ("config.json", "model.weights.h5"):
        if archive.getinfo(name).compress_type not in _METHODS:
            raise ValueError(f"{name} is compressed by a method that Keras does not use")
    length = archive.getinfo("config.json").file_size
    if length > _LONGEST_CONFIG:
        raise ValueError(f"its config.json has {length} bytes; at most {_LONGEST_CONFIG} are allowed")
    return json.loads(archive.read("config.json"))


# ---- the architecture ------------------------------------------------------------------------------------------------
class _Node(NamedTuple):
    """A layer of the architecture: its names in the configuration and in the file, joined by "/", its class and configuration."""

    path: str
    group: str
    kind: str
    config: Mapping[str, Any]


def snake_case(name: str) -> str:
    """Return the name that Keras derives from a class: "conv2d" for "Conv2D", "p_re_lu" for "PReLU"."""
    spaced = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", spaced).lower()


def _nodes(config: Mapping[str, Any], path: str = "", group: str = "", depth: int = 0) -> Iterator[_Node]:
    """Yield the layers of an architecture in the order of computation, with nested models expanded.

    The groups of a file are numbered by class in the order of the configuration: "dense", "dense_1" and so on.
    """
    if depth > _DEEPEST:
        raise ValueError("its models are nested too deeply")
    inner = config.get("config")
    layers = inner.get("layers") if isinstance(inner, Mapping) else inner
    if not isinstance(layers, list):
        return
    found: dict[str, tuple[Mapping[str, Any], _Node]] = {}
    used: Counter[str] = Counter()
    for layer in layers:
        kind, its = snake_case(str(layer["class_name"]).rpartition(">")[2]), layer["config"]
        name = str(its.get("name", layer.get("name"))) if isinstance(its, Mapping) else str(layer["name"])
        number = f"{kind}_{used[kind]}" if used[kind] else kind
        used[kind] += 1
        found[name] = layer, _Node(f"{path}{name}", f"{group}{number}", kind, its if isinstance(its, Mapping) else {})
    for name in _computed(found, inner):
        layer, node = found[name]
        if "layers" in node.config or isinstance(layer["config"], list):
            yield from _nodes(layer, f"{node.path}/", f"{node.group}/", depth + 1)
        else:
            yield node


def _computed(found: Mapping[str, tuple[Mapping[str, Any], _Node]], config: Any) -> list[str]:
    """Return the names of layers in the order of computation, a depth-first traversal from the outputs as in `pynn.Model`."""
    if not isinstance(config, Mapping) or "output_layers" not in config:
        return [*found]
    calls = {name: layer.get("inbound_nodes") or [[]] for name, (layer, _) in found.items()}
    skipped = dict.fromkeys(calls, 0)  # Keras 2 counts calls of a nested model that the file does not list
    for name, number in _references([config["output_layers"], *calls.values()]):
        skipped[name] = max(skipped[name], number + 1 - len(calls[name]))
    order: dict[str, None] = {}
    waiting = [*reversed([*_references(config["output_layers"])])]
    open_calls: set[tuple[str, int]] = set()
    done: set[tuple[str, int]] = set()
    while waiting:
        call = waiting[-1]
        name, number = call
        inputs = [one for one in _references(calls[name][max(0, number - skipped[name])]) if one not in done]
        if call in done or not inputs or call in open_calls:
            waiting.pop()
            open_calls.discard(call)
            done.add(call)
            order[name] = None
        else:
            open_calls.add(call)
            waiting.extend(reversed(inputs))
    return [*order, *(name for name in found if name not in order)]


def _references(value: Any) -> Iterator[tuple[str, int]]:
    """Yield the calls, as pairs of layer name and call number, whose outputs a part of a configuration refers to."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            waiting += [part["keras_history"]] if "keras_history" in part else reversed([*part.values()])
        elif isinstance(part, list) and len(part) >= 3 and isinstance(part[0], str) and all(type(n) is int for n in part[1:3]):
            yield part[0], part[1]
            waiting += reversed(part[3:])
        elif isinstance(part, list):
            waiting += reversed(part)


# ---- HDF5 ------------------------------------------------------------------------------------------------------------
def _datasets(file: Any) -> tuple[dict[tuple[str, ...], Any], dict[tuple[str, ...], Any]]:
    """Return all datasets and all groups of a file by path; raise ValueError if something refers to another file.

    Files written by Keras on Windows have groups whose names are paths, such as "layers\\\\dense".
    """
    import h5py

    datasets: dict[tuple[str, ...], Any] = {}
    groups: dict[tuple[str, ...], Any] = {}
    seen: set[Any] = set()
    waiting: list[tuple[tuple[str, ...], Any]] = [((), file)]
    while waiting:
        path, group = waiting.pop()
        groups[path] = group
        where = h5py.h5o.get_info(group.id)
        if (where.fileno, where.addr) in seen or len(path) > _DEEPEST:
            raise ValueError(f"{'/'.join(path)}: the groups form a cycle, or are nested too deeply")
        seen.add((where.fileno, where.addr))
        for name in group:
            link = group.get(name, getlink=True)
            own = "/".join((*path, name))
            if not isinstance(link, h5py.HardLink):
                raise ValueError(f"{own}: is a link ({type(link).__name__}); links are not followed")
            if len(datasets) + len(groups) + len(waiting) > _MOST_OBJECTS:
                raise ValueError(f"it has more than {_MOST_OBJECTS} groups and arrays")
            one, full = group[name], (*path, *name.replace("\\", "/").strip("/").split("/"))
            if isinstance(one, h5py.Group):
                waiting.append((full, one))
            elif isinstance(one, h5py.Dataset):
                if one.external or one.is_virtual:
                    raise ValueError(f"{own}: its values are in another file (external storage or a virtual dataset); it is not read")
                datasets[full] = one
    return datasets, groups


class _Values:
    """A reader of datasets that limits the total size of the arrays to the size of the file."""

    def __init__(self, size: int) -> None:
        self.size, self.left = size, size

    def read(self, dataset: Any, what: str) -> Array:
        self.left -= dataset.nbytes
        if self.left < 0:
            raise ValueError(f"{what} has {dataset.nbytes} bytes; together the arrays have more than the file's {self.size}")
        dtype = dataset.dtype
        if dtype.kind == "V" and dtype.itemsize == 2 and str(dataset.attrs.get("dtype")) == "bfloat16":
            return from_bfloat16(dataset[()].view("<u2"))
        if dtype.kind not in "fiub":
            raise ValueError(f"{what} has dtype {dtype}, expected real numbers")
        return np.asarray(dataset[()])

    def attribute(self, group: Any, name: str) -> list[str]:
        """Return a list of strings, which Keras splits into several attributes if it is long."""
        parts = [name] if name in group.attrs else [f"{name}{i}" for i in range(len(group.attrs)) if f"{name}{i}" in group.attrs]
        found: list[str] = []
        for part in parts:
            attribute = group.attrs.get_id(part)
            if math.prod(attribute.shape) * attribute.dtype.itemsize > self.size:
                raise ValueError(f"its attribute {part} has more bytes than the file")
            found += [one.decode() if isinstance(one, bytes) else str(one) for one in np.atleast_1d(group.attrs[part])]
        return found


def _read_hdf5(file: Any, size: int, config: Any) -> tuple[list[Group], Order]:
    datasets, groups = _datasets(file)
    values = _Values(size)
    root = file.get("model_weights", file)
    legacy = "layer_names" in root.attrs or "layer_names0" in root.attrs
    if config is None and "model_config" in file.attrs:
        text = values.attribute(file, "model_config")[0]
        if len(text) > _LONGEST_CONFIG:
            raise ValueError(f"its model_config has {len(text)} bytes; at most {_LONGEST_CONFIG} are allowed")
        config = json.loads(text)
    nodes = [*_nodes(config)] if isinstance(config, Mapping) else []
    found = [*_legacy(root, datasets, values)] if legacy else [*_by_path(datasets, groups, values)]
    if not found and not any("vars" in path for path in groups) and not legacy:
        raise ValueError("it has neither layers nor an attribute layer_names")
    if not nodes:
        return found, Order.LAYERS if legacy else Order.CLASSES
    if legacy:
        place = {node.path: i for i, node in enumerate(nodes)}
        ends = Counter(_ends(node.path) for node in nodes)
        short = {_ends(node.path): i for i, node in enumerate(nodes) if ends[_ends(node.path)] == 1}
        known = [[place.get(name, short.get(_ends(name), len(nodes))) for name in group.names] for group in found]
        whole = [min(places) for places in known]
        matched = [(i, group, nodes[i] if i < len(nodes) else None) for i, group in zip(whole, found, strict=True)]
    else:
        named = any("name" in group.attrs for path, group in groups.items() if path[-1:] == ("vars",))
        matched = [*_matched(found, nodes, named)]
    matched.sort(key=lambda item: item[0])
    return [group if node is None else _described(group, node) for _, group, node in matched], Order.GRAPH


def _ends(path: str) -> tuple[str, str]:
    """Return the first and the last name of a path. Keras 2 writes only these for a layer in a doubly nested model."""
    return path.partition("/")[0], path.rpartition("/")[2]


def _matched(found: Sequence[Group], nodes: Sequence[_Node], named: bool) -> Iterator[tuple[int, Group, _Node]]:
    """Yield the layers of a file with the matching or enclosing layer of the architecture; skip those without one, such as metrics."""
    place = {node.path if named else node.group: i for i, node in enumerate(nodes)}
    parts: Counter[int] = Counter()
    pairs = []
    for group in found:
        name = group.names[0] if named else group.names[-1]
        prefixes = [name.rsplit("/", k)[0] for k in range(name.count("/") + 1)]
        i = next((place[prefix] for prefix in prefixes if prefix in place), None)
        if i is not None:
            parts[i] += 1
            pairs.append((i, group, nodes[i]))
    for i, group, node in pairs:
        yield i, group if parts[i] > 1 else group._replace(names=tuple(dict.fromkeys([node.path, *group.names]))), node


def _described(group: Group, node: _Node) -> Group:
    """Return a layer completed from its configuration: its class, and the names of a normalization layer's variables."""
    variables = group.variables
    if "scale" in node.config and "center" in node.config and all(name.isdigit() for name in variables):
        names = [name for name, has in (("gamma", node.config["scale"]), ("beta", node.config["center"])) if has]
        names += ["moving_mean", "moving_variance"][: max(0, len(variables) - len(names))]
        if len(names) == len(variables):
            variables = dict(zip(names, variables.values(), strict=True))
    return group._replace(kind=node.kind, variables=variables)


def _numbered(group: str) -> tuple[str, int]:
    """Split the name of a group into class and number: "dense" and 1 for "dense_1"."""
    found = re.fullmatch(r"(.*)_(\d{1,9})", group)
    return (found[1], int(found[2])) if found else (group, 0)


def _by_path(
    datasets: Mapping[tuple[str, ...], Any], groups: Mapping[tuple[str, ...], Any], values: _Values
) -> Iterator[Group]:
    """Yield the layers of a Keras 3 file, or of a ``.keras`` file of Keras 2, with paths such as ``layers/dense/vars/0``."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for path, dataset in datasets.items():
        owner = path[:-2]
        inside = bool(owner) and owner[0] not in _OUTSIDE and not any(part in _RANDOM for part in owner)
        if inside and path[-2] == "vars" and path[-1].isdigit():
            found.setdefault(owner, {})[path[-1]] = dataset
    for owner, variables in sorted(found.items(), key=lambda item: [_numbered(part) for part in item[0]]):
        parts = [k for k in range(1, len(owner) + 1) if k == len(owner) or owner[k - 1] not in _CONTAINERS]
        labels = [groups[(*owner[:k], "vars")].attrs.get("name") if (*owner[:k], "vars") in groups else None for k in parts]
        own = [owner[k - 1] for k in parts]
        group = "/".join(own)
        name = "/".join(str(label) if label is not None else one for label, one in zip(labels, own, strict=True))
        kind = _numbered(own[-1])[0]
        numbers = sorted(variables, key=int)
        names = _SEPARABLE if kind.startswith("separable_conv") else numbers
        arrays = {n: values.read(variables[i], f"{group}/{i}") for n, i in zip(names, numbers, strict=False)}
        yield Group(tuple(dict.fromkeys([name, group])), kind, "/".join(own[:-1]), arrays)


def _legacy(root: Any, datasets: Mapping[tuple[str, ...], Any], values: _Values) -> Iterator[Group]:
    """Yield the layers of a Keras 2 file, or of a whole-model ``.h5`` file, in which attributes list layer and weight names."""
    start = tuple(part for part in root.name.split("/") if part)
    for layer in values.attribute(root, "layer_names"):
        groups: dict[str, dict[str, Any]] = {}
        for full in values.attribute(root[layer], "weight_names"):
            where, _, name = full.rpartition("/")
            path = (*start, *(part for part in f"{layer}/{full}".split("/") if part))
            if "seed_generator" not in name:
                groups.setdefault(where, {})[name.partition(":")[0]] = values.read(datasets[path], f"{layer}/{full}")
        for where, variables in groups.items():
            parts = where.split("/")
            inside = parts[len(parts) - 1 - parts[::-1].index(layer) + 1 :] if layer in parts else parts if len(groups) > 1 else []
            name = "/".join([layer, *(part for part in inside if part)])
            yield Group(tuple(dict.fromkeys([name, layer] if len(groups) == 1 else [name])), "", "", variables)

