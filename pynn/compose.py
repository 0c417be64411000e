"""Layers with branches: residual connections, parallel layers, sums and concatenation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from ._graph import Builder
from ._training.summary import Described
from .layers._base import Layer
from .layers._config import layer_configs, layers_from_configs
from .layers._flow import Flow
from .model import Sequential, as_layer

__all__ = ["Add", "Concat", "Parallel", "Residual"]


def __dir__() -> list[str]:
    return __all__


class _Branches(Described):
    """Base class of layers whose branches all take the same input."""

    def __init__(self, *branches: Layer | str) -> None:
        super().__init__()
        self._branches = [as_layer(branch) for branch in branches]
        self._adopt()

    @property
    def branches(self) -> tuple[Layer, ...]:
        """The branches."""
        return tuple(self._branches)

    def _children(self) -> dict[str, Layer]:
        return {str(i): branch for i, branch in enumerate(self._branches)}

    def _branch_out(self, builder: Builder) -> tuple[int, ...]:
        """Build every branch after the current nodes, and return the nodes of all outputs."""
        start = builder.nodes
        ends: list[int] = []
        for name, branch in self._children().items():
            builder.nodes = start
            builder.child(name, branch)
            ends += builder.nodes
        return tuple(ends)

    def _flow(self, flow: Flow, inputs: tuple[int, ...]) -> tuple[int, ...]:
        if not self._branches:
            return flow.add(self, inputs)
        return tuple(use for branch in self._branches for use in branch._flow(flow, inputs))

    def get_config(self) -> dict[str, Any]:
        return {"branches": layer_configs(self._branches)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        rest = {**config}
        branches = layers_from_configs(rest.pop("branches"))
        return cls(*branches, **rest)

    def __repr__(self) -> str:
        options = (f"{k}={v!r}" for k, v in self.get_config().items() if k != "branches")
        return f"{type(self).__name__}({', '.join([*map(repr, self._branches), *options])})"


class Parallel(_Branches):
    """Apply several layers to the same input, and return a tuple of their outputs.

    Parameters
    ----------
    *branches : Layer or str
        The layers. A string is the name of an activation.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> a, b = pynn.Parallel("relu", "tanh")(np.array([[-1.0, 1.0]]))
    >>> a
    array([[0., 1.]])
    """

    def _build(self, builder: Builder, where: str) -> None:
        if not self._branches:
            raise ValueError(f"{where}: needs at least one branch")
        builder.nodes = self._branch_out(builder)


class Add(_Branches):
    """Add several inputs, or the outputs of several layers for the same input.

    Parameters
    ----------
    *branches : Layer or str
        With branches, ``y = branch1(x) + branch2(x) + ...``. Without, the layer takes several inputs: ``y = x1 + x2 + ...``.

    Raises
    ------
    ValueError
        If the summands have different shapes.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.Add()(np.ones((1, 2)), np.ones((1, 2)))
    array([[2., 2.]])
    >>> pynn.Add("identity", "relu")(np.array([[-1.0, 1.0]]))
    array([[-1.,  2.]])
    """

    def _build(self, builder: Builder, where: str) -> None:
        builder.add("add", where, {}, inputs=self._branch_out(builder) if self._branches else builder.nodes)


class Concat(_Branches):
    """Concatenate several inputs along an axis, or the outputs of several layers for the same input.

    Parameters
    ----------
    *branches : Layer or str
        With branches, their outputs are concatenated. Without, the layer takes several inputs.
    dim : int
        The axis. Axis 0 is the batch, which is not allowed.

    Raises
    ------
    ValueError
        If shapes differ in another axis than `dim`.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> pynn.Concat("relu", "identity")(np.array([[-1.0, 1.0]]))
    array([[ 0.,  1., -1.,  1.]])
    """

    def __init__(self, *branches: Layer | str, dim: int = 1) -> None:
        super().__init__(*branches)
        if isinstance(dim, bool) or not isinstance(dim, int):
            raise TypeError(f"dim: expected an integer, got {dim!r}")
        self.dim = dim

    def _build(self, builder: Builder, where: str) -> None:
        ends = self._branch_out(builder) if self._branches else builder.nodes
        builder.nodes = ends
        builder.add("concat", where, {"axis": builder.sample_axis(self.dim, where)}, inputs=ends)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dim": self.dim}


class Residual(Described):
    """Add the input to the output of several layers: ``y = layers(x) + shortcut(x)`` (He et al., 2015).

    Parameters
    ----------
    *layers : Layer or str
        The layers, applied in this order.
    shortcut : Layer or str, optional
        The layer applied to the input before the sum; None for the identity.

    Raises
    ------
    ValueError
        If the output of the layers and that of the shortcut have different shapes.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> block = pynn.Residual(pynn.Linear(4, 4, seed=0), "relu")
    >>> block(np.ones((2, 4))).shape
    (2, 4)
    """

    def __init__(self, *layers: Layer | str, shortcut: Layer | str | None = None) -> None:
        super().__init__()
        self._main = Sequential(*layers)
        self._shortcut = None if shortcut is None else as_layer(shortcut)
        self._adopt()

    @property
    def layers(self) -> Sequential:
        """The layers of the main path."""
        return self._main

    @property
    def shortcut(self) -> Layer | None:
        """The layer of the shortcut, or None for the identity."""
        return self._shortcut

    def _children(self) -> dict[str, Layer]:
        return {"layers": self._main, **({"shortcut": self._shortcut} if self._shortcut is not None else {})}

    def _build(self, builder: Builder, where: str) -> None:
        start = builder.nodes
        builder.child("layers", self._main)
        main, builder.nodes = builder.nodes, start
        if self._shortcut is not None:
            builder.child("shortcut", self._shortcut)
        ends = [[builder.graph.shape(node) for node in nodes] for nodes in (main, builder.nodes)]
        if ends[0] != ends[1]:
            long, short = (", ".join(map(str, shapes)) for shapes in ends)
            what = "the input" if self._shortcut is None else "the output of the shortcut"
            hint = "; use shortcut= to change the shape of the input" if self._shortcut is None else ""
            raise ValueError(f"{where}: cannot add the layers' output of sample shape {long} to {what} of sample shape {short}{hint}")
        builder.add("add", where, {}, inputs=(*main, *builder.nodes))

    def _flow(self, flow: Flow, inputs: tuple[int, ...]) -> tuple[int, ...]:
        return (*self._main._flow(flow, inputs), *(self._shortcut._flow(flow, inputs) if self._shortcut is not None else inputs))

    def get_config(self) -> dict[str, Any]:
        configs = layer_configs([*self._main, *([] if self._shortcut is None else [self._shortcut])])
        return {"layers": configs} if self._shortcut is None else {"layers": configs[:-1], "shortcut": configs[-1]}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        shortcut = config.get("shortcut")
        layers = layers_from_configs([*config["layers"], *([] if shortcut is None else [shortcut])])
        return cls(*layers) if shortcut is None else cls(*layers[:-1], shortcut=layers[-1])

    def __repr__(self) -> str:
        shortcut = [] if self._shortcut is None else [f"shortcut={self._shortcut!r}"]
        return f"Residual({', '.join([*map(repr, self._main), *shortcut])})"
