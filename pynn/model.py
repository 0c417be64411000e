"""Nets: layers in a row, and graphs of layers without cycles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

from ._arrays import sample_shape
from ._graph import Builder, Symbol
from ._tables import known_name, unknown_name
from ._training.net import Net
from ._training.scale import scale_matters
from .layers._base import Layer, check_initialized
from .layers._config import layer_configs, layers_from_configs
from .layers._flow import Flow
from .layers.activation import by_name as activation_layers

__all__ = ["Input", "Model", "Sequential"]


def __dir__() -> list[str]:
    return __all__


def as_layer(layer: Layer | str) -> Layer:
    """Return a layer, or the activation of that name, or raise. An object with ``__pynn_layer__`` makes its own layer."""
    if hasattr(type(layer), "__pynn_layer__"):
        layer = layer.__pynn_layer__()  # type: ignore[union-attr]
    if isinstance(layer, Layer):
        check_initialized(layer, "layers")
        return layer
    if not isinstance(layer, str):
        raise TypeError(f"layers: expected a pynn.Layer or an activation's name, got {_describe(layer)}")
    return activation_layers[known_name("activation", layer, activation_layers)]()


def _describe(given: object) -> str:
    """Return a description of an object that is no layer, with a suggestion."""
    if isinstance(given, type) and issubclass(given, Layer):
        return f"the class {given.__name__}; call it: {given.__name__}(...)"
    name = getattr(given, "__name__", None)
    if name in activation_layers:
        return f"the function {name}; write {name!r} or {type(activation_layers[name]()).__name__}()"
    if isinstance(given, (list, tuple)) and given and all(isinstance(layer, (Layer, str)) for layer in given):
        return f"a {type(given).__name__} of them; write them one by one, or with a star: Sequential(*layers)"
    return repr(given)


def _output_layers_of(name: str, layer: Layer) -> list[tuple[str, Layer | None]]:
    """Return the last layers of a net's layer, with their names in the net."""
    return [(f"{name}.{path}" if path else name, last) for path, last in layer._output_layers()]


