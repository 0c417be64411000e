"""Keras files, written with h5py in the layout of each version: they are read, and references to other files are rejected.

`test_keras.py` reads files that the installed Keras wrote; the layouts here are those of Keras 2.1 to 2.15, 3.0 to 3.5 and later.
"""

import io as streams
import json
import os
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import io

h5py = pytest.importorskip("h5py")

Layers = list[tuple[str, str, Any]]
"""Layers of Keras: name, class, and variables by name, or the layers of a nested model."""
GROUPS = {
    **{"Dense": "dense", "Dropout": "dropout", "Flatten": "flatten", "PReLU": "p_re_lu", "Embedding": "embedding"},
    **{"Conv2D": "conv2d", "SeparableConv2D": "separable_conv2d", "DepthwiseConv2D": "depthwise_conv2d"},
    **{"Conv2DTranspose": "conv2d_transpose", "BatchNormalization": "batch_normalization", "LayerNormalization": "layer_normalization"},
    **{"RMSNormalization": "rms_normalization", "InputLayer": "input_layer", "Concatenate": "concatenate", "Sequential": "sequential"},
}
"""Group names of Keras's classes in files of Keras 3.3.3."""
SETTINGS = {"BatchNormalization": {"scale": True, "center": True}}


def weights_of(model: pynn.Layer, shape: Any = None) -> dict[str, dict[str, np.ndarray]]:
    """Give a net random weights; return them as in Keras, by layer and name."""
    rng = np.random.default_rng(0)
    model.load_state_dict({n: rng.normal(size=a.shape) if a.dtype.kind == "f" else a for n, a in model.state_dict().items()})
    found: dict[str, dict[str, np.ndarray]] = {}
    for full, a in io.to_keras(model, shape=shape).items():
        layer, _, name = full.rpartition("/")
        found.setdefault(layer, {})[name] = a
    return found


def chain() -> tuple[pynn.Layer, Layers, Any]:
    layers = pynn.Linear(4, 5), "relu", pynn.BatchNorm1d(5), pynn.Linear(5, 5), pynn.LayerNorm(5), pynn.BatchNorm1d(5), pynn.Linear(5, 5)
    model = pynn.Sequential(*layers)
    w = weights_of(model)
    kinds = ["Dense", "BatchNormalization", "Dense", "LayerNormalization", "BatchNormalization", "Dense"]
    names = ["dense_7", "bn_a", "middle", "ln", "bn_b", "dense_8"]
    theirs: Layers = [(n, kind, one) for n, kind, one in zip(names, kinds, w.values(), strict=True)]
    return model, [*theirs[:1], ("drop", "Dropout", {}), *theirs[1:]], None


def pictures() -> tuple[pynn.Layer, Layers, Any]:
    separable = pynn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), pynn.Conv2d(4, 3, 1)
    first = pynn.Conv2d(2, 4, 3), pynn.PReLU(4), *separable, pynn.Conv2d(3, 6, 2, groups=3)
    model = pynn.Sequential(*first, pynn.ConvTranspose2d(6, 2, 2, stride=2), pynn.Flatten(), pynn.Linear(288, 3))
    w = weights_of(model, (2, 9, 9))
    depthwise, pointwise = w["2"]["kernel"], w["3"]
    whole = {"depthwise_kernel": depthwise.reshape(3, 3, 4, 1), "pointwise_kernel": pointwise["kernel"], "bias": pointwise["bias"]}
    slopes, alone = {"alpha": w["1"]["alpha"].reshape(1, 1, 4)}, {"kernel": w["4"]["kernel"].reshape(2, 2, 3, 2), "bias": w["4"]["bias"]}
    body: Layers = [("c", "Conv2D", w["0"]), ("p", "PReLU", slopes), ("s", "SeparableConv2D", whole), ("d", "DepthwiseConv2D", alone)]
    return model, [*body, ("t", "Conv2DTranspose", w["5"]), ("f", "Flatten", {}), ("o", "Dense", w["7"])], (2, 9, 9)


def words() -> tuple[pynn.Layer, Layers, Any]:
    model = pynn.Sequential(pynn.Embedding(7, 4), pynn.Flatten(), pynn.RMSNorm(12), pynn.Linear(12, 2, bias=False))
    w = weights_of(model, (3,))
    return model, [("e", "Embedding", w["0"]), ("f", "Flatten", {}), ("r", "RMSNormalization", w["2"]), ("o", "Dense", w["3"])], None


def nested() -> tuple[pynn.Layer, Layers, Any]:
    inner = pynn.Sequential(pynn.Linear(4, 4), pynn.Sequential(pynn.BatchNorm1d(4)), pynn.Linear(4, 4))
    model = pynn.Sequential(pynn.Linear(4, 4), inner, pynn.Linear(4, 2))
    w = weights_of(model)
    deep: Layers = [("x", "Dense", w["1/0"]), ("y", "Sequential", [("z", "BatchNormalization", w["1/1/0"])]), ("u", "Dense", w["1/2"])]
    return model, [("a", "Dense", w["0"]), ("body", "Sequential", deep), ("b", "Dense", w["2"])], None


NETS = {"chain": chain, "pictures": pictures, "words": words, "nested": nested}


# ---- writing files like Keras -----------------------------------------------------------------------------------------
def config_of(layers: Layers, calls: dict[str, list[str]] | None = None, outputs: Any = (), old: bool = False) -> dict[str, Any]:
    """Return an architecture as written by Keras: a Sequential, or a functional model if ``calls`` lists each layer's inputs."""
    written = []
    for name, kind, inner in layers:
        config = config_of(inner, old=old)["config"] if isinstance(inner, list) else SETTINGS.get(kind, {})
        one = {"class_name": kind, "name": name, "config": {**config, "name": name}}
        if calls is not None and old:
            one["inbound_nodes"] = [[[source, 0, 0, {}] for source in calls.get(name, [])]] if calls.get(name) else []
        elif calls is not None:
            tensors = [{"class_name": "__keras_tensor__", "config": {"keras_history": [source, 0, 0]}} for source in calls.get(name, [])]
            one["inbound_nodes"] = [{"args": [tensors] if len(tensors) > 1 else tensors, "kwargs": {}}] if tensors else []
        written.append(one)
    rest = {} if calls is None else {"output_layers": [[name, 0, 0] for name in outputs]}
    return {"class_name": "Sequential" if calls is None else "Functional", "config": {"name": "net", "layers": written, **rest}}


def by_path(group: Any, layers: Layers, *, named: bool, container: str = "layers", join: str = "/", path: str = "") -> None:
    """Write groups such as layers/dense_1/vars/0: numbered by class, or since Keras 3.6 with their names as well."""
    used: Counter[str] = Counter()
    for name, kind, inner in layers:
        base = GROUPS[kind]
        own = f"{path}{container}{join}{base}" + (f"_{used[base]}" if used[base] else "")
        used[base] += 1
        group.require_group(own)
        values = group[own].require_group("vars")
        if named:
            values.attrs["name"] = name
        if isinstance(inner, list):
            by_path(group, inner, named=named, container=container, join=join, path=f"{own}{join}")
        else:
            for i, a in enumerate(inner.values()):
                values[str(i)] = a
    if not path:
        group.require_group("optimizer/vars")["0"] = np.float32(3)


def flat(layers: Layers, path: str = "") -> Layers:
    """Return all layers including those of nested models, with names such as "body/conv"."""
    found: Layers = []
    for name, kind, inner in layers:
        found += flat(inner, f"{path}{name}/") if isinstance(inner, list) else [(f"{path}{name}", kind, inner)]
    return found