class Sequential(Net):
    """Layers in a row, with a training loop in C.

    Parameters
    ----------
    *layers : Layer or str, or one mapping of str to those
        The layers; a string such as ``"relu"`` is the activation of that name. A mapping names the layers; otherwise their names
        are "0", "1" and so on. Sequentials may be nested.

    Raises
    ------
    TypeError
        If something is no layer.
    ValueError
        If layers compute in different dtypes, or a name is unknown.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]); y = np.array([0, 1, 1, 0])
    >>> model = pynn.Sequential(pynn.Linear(2, 16, seed=1), "tanh", pynn.Linear(16, 2, seed=2))
    >>> hist = model.fit(X, y, loss="cross_entropy", optimizer=pynn.optim.Adam(lr=0.05), epochs=200, seed=0)
    >>> model.predict_class(X)
    array([0, 1, 1, 0])
    """

    def __init__(self, *layers: Layer | str | Mapping[str, Layer | str]) -> None:
        super().__init__()
        self._layers: list[Layer] = []
        self._names: list[str | None] = []
        named = layers[0] if len(layers) == 1 and isinstance(layers[0], Mapping) else None
        self._replace([*named.values()] if named is not None else [*layers], [*named] if named is not None else [None] * len(layers))  # type: ignore[list-item]

    # ---- structure ------------------------------------------------------------------------------------------------
    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers; `append`, `insert`, ``model[i] = layer`` and ``del model[i]`` change them."""
        return tuple(self._layers)

    def _replace(self, layers: Sequence[Layer | str], names: Sequence[str | None]) -> None:
        """Set the layers and their names; nothing changes if they are invalid."""
        for name in names:
            if name is not None and (not isinstance(name, str) or not name or "." in name):
                raise ValueError(f"layers: a name must be text without dots, got {name!r}")
        before = self._layers, self._names
        self._layers, self._names = [as_layer(layer) for layer in layers], list(names)
        try:
            if len(self._children()) < len(self._layers):
                raise ValueError(f"layers: names must differ, got {list(names)}")
            self._adopt()
        except ValueError:
            self._layers, self._names = before
            raise
        for layer, name in zip(*before, strict=True):
            if name is not None and self.__dict__.get(name) is layer:
                del self.__dict__[name]
        for layer, name in zip(self._layers, self._names, strict=True):
            if name is not None and name.isidentifier() and not hasattr(self, name):
                self.__dict__[name] = layer  # not __getattr__, which makes every attribute access three times slower

    def __setattr__(self, name: str, value: Any) -> None:
        """Replace the layer with that name, as ``model["head"] = layer`` does; set any other attribute."""
        if isinstance(value, Layer) and name in self._names:
            self[name] = value
        else:
            object.__setattr__(self, name, value)

    def _children(self) -> dict[str, Layer]:
        return {name or str(i): layer for i, (name, layer) in enumerate(zip(self._names, self._layers, strict=True))}

    def _build(self, builder: Builder, where: str) -> None:
        for name, layer in self._children().items():
            builder.child(name, layer)

    def _flow(self, flow: Flow, inputs: tuple[int, ...]) -> tuple[int, ...]:
        for layer in self._layers:
            inputs = layer._flow(flow, inputs)
        return inputs

    def _many_inputs(self) -> bool:
        return bool(self._layers) and isinstance(self._layers[0], Net) and self._layers[0]._many_inputs()

    def _output_layers(self) -> list[tuple[str, Layer | None]]:
        if not self._layers:
            return [("", None)]
        name = [*self._children()][-1]
        return _output_layers_of(name, self._layers[-1])

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._layers)

    def __getitem__(self, index: int | str | slice) -> Any:
        """Return a layer by index or name, or for a slice a Sequential that shares its layers."""
        if isinstance(index, slice):
            part = Sequential()
            part._replace(self._layers[index], self._names[index])
            return part
        return self._layers[self._place(index)]

    def _ipython_key_completions_(self) -> list[str]:
        return [*self._children()]

    def _place(self, index: int | str) -> int:
        if not isinstance(index, str):
            if not -len(self) <= index < len(self):
                raise IndexError(f"layer {index} is outside a net of {len(self)} layer{'s' * (len(self) != 1)}")
            return index
        names = [*self._children()]
        if index not in names:
            raise KeyError(str(unknown_name("layer", index, names)))
        return names.index(index)

    def __setitem__(self, index: int | str, layer: Layer | str) -> None:
        """Replace a layer, for example the head of a trained model."""
        layers: list[Layer | str] = [*self._layers]
        layers[self._place(index)] = layer
        self._replace(layers, self._names)

    def __delitem__(self, index: int | str | slice) -> None:
        """Remove layers."""
        layers, names = self._layers.copy(), self._names.copy()
        where = index if isinstance(index, slice) else self._place(index)
        del layers[where], names[where]
        self._replace(layers, names)

    def append(self, layer: Layer | str, name: str | None = None) -> Self:
        """Add a layer at the end.

        Parameters
        ----------
        layer : Layer or str
            The layer, or the name of an activation.
        name : str, optional
            Its name, without dots.

        Returns
        -------
        Self
            The net itself.

        Raises
        ------
        ValueError
            If the name is taken, or the layer computes in another dtype.

        Examples
        --------
        >>> import pynn
        >>> pynn.Sequential(pynn.Linear(2, 3)).append("relu")
        Sequential(Linear(in_features=2, out_features=3, bias=True), ReLU())
        """
        return self.insert(len(self), layer, name)

    def insert(self, index: int, layer: Layer | str, name: str | None = None) -> Self:
        """Add a layer before the one at an index.

        Parameters
        ----------
        index : int
            The index, as for `list.insert`.
        layer : Layer or str
            The layer, or the name of an activation.
        name : str, optional
            Its name, without dots.

        Returns
        -------
        Self
            The net itself.

        Raises
        ------
        ValueError
            If the name is taken, or the layer computes in another dtype.

        Examples
        --------
        >>> import pynn
        >>> pynn.Sequential("relu").insert(0, "tanh")
        Sequential(Tanh(), ReLU())
        """
        layers: list[Layer | str] = [*self._layers]
        names = self._names.copy()
        layers.insert(index, layer)
        names.insert(index, name)
        self._replace(layers, names)
        return self

    def extend(self, layers: Iterable[Layer | str]) -> Self:
        """Add layers at the end.

        Parameters
        ----------
        layers : iterable of Layer or str
            The layers. Those of a Sequential keep their names.

        Returns
        -------
        Self
            The net itself.

        Raises
        ------
        ValueError
            If a name is taken, or a layer computes in another dtype.

        Examples
        --------
        >>> import pynn
        >>> pynn.Sequential("relu").extend(["tanh", "sigmoid"])
        Sequential(ReLU(), Tanh(), Sigmoid())
        """
        added = [*layers]
        names = layers._names if isinstance(layers, Sequential) else [None] * len(added)
        self._replace([*self._layers, *added], [*self._names, *names])
        return self

    def pop(self, index: int | str = -1) -> Layer:
        """Remove a layer.

        Parameters
        ----------
        index : int or str
            Its index or its name.

        Returns
        -------
        Layer
            The layer.

        Raises
        ------
        IndexError, KeyError
            If there is no such layer.

        Examples
        --------
        >>> import pynn
        >>> model = pynn.Sequential("relu", "tanh")
        >>> model.pop()
        Tanh()
        >>> len(model)
        1
        """
        layer: Layer = self[self._place(index)]
        del self[index]
        return layer

    def __add__(self, other: Sequential) -> Sequential:
        """Return a Sequential of the layers of both, which are shared."""
        if not isinstance(other, Sequential):
            return NotImplemented
        return Sequential().extend(self).extend(other)

    def get_config(self) -> dict[str, Any]:
        """Return the configuration: the layers and their names as plain data.

        Returns
        -------
        dict
            What `from_config` accepts.

        Examples
        --------
        >>> import pynn
        >>> [*pynn.Sequential({"act": "relu"}).get_config()]
        ['layers', 'names']
        """
        config: dict[str, Any] = {"layers": layer_configs(self._layers)}
        return config if not any(self._names) else {**config, "names": self._names}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make a net from a configuration, with new initial values.

        Parameters
        ----------
        config : mapping
            What `get_config` returns.

        Returns
        -------
        Sequential
            The net.

        Raises
        ------
        ValueError, TypeError
            If a layer's class is unknown, or an argument does not fit.

        Examples
        --------
        >>> import pynn
        >>> pynn.Sequential.from_config(pynn.Sequential("relu").get_config())
        Sequential(ReLU())
        """
        net = cls()
        layers = layers_from_configs(config["layers"])
        net._replace(layers, config.get("names", [None] * len(layers)))
        return net

    def __repr__(self) -> str:
        if any(self._names):
            return f"Sequential({{{', '.join(f'{name!r}: {layer!r}' for name, layer in self._children().items())}}})"
        return f"Sequential({', '.join(map(repr, self._layers))})"