def by_list(group: Any, layers: Layers, form: str) -> None:
    """Write a group for each layer and lists of names in attributes, as Keras 2 does, and all versions in whole-model .h5 files."""
    group.attrs["layer_names"] = [name.encode() for name, _, _ in layers]
    for name, kind, inner in layers:
        one, names = group.create_group(name), []
        for part, its, variables in flat([(name, kind, inner)]):
            for variable, a in variables.items():
                old = "depthwise_kernel" if its == "DepthwiseConv2D" and variable == "kernel" else variable
                own = part.rpartition("/")[2]
                full = {"2": f"{own}/{old}:0", "3": f"net/{part}/{variable}", "3.0": variable}[form]
                names.append(full.encode())
                one[full] = a
        one.attrs["weight_names"] = names


def archive(path: Path, config: Any, write: Callable[[Any], None]) -> Path:
    inner = streams.BytesIO()
    with h5py.File(inner, "w") as file:
        write(file)
    with zipfile.ZipFile(path, "w") as whole:
        whole.writestr("metadata.json", "{}")
        whole.writestr("config.json", json.dumps(config))
        whole.writestr("model.weights.h5", inner.getvalue())
    return path


def hdf5(path: Path, write: Callable[[Any], None]) -> Path:
    with h5py.File(path, "w") as file:
        write(file)
    return path


def whole(file: Any, layers: Layers, form: str, **functional: Any) -> None:
    file.attrs["model_config"] = json.dumps(config_of(layers, old=form == "2", **functional))
    by_list(file.create_group("model_weights"), layers, form)


BACKSLASH = {"named": False, "join": "\\"}
LAYOUTS: dict[str, Callable[[Path, Layers], Path]] = {
    "keras 3.0 .keras": lambda p, n: archive(p / "m.keras", config_of(n), lambda f: by_path(f, n, named=False)),
    "keras 3.6 .keras": lambda p, n: archive(p / "m.keras", config_of(n), lambda f: by_path(f, n, named=True)),
    "keras 2.15 .keras": lambda p, n: archive(p / "m.keras", config_of(n, old=True), lambda f: by_path(f, n, named=False)),
    "Windows .keras": lambda p, n: archive(p / "m.keras", config_of(n), lambda f: by_path(f, n, **BACKSLASH)),
    "keras 2.12 .keras": lambda p, n: archive(
        p / "m.keras", config_of(n, old=True), lambda f: by_path(f, n, **BACKSLASH, container="_layer_checkpoint_dependencies")
    ),
    "keras 3.0 .weights.h5": lambda p, n: hdf5(p / "m.weights.h5", lambda f: by_path(f, n, named=False)),
    "keras 3.6 .weights.h5": lambda p, n: hdf5(p / "m.weights.h5", lambda f: by_path(f, n, named=True)),
    "Windows .weights.h5": lambda p, n: hdf5(p / "m.weights.h5", lambda f: by_path(f, n, **BACKSLASH)),
    "keras 2 whole .h5": lambda p, n: hdf5(p / "m.h5", lambda f: whole(f, n, "2")),
    "keras 3.10 whole .h5": lambda p, n: hdf5(p / "m.h5", lambda f: whole(f, n, "3")),
    "keras 2 weights .h5": lambda p, n: hdf5(p / "w.h5", lambda f: by_list(f, n, "2")),
    "no extension": lambda p, n: hdf5(p / "w", lambda f: by_list(f, n, "3")),
}


def check(path: Path, model: pynn.Layer, shape: Any = None) -> None:
    """Check that a net loads the weights in a file."""
    expected = model.state_dict()
    model.load_state_dict({name: a * 0 for name, a in expected.items()})
    model.load_state_dict(io.from_keras(path, model, shape=shape))
    for name, a in model.state_dict().items():
        if "num_batches" not in name:
            np.testing.assert_array_equal(a, expected[name], err_msg=name)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("net", NETS)
def test_all_layouts_are_read(tmp_path: Path, net: str, layout: str) -> None:
    model, layers, shape = NETS[net]()
    check(LAYOUTS[layout](tmp_path, layers), model, shape)


def test_whole_model_file_of_keras_3_0(tmp_path: Path) -> None:
    """Variable names in these files do not include the layer."""
    model, layers, _ = chain()
    check(hdf5(tmp_path / "m.h5", lambda f: whole(f, layers, "3.0")), model)


def test_more_than_ten_layers_of_a_class_are_in_order(tmp_path: Path) -> None:
    model = pynn.Sequential(*(pynn.Linear(3, 3) for _ in range(25)))
    layers: Layers = [(f"l{i}", "Dense", one) for i, one in enumerate(weights_of(model).values())]
    for layout in ("keras 3.0 .keras", "keras 3.0 .weights.h5", "keras 2 weights .h5"):
        check(LAYOUTS[layout](tmp_path, layers), model)


def test_long_lists_of_names_are_split(tmp_path: Path) -> None:
    model, layers, _ = chain()

    def write(file: Any) -> None:
        by_list(file, layers, "2")
        names = [*file.attrs["layer_names"]]
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:3], names[3:]

    check(hdf5(tmp_path / "w.h5", write), model)


# ---- functional models -----------------------------------------------------------------------------------------------
def towers(named: bool) -> tuple[pynn.Model, Layers, dict[str, list[str]]]:
    """Return two towers of different depth with layers of equal shape. Keras lists them by distance from the output."""
    left, right = pynn.Input(4), pynn.Input(4)
    low = [pynn.Linear(4, 4) for _ in range(2)]
    high = [pynn.Linear(4, 4) for _ in range(3)]
    head = pynn.Linear(8, 3)
    a, b = low[1](low[0](left)), high[2](high[1](high[0](right)))
    names = {"low0": low[0], "low1": low[1], "high0": high[0], "high1": high[1], "high2": high[2], "head": head}
    model = pynn.Model([left, right], {"y": head(pynn.Concat()(a, b))}, layers=names if named else None)
    w = dict(zip(["low0", "low1", "high0", "high1", "high2", "head"], weights_of(model).values(), strict=True))
    layers: Layers = [("left", "InputLayer", {}), ("right", "InputLayer", {})]
    layers += [(name, "Dense", w[name]) for name in ("high0", "low0", "high1", "low1", "high2")]
    layers += [("concatenate", "Concatenate", {}), ("head", "Dense", w["head"])]
    calls = {"low0": ["left"], "low1": ["low0"], "high0": ["right"], "high1": ["high0"], "high2": ["high1"]}
    return model, layers, calls | {"concatenate": ["low1", "high2"], "head": ["concatenate"]}


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("layout", ["keras 3.0", "keras 3.6", "keras 2.15", "keras 2 .h5", "keras 3.10 .h5"])
def test_functional_models_match_by_name_and_by_graph(tmp_path: Path, layout: str, named: bool) -> None:
    model, layers, calls = towers(named)
    old = layout.startswith("keras 2")
    config = config_of(layers, calls, ("head",), old)
    if layout.endswith(".h5"):
        form = "2" if old else "3"
        path = hdf5(tmp_path / "m.h5", lambda f: whole(f, layers, form, calls=calls, outputs=("head",)))
    else:
        path = archive(tmp_path / "m.keras", config, lambda f: by_path(f, layers, named=layout == "keras 3.6"))
    check(path, model)


@pytest.mark.parametrize("layout", ["keras 3.0 .weights.h5", "keras 3.6 .weights.h5", "keras 2 weights .h5"])
def test_ambiguous_order_raises(tmp_path: Path, layout: str) -> None:
    """Weight files have no graph, so parallel layers of equal shape must be matched by name; without names they are an error."""
    model, layers, _ = towers(named=False)
    path = LAYOUTS[layout](tmp_path, layers)
    with pytest.raises(ValueError, match=r"order.*layers=\{name: layer\}"):
        io.from_keras(path, model)
    if "3.0" not in layout:
        check(path, towers(named=True)[0])