def Input(shape: int | Sequence[int]) -> Symbol:
    """Return the input of a net that is made by calling layers, for `Model`.

    Parameters
    ----------
    shape : int or sequence of int
        The shape of one sample.

    Returns
    -------
    Symbol
        The symbol with which layers are called.

    Raises
    ------
    ValueError, TypeError
        If the shape is not made of positive integers.

    Examples
    --------
    >>> import pynn
    >>> x = pynn.Input((8, 8))
    >>> h = pynn.Flatten()(x)
    >>> model = pynn.Model(x, pynn.Linear(64, 10)(h))
    >>> model.output_shape
    (10,)
    """
    return Symbol(None, (), sample_shape(shape))


def _symbols(name: str, given: Any) -> tuple[Symbol, ...]:
    """Return symbols given alone, in a sequence or by name, or raise."""
    symbols = given.values() if isinstance(given, Mapping) else given if isinstance(given, (list, tuple)) else (given,)
    for symbol in symbols:
        if not isinstance(symbol, Symbol):
            raise TypeError(f"{name}: expected what pynn.Input and layers called with it return, got {type(symbol).__name__}")
    return tuple(symbols)


class Model(Net):
    """A net of any form without cycles: several inputs, branches, shared layers, several outputs.

    Parameters
    ----------
    inputs : Symbol or sequence of Symbol
        From `Input`. With several inputs, data are tuples of arrays.
    outputs : Symbol, sequence or mapping of str to Symbol
        What layers return when they are called with symbols. With several outputs, predictions, targets and losses are tuples. A
        mapping names the outputs for losses and the history, and makes `predict` return a dict.
    layers : mapping of str to Layer or Symbol, optional
        Names of layers, each given itself or by a symbol that it returned; other layers are numbered in the order of the computation.
        The names are used in ``state_dict``, ``summary`` and files, so that weights of PyTorch and Keras load by name. A name may
        contain dots: ``"heads.0"`` is PyTorch's name of the first layer of ``self.heads = nn.ModuleList(...)``.

    Raises
    ------
    TypeError
        If an input or output is no symbol, or an entry of ``layers`` no layer.
    ValueError
        If an output depends on an input that is not given, shapes do not fit, layers compute in different dtypes, or names clash.

    Examples
    --------
    A body with one head for the class and another for the box:

    >>> import numpy as np, pynn
    >>> x = pynn.Input(8)
    >>> body = pynn.Sequential(pynn.Linear(8, 16, seed=0), "relu")(x)
    >>> outputs = {"class": pynn.Linear(16, 3, seed=1)(body), "box": pynn.Linear(16, 4, seed=2)(body)}
    >>> model = pynn.Model(x, outputs)
    >>> X, y = np.ones((6, 8)), {"class": np.zeros(6, int), "box": np.full((6, 4), 0.5)}
    >>> hist = model.fit(X, y, loss={"class": "cross_entropy", "box": "mse"}, epochs=2, seed=0)
    >>> {name: a.shape for name, a in model.predict(X).items()}
    {'class': (6, 3), 'box': (6, 4)}
    >>> {name: a.shape for name, a in model.predict_class(X).items()}
    {'class': (6,)}
    >>> named = pynn.Model(x, outputs, layers={"body": body, **outputs})
    >>> [*named.state_dict()]
    ['body.0.weight', 'body.0.bias', 'class.weight', 'class.bias', 'box.weight', 'box.bias']
    >>> named["class"]
    Linear(in_features=16, out_features=3, bias=True)
    """

    _layer_names: frozenset[str] = frozenset()

    def __init__(
        self,
        inputs: Symbol | Sequence[Symbol],
        outputs: Symbol | Sequence[Symbol] | Mapping[str, Symbol],
        *,
        layers: Mapping[str, Layer | Symbol] | None = None,
    ) -> None:
        super().__init__()
        self._inputs = _symbols("inputs", inputs)
        self._output_names = [*outputs] if isinstance(outputs, Mapping) else None
        self._outputs = _symbols("outputs", outputs)
        if not self._inputs or not self._outputs:
            raise ValueError("Model: expected at least one input and one output")
        if any(symbol.layer is not None for symbol in self._inputs):
            raise ValueError("inputs: expected results of pynn.Input, got an output of a layer")
        self._order = self._sort()
        self._parts = self._named({id(s.layer): s.layer for s in self._order if s.layer is not None}, layers or {})
        self._adopt()
        self._build(Builder(self.dtype or "float32", [s.shape or () for s in self._inputs]), "")

    def _named(self, own: Mapping[int, Layer], layers: Mapping[str, Layer | Symbol]) -> dict[str, Layer]:
        """Return the layers of this net by name; those without a name are numbered."""
        if not isinstance(layers, Mapping):
            raise TypeError(f"layers: expected layers by name, {{'body': layer}}, got {type(layers).__name__}")
        names: dict[int, str] = {}
        for name, given in layers.items():
            layer = given.layer if isinstance(given, Symbol) else given
            if not isinstance(layer, Layer):
                raise TypeError(f"layers: expected a pynn.Layer or a symbol that it returned as {name!r}, got {given!r}")
            if not isinstance(name, str) or not all(name.split(".")):
                raise ValueError(f"layers: a name must be text, with dots only between other characters, got {name!r}")
            if id(layer) not in own:
                raise ValueError(f"layers: {name!r} is {layer!r}, on which the outputs do not depend")
            if id(layer) in names:
                raise ValueError(f"layers: one layer cannot be both {names[id(layer)]!r} and {name!r}")
            names[id(layer)] = name
        found = {names.get(key, str(i)): layer for i, (key, layer) in enumerate(own.items())}
        clash = sorted(a for a in found for b in found if b.startswith(f"{a}."))
        if len(found) < len(own) or clash:
            what = f"{clash[0]!r} also begins another name" if clash else "a number is also the number of a layer without a name"
            raise ValueError(f"layers: names must differ, but {what}; got {[*layers]}")
        self._layer_names = frozenset(names.values())
        return found

    def __getitem__(self, index: int | str) -> Layer:
        """Return a layer by its name, or by its index in `layers`."""
        if not isinstance(index, str):
            return self.layers[index]
        if index not in self._parts:
            raise KeyError(str(unknown_name("layer", index, [*self._parts])))
        return self._parts[index]

    def _ipython_key_completions_(self) -> list[str]:
        return [*self._parts]

    def _sort(self) -> list[Symbol]:
        """Return all symbols that the outputs depend on, each after those it is computed from."""
        order: dict[Symbol, None] = {}
        waiting = [*reversed(self._outputs)]
        while waiting:
            symbol = waiting[-1]
            missing = [s for s in symbol.inputs if s not in order]
            if symbol in order or not missing:
                order[waiting.pop()] = None
            else:
                waiting.extend(reversed(missing))
        for symbol in order:
            if symbol.layer is None and symbol not in self._inputs:
                raise ValueError(f"inputs: the outputs need an input of shape {symbol.shape} that is not given")
        return [*order]

    def _children(self) -> dict[str, Layer]:
        return self._parts

    def _many_inputs(self) -> bool:
        return len(self._inputs) > 1

    def _input_shapes(self) -> list[tuple[int, ...]]:
        return [*self.input_shapes]

    def _scale_matters(self, inputs: int) -> list[bool]:
        def read(given: Symbol) -> bool:
            for reader in self._order:
                if reader.layer is not None and given in reader.inputs:
                    matters = scale_matters(reader.layer)
                    if read(reader) if matters is None else matters:
                        return True
            return False

        return [read(given) for given in self._inputs]

    def _output_layers(self) -> list[tuple[str, Layer | None]]:
        names = {id(layer): name for name, layer in self._parts.items()}
        found: list[tuple[str, Layer | None]] = []
        for symbol in self._outputs:
            uses = [s for s in self._order if s.layer is symbol.layer] + [s for s in self._order if symbol in s.inputs]
            if symbol.layer is None or len(uses) > 1 or self._outputs.count(symbol) > 1:
                found.append(("", None))
            else:
                found += _output_layers_of(names[id(symbol.layer)], symbol.layer)
        return found

    def _build(self, builder: Builder, where: str) -> None:
        names = {id(layer): name for name, layer in self._parts.items()}
        if len(builder.nodes) != len(self._inputs):
            raise ValueError(f"{where or 'Model'}: takes {len(self._inputs)} inputs, got {len(builder.nodes)}")
        nodes: dict[Symbol, tuple[int, ...]] = {s: (n,) for s, n in zip(self._inputs, builder.nodes, strict=True)}
        for symbol in self._order:
            if symbol.layer is not None:
                builder.nodes = tuple(n for s in symbol.inputs for n in nodes[s])
                builder.child(names[id(symbol.layer)], symbol.layer)
                nodes[symbol] = builder.nodes
        builder.nodes = tuple(n for s in self._outputs for n in nodes[s])
        if self._output_names is not None and len(builder.nodes) != len(self._output_names):
            raise ValueError("outputs: a named output must be a single array")

    def _flow(self, flow: Flow, inputs: tuple[int, ...]) -> tuple[int, ...]:
        ends: dict[Symbol, tuple[int, ...]] = dict.fromkeys(self._inputs, inputs)
        for symbol in self._order:
            if symbol.layer is not None:
                ends[symbol] = symbol.layer._flow(flow, tuple(use for s in symbol.inputs for use in ends[s]))
        return tuple(use for s in self._outputs for use in ends[s])

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers, each once, in the order in which they are computed; the names of those without one are "0", "1" and so on."""
        return tuple(self._parts.values())

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes of one sample of each input."""
        return tuple(s.shape or () for s in self._inputs)

    @property
    def output_shape(self) -> Any:
        """The shape of one sample's output, or a tuple of shapes."""
        builder = Builder(self.dtype or "float32", self.input_shapes)
        self._build(builder, "")
        shapes = builder.finish().output_shapes
        return shapes if len(shapes) > 1 else shapes[0]

    def get_config(self) -> dict[str, Any]:
        """Return the configuration: layers, inputs, steps and outputs as plain data.

        Returns
        -------
        dict
            What `from_config` accepts.

        Examples
        --------
        >>> import pynn
        >>> x = pynn.Input(2)
        >>> [*pynn.Model(x, pynn.Linear(2, 1)(x)).get_config()]
        ['layers', 'inputs', 'steps', 'outputs']
        """
        place = {symbol: i for i, symbol in enumerate(dict.fromkeys([*self._inputs, *self._order]))}
        numbers = {id(layer): str(i) for i, layer in enumerate(self.layers)}
        steps = [{"layer": numbers[id(s.layer)], "inputs": [place[i] for i in s.inputs]} for s in place if s.layer is not None]
        config = {
            "layers": layer_configs(self._parts.values()),
            "inputs": [list(shape) for shape in self.input_shapes],
            "steps": steps,
            "outputs": [place[s] for s in self._outputs],
        }
        if self._layer_names:
            config["layer_names"] = [name if name in self._layer_names else None for name in self._parts]
        return config if self._output_names is None else {**config, "names": self._output_names}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make a net from a configuration, with new initial values.

        Parameters
        ----------
        config : mapping
            What `get_config` returns.

        Returns
        -------
        Model
            The net.

        Raises
        ------
        ValueError, TypeError
            If a layer's class is unknown, or an argument does not fit.

        Examples
        --------
        >>> import pynn
        >>> x = pynn.Input(2)
        >>> config = pynn.Model(x, pynn.Linear(2, 1)(x)).get_config()
        >>> pynn.Model.from_config(config).output_shape
        (1,)
        """
        layers = layers_from_configs(config["layers"])
        symbols = [Input(shape) for shape in config["inputs"]]
        for step in config["steps"]:
            symbols.append(layers[int(step["layer"])](*(symbols[i] for i in step["inputs"])))
        outputs = [symbols[i] for i in config["outputs"]]
        inputs = symbols[: len(config["inputs"])]
        names, own = config.get("names"), config.get("layer_names", ())
        named = {name: layer for name, layer in zip(own, layers, strict=bool(own)) if name is not None}
        return cls(inputs, dict(zip(names, outputs, strict=True)) if names else outputs, layers=named)

    def __repr__(self) -> str:
        return f"Model.from_config({self.get_config()!r})"