def test_group_names_serve_as_layer_names(tmp_path: Path) -> None:
    """If a file only has names such as dense and dense_1, a net may use these names."""
    model, layers, _ = towers(named=False)
    path = LAYOUTS["keras 3.0 .weights.h5"](tmp_path, layers)
    order = ["high0", "low0", "high1", "low1", "high2", "head"]
    parts = dict(zip(["low0", "low1", "high0", "high1", "high2", "head"], [one for one in model.layers if one._parameters], strict=True))
    names = {f"dense_{i}" if i else "dense": parts[name] for i, name in enumerate(order)}
    check(path, pynn.Model(model._inputs, model._outputs, layers=names))


def test_ambiguous_list_of_weights_raises() -> None:
    model, layers, _ = towers(named=False)
    arrays = [a for _, _, variables in layers for a in variables.values()]
    with pytest.raises(ValueError, match="the list is ambiguous"):
        io.from_keras(arrays, model)


def test_nested_model_called_twice(tmp_path: Path) -> None:
    """Keras 2 numbers the calls of a nested model from 1."""
    body = pynn.Sequential(pynn.Linear(3, 3), pynn.Linear(3, 3))
    x, y, last = pynn.Input(3), pynn.Input(3), pynn.Linear(6, 1)
    model = pynn.Model([x, y], last(pynn.Concat()(body(pynn.Linear(3, 3)(x)), body(y))))
    w = weights_of(model)
    inner: Layers = [("p", "Dense", w["1/0"]), ("q", "Dense", w["1/1"])]
    layers: Layers = [("x", "InputLayer", {}), ("y", "InputLayer", {}), ("first", "Dense", w["0"]), ("body", "Sequential", inner)]
    layers += [("join", "Concatenate", {}), ("last", "Dense", w["3"])]
    config = config_of(layers, {"first": ["x"], "last": ["join"]}, ("last",), old=True)
    nodes = {one["name"]: one for one in config["config"]["layers"]}
    nodes["body"]["inbound_nodes"] = [[["first", 0, 0, {}]], [["y", 0, 0, {}]]]
    nodes["join"]["inbound_nodes"] = [[["body", 1, 0, {}], ["body", 2, 0, {}]]]
    layers[2:4] = [layers[3], layers[2]]
    check(archive(tmp_path / "m.keras", config, lambda f: by_path(f, layers, named=False)), model)


# ---- variables -------------------------------------------------------------------------------------------------------
def test_normalization_without_scale_or_center(tmp_path: Path) -> None:
    """Arrays that Keras omits are 1 or 0 here."""
    model = pynn.Sequential(pynn.BatchNorm1d(3), pynn.BatchNorm1d(3), pynn.LayerNorm(3))
    weights_of(model)
    model[0].weight, model[1].bias, model[2].bias = 1, 0, 0
    w = list({name.partition("/")[0]: 0 for name in io.to_keras(model)})
    arrays = io.to_keras(model)
    parts = [{n.partition("/")[2]: a for n, a in arrays.items() if n.startswith(f"{i}/")} for i in w]
    del parts[0]["gamma"], parts[1]["beta"], parts[2]["beta"]
    layers: Layers = [("a", "BatchNormalization", parts[0]), ("b", "BatchNormalization", parts[1]), ("c", "LayerNormalization", parts[2])]
    config = config_of(layers)
    for one, settings in zip(config["config"]["layers"], ({"scale": False}, {"center": False}, {"center": False}), strict=True):
        one["config"] |= {"scale": True, "center": True, **settings}
    check(archive(tmp_path / "m.keras", config, lambda f: by_path(f, layers, named=False)), model)
    check(LAYOUTS["keras 2 weights .h5"](tmp_path, layers), model)


def test_bfloat16_variables_are_widened(tmp_path: Path) -> None:
    model = pynn.Sequential(pynn.Linear(2, 2))
    layers: Layers = [("dense", "Dense", weights_of(model)["0"])]

    def write(file: Any) -> None:
        by_path(file, layers, named=True)
        for i in "01":
            bits = (file[f"layers/dense/vars/{i}"][()].view("u4") >> 16).astype("u2")
            del file[f"layers/dense/vars/{i}"]
            file[f"layers/dense/vars/{i}"] = bits.view("V2")
            file[f"layers/dense/vars/{i}"].attrs["dtype"] = "bfloat16"

    found = io.from_keras(hdf5(tmp_path / "m.weights.h5", write), model)
    for name, a in model.state_dict().items():
        np.testing.assert_array_equal(found[name], (a.view("u4") >> 16 << 16).view("f4"))


def test_random_states_and_metrics_are_ignored(tmp_path: Path) -> None:
    model, layers, _ = chain()

    def write(file: Any) -> None:
        by_path(file, layers, named=False)
        file["layers/dropout/seed_generator/vars/0"] = np.arange(2, dtype="u4")
        file["metrics/mean/vars/0"] = np.float32(1)

    check(archive(tmp_path / "m.keras", config_of(layers), write), model)
    check(hdf5(tmp_path / "m.weights.h5", write), model)


@pytest.mark.parametrize("name", ["m.pt", "m.npz", "m.safetensors", "m.pkl", "m.txt"])
def test_other_file_formats_are_recognized(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "m.safetensors":
        io.save_file({"a": np.ones(2)}, path)
    elif name == "m.pt":
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("m/data.pkl", b"\x80\x02}.")
    elif name == "m.npz":
        np.savez(path, a=np.ones(2))
    else:
        path.write_bytes(b"text" if name == "m.txt" else b"\x80\x04N.")
    with pytest.raises(ValueError, match=r"PyTorch|npz|safetensors|pickle|is damaged, or is not a Keras file"):
        io.from_keras(path, chain()[0])


# ---- attacks ---------------------------------------------------------------------------------------------------------
SECRET = np.arange(1, 11, dtype="<f4")


def external(group: Any, name: str, secret: Path) -> None:
    group.create_dataset(name, (2, 5), "<f4", external=[(str(secret), 0, 40)])


def external_link(group: Any, name: str, secret: Path) -> None:
    hdf5(secret.with_suffix(".h5"), lambda f: f.create_dataset("a", data=SECRET.reshape(2, 5)))
    group[name] = h5py.ExternalLink(str(secret.with_suffix(".h5")), "/a")


def virtual(group: Any, name: str, secret: Path) -> None:
    hdf5(secret.with_suffix(".h5"), lambda f: f.create_dataset("a", data=SECRET.reshape(2, 5)))
    layout = h5py.VirtualLayout((2, 5), "<f4")
    layout[...] = h5py.VirtualSource(str(secret.with_suffix(".h5")), "a", (2, 5))
    group.create_virtual_dataset(name, layout)


def soft_link(group: Any, name: str, secret: Path) -> None:
    group.file["elsewhere"] = SECRET.reshape(2, 5)
    group[name] = h5py.SoftLink("/elsewhere")


def cycle(group: Any, name: str, secret: Path) -> None:
    group[name] = group.file["/"]


def huge(group: Any, name: str, secret: Path) -> None:
    group.create_dataset(name, (2**20, 2**20), "<f4", chunks=(64, 64), compression="gzip")


def text(group: Any, name: str, secret: Path) -> None:
    group[name] = ["text"] * 10


@pytest.mark.parametrize("attack", [external, external_link, virtual, soft_link, cycle, huge, text])
@pytest.mark.parametrize("place", ["layers/dense/vars", "layers/dense", "layers", "/", "optimizer/vars"])
@pytest.mark.parametrize("kind", [".keras", ".weights.h5", ".h5"])
def test_references_to_other_files_are_rejected(tmp_path: Path, attack: Any, place: str, kind: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET.tobytes())
    model = pynn.Sequential(pynn.Linear(2, 5, bias=False))
    layers: Layers = [("dense", "Dense", {"kernel": np.zeros((2, 5), "f4")})]
    if kind == ".h5" and place.startswith("layers"):
        place = "model_weights/dense/dense"

    def write(file: Any) -> None:
        whole(file, layers, "2") if kind == ".h5" else by_path(file, layers, named=False)
        group, name = file.require_group(place), "kernel:0" if kind == ".h5" else "0"
        if name in group:
            del group[name]
        attack(group, name if place != "/" else "more", secret)

    path = archive(tmp_path / "m.keras", config_of(layers), write) if kind == ".keras" else hdf5(tmp_path / f"m{kind}", write)
    unread = attack in (huge, text) and "dense/vars" not in place and "dense/dense" not in place
    if unread:  # an array outside all layers
        assert not io.from_keras(path, model)["0.weight"].any()
        return
    with pytest.raises(ValueError, match=f"m{kind}: is damaged, or is not a Keras file"):
        io.from_keras(path, model)


def test_total_array_size_is_limited_to_the_file(tmp_path: Path) -> None:
    """Each array is smaller than the file, but all together are larger, because they overlap."""

    def write(file: Any) -> None:
        one = file.create_dataset("layers/dense/vars/0", data=np.zeros((512, 512), "f4"))
        for i in range(1, 50):
            file[f"layers/dense_{i}/vars/0"] = one

    path = hdf5(tmp_path / "m.weights.h5", write)
    assert os.path.getsize(path) < 2**21
    with pytest.raises(ValueError, match="more than the file's"):
        io.from_keras(path, pynn.Sequential(*(pynn.Linear(512, 512, bias=False) for _ in range(50))))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("cut", [0.3, 0.6, 0.9, 1])
def test_compressed_archive_is_read_or_rejected(tmp_path: Path, method: int, cut: float) -> None:
    """A truncated member is reported as an error of the file, whatever the decompressor raises."""
    model, layers, _ = chain()
    path = archive(tmp_path / "m.keras", config_of(layers), lambda f: by_path(f, layers, named=False))
    inner = zipfile.ZipFile(path).read("model.weights.h5")
    with zipfile.ZipFile(path, "w", method) as whole:
        whole.writestr("config.json", json.dumps(config_of(layers)))
        whole.writestr("model.weights.h5", inner)
        size, start = whole.infolist()[1].compress_size, whole.infolist()[1].header_offset
    content = bytearray(path.read_bytes())
    data = start + 30 + len("model.weights.h5")
    content[data + int(cut * size) : data + size] = bytes(data + size - data - int(cut * size))
    path.write_bytes(content)
    if cut == 1 and method == zipfile.ZIP_DEFLATED:
        check(path, model)
        return
    with pytest.raises(ValueError, match=r"m.keras: is damaged"):
        io.from_keras(path, model)


@pytest.mark.parametrize("change", ["cycle", "itself", "nobody", "deep", "long", "text", "calls"])
def test_broken_architecture_raises_or_changes_nothing(tmp_path: Path, change: str) -> None:
    model, layers, calls = towers(named=True)
    config: Any = config_of(layers, calls, ("head",))
    nodes = {one["name"]: one for one in config["config"]["layers"]}
    tensor = {"config": {"keras_history": ["head", 0, 0]}}
    if change == "cycle":
        nodes["low0"]["inbound_nodes"] = [{"args": [tensor]}]
    elif change == "itself":
        nodes["head"]["inbound_nodes"][0]["args"].append(tensor)
    elif change == "nobody":
        config["config"]["output_layers"] = [["nobody", 0, 0]]
    elif change == "deep":
        for _ in range(300):
            config = {"class_name": "Sequential", "config": {"layers": [{"class_name": "Sequential", **config, "name": "s"}]}}
    elif change == "long":
        config["more"] = "x" * 2**24
    elif change == "text":
        config = "text"
    else:
        nodes["high1"]["inbound_nodes"] = 3
    path = archive(tmp_path / "m.keras", config, lambda f: by_path(f, layers, named=True))
    try:
        check(path, model)
    except ValueError as error:
        assert "m.keras: is damaged" in str(error)  # noqa: PT017
        assert change not in ("cycle", "itself")
