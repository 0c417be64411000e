"""Explanation of one training step: the value, formula and gradient of every node of a net."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._arrays import Array
from .._formula import derivative, filled
from .._tables import parse_parameters
from ..layers.formula import FormulaLayer
from . import optimizers
from .feed import as_core
from .prepare import Goal, prepare
from .turns import turn

if TYPE_CHECKING:
    from ..layers._base import Layer
    from ..losses._base import Loss
    from ..optim._base import Optimizer
    from .net import Net
    from .prepare import Prepared

__all__ = ["LossRecord", "NodeRecord", "ParameterRecord", "StepExplanation"]


@dataclass(frozen=True, eq=False)
class ParameterRecord:
    """A parameter of a layer in the explanation of a step."""

    name: str
    value: Array
    """The value before the step."""
    gradient: Array | None
    """The derivative of the loss; None for a running statistic, or where the parameter is frozen."""
    updated: Array | None = None
    """The value after the step; None without an optimizer."""
    is_state: bool = False
    """Whether it is a running statistic rather than a learnt parameter."""


@dataclass(frozen=True, eq=False)
class NodeRecord:
    """A node of the net's graph in the explanation of a step: an input, or an operation of a layer."""

    node: int
    """The number of the node."""
    layer: str
    """The name of the layer in the net; empty for an input."""
    cls: str
    """The class of the layer."""
    kind: str
    """The kind of operation: 'linear', 'conv', 'activation' and so on, or 'input'."""
    function: str
    """The name of the function, such as an activation; empty for other kinds."""
    settings: Mapping[str, Any]
    formulas: tuple[str, ...]
    """The formulas of the output y from the input x (x0, x1, ... for several inputs) and the parameters."""
    gradient_formulas: tuple[str, ...]
    """The formulas of the backward pass, in which dv is the derivative of the loss with respect to v."""
    inputs: tuple[int, ...]
    """The nodes whose outputs it reads."""
    consumers: tuple[int, ...]
    """The nodes that read its output."""
    value: Array
    """The output, with one row per sample."""
    gradient: Array | None
    """The derivative of the loss with respect to the output; None if there is none, as for indices."""
    parameters: Mapping[str, ParameterRecord]
    drawn: Mapping[str, Array]
    """Random numbers of the layer: 'mask' (or slopes) multiplies the input, 'offset' is added."""


@dataclass(frozen=True, eq=False)
class LossRecord:
    """A loss in the explanation of a step."""

    name: str
    formula: str
    """The value for an element or a row, from the prediction x and the target t; z and n are further inputs."""
    gradient_formula: str | None
    """The derivative of the formula with respect to x; None if the formula cannot be differentiated symbolically."""
    reduction: str
    factor: float
    """The factor of this loss in the total loss."""
    nodes: tuple[int, ...]
    """The nodes that are its inputs."""
    target: Array | None
    value: float
    """The reduced value, before the factor is applied."""
    gradients: tuple[Array, ...]
    """The contribution of this loss to the derivative of the total loss with respect to each of its inputs."""
    settings: Mapping[str, Any]
    output: Array | None = None
    """The output of the last layer, if the loss uses the input of that layer instead, as cross entropy does for Softmax."""
    output_layer: str = ""
    """The name and class of that layer."""


@dataclass(frozen=True, eq=False)
class StepExplanation:
    """One training step with all its arrays. It is printed as text of at most 79 columns; notebooks show HTML.

    ``explanation["0"]`` is the `NodeRecord` of the layer with that name, and iteration yields all records.

    Attributes
    ----------
    net : str
        The class of the net.
    rows : int
        The number of samples.
    dtype : str
        The dtype of the computation.
    loss : float
        The loss before the step: the sum of all losses times their factors.
    nodes : tuple of NodeRecord
        The inputs and operations in the order of computation.
    losses : tuple of LossRecord
        One record for each loss.
    step : int
        The number of the step, from 1, which determines the masks of dropout and the update of the optimizer.
    optimizer : str or None
        The optimizer; None without an update.
    optimizer_formula : str
        The formula of its update.
    note : str
        The reason why there is no update despite an optimizer; usually empty.
    """

    net: str
    rows: int
    dtype: str
    loss: float
    nodes: tuple[NodeRecord, ...]
    losses: tuple[LossRecord, ...]
    step: int
    optimizer: str | None = None
    optimizer_formula: str = ""
    note: str = ""
    _named: Mapping[str, NodeRecord] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_named", {record.layer: record for record in self.nodes if record.layer})

    def __getitem__(self, layer: str) -> NodeRecord:
        """Return the record of a layer; if it has several nodes, that of the last, whose value is the layer's output."""
        if layer not in self._named:
            raise KeyError(f"no layer {layer!r}; known: {', '.join(self._named)}")
        return self._named[layer]

    def __iter__(self) -> Iterator[NodeRecord]:
        return iter(self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def __str__(self) -> str:
        from .explain_text import text

        return text(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Return HTML for a notebook."""
        from .explain_html import fragment

        return fragment(self, "en")

    def to_html(self, path: str | os.PathLike[str] | None = None, lang: str = "en") -> str:
        """Return the explanation as a self-contained page, and write it to a file if a path is given.

        Parameters
        ----------
        path : str or path, optional
            The file, which is replaced atomically.
        lang : {'en', 'vi'}
            English or Vietnamese.

        Raises
        ------
        ValueError
            If the language is unknown.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import pynn
        >>> net = pynn.Sequential(pynn.Linear(2, 1, seed=0))
        >>> net.explain_step([[1.0, 2.0]], [3.0], loss="mse").to_html()[:15]
        '<!DOCTYPE html>'
        """
        from .explain_html import page

        text = page(self, lang)
        if path is not None:
            from ..io._files import replacing

            with replacing(path) as file:
                file.write(text.encode())
        return text

    def to_pandas(self) -> Any:
        """Return a pandas.DataFrame with one row per number.

        Columns: node, layer, kind, name ('output', or that of a parameter), index, value, gradient and updated, NaN where there is none.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        try:
            import pandas  # type: ignore[import-untyped, unused-ignore]
        except ImportError as error:
            raise ImportError("StepExplanation.to_pandas needs pandas: pip install 'pynn-c[pandas]'") from error
        parts = []
        for r in self.nodes:
            arrays = [("output", r.value, r.gradient, None), *((p.name, p.value, p.gradient, p.updated) for p in r.parameters.values())]
            for name, value, gradient, updated in arrays:
                columns = {"node": r.node, "layer": r.layer, "kind": r.kind, "name": name, "index": [*np.ndindex(value.shape)]}
                for key, array in (("value", value), ("gradient", gradient), ("updated", updated)):
                    columns[key] = np.full(value.size, math.nan) if array is None else array.ravel()
                parts.append(pandas.DataFrame(columns))
        return pandas.concat(parts, ignore_index=True)


# ---- construction -------------------------------------------------------------------------------------------------------

_KINDS = {row["name"]: row for row in _core.layer_kinds()}
_FUNCTIONS = {"activation": {row["name"]: row for row in _core.ACTIVATIONS}, "rowwise": {row["name"]: row for row in _core.ROWWISE}}


def explain(net: Net, x: Any, y: Any, goal: Goal, sample_weight: Any, optimizer: str | Optimizer | None) -> StepExplanation:
    """Explain a step on copies of a net, its losses and the optimizer; see `Net.explain_step`."""
    net_copy, own, opt = copy.deepcopy((net, goal, optimizer))
    last = net.optimizer if opt is None else optimizers.continued(net_copy, opt)
    step = 1 + (0 if last is None or isinstance(last, str) else last.steps)
    with turn(net_copy, "explain_step"):
        prepared = prepare(net_copy, x, y, own, sample_weight=sample_weight, batched=False)
        before = {id(p): (p.data.copy(), name) for name, p in net_copy._all_state().items()}
        objective, weight = prepared.objective, prepared.core_weight()
        values, gradients, given, scores = _core.trace(
            prepared.graph, as_core(prepared.data), prepared.target, objective.criteria, weight, step
        )
        outputs = _last_outputs(net_copy, prepared, values)
    logs = objective.logs("", scores)
    updated, note = _updated(net, x, y, goal, sample_weight, optimizer)
    names = {_place(p.data): (before[id(p)][0], name) for name, p in net_copy._all_state().items()}
    nodes = _nodes(net_copy, prepared, values, gradients, step, names, updated)
    losses = _losses(prepared, scores, given, outputs)
    described = ("", "") if opt is None else _optimizer(last)
    return StepExplanation(
        type(net).__name__,
        len(prepared.data[0]),
        prepared.graph.dtype,
        logs["loss"],
        nodes,
        losses,
        step,
        None if optimizer is None else described[0],
        described[1],
        note,
    )


def _optimizer(opt: Any) -> tuple[str, str]:
    """Return an optimizer and its formula as text."""
    return repr(opt), getattr(type(opt), "_row", {}).get("formula", "")


def _place(a: Array) -> int:
    return int(a.__array_interface__["data"][0])


def _updated(
    net: Net, x: Any, y: Any, goal: Goal, sample_weight: Any, optimizer: str | Optimizer | None
) -> tuple[Mapping[str, Array] | None, str]:
    """Return the state of a copy of the net after one step, by name, and the reason if there is none."""
    from .divergence import DivergenceError

    if optimizer is None:
        return None, ""
    net_copy, own, opt = copy.deepcopy((net, goal, optimizer))
    try:
        net_copy.train_on_batch(x, y, loss=own.loss, loss_weights=own.weights, optimizer=opt, sample_weight=sample_weight)
    except DivergenceError as error:
        return None, str(error)
    return {name: p.data for name, p in net_copy._all_state().items()}, ""


def _last_outputs(net: Net, prepared: Prepared, values: list[Array]) -> dict[int, tuple[str, Array]]:
    """Return the names and outputs of the last layers that losses replace, by the index of the loss."""
    objective, leaves = prepared.objective, dict(net._leaves())
    found = {}
    for i, ((path, last), at) in enumerate(zip(objective.lasts, objective.takes, strict=True)):
        if path in objective.skip and path in leaves:
            out = values[prepared.graph.output_nodes[at[0]]]
            found[i] = f"{path} ({type(last).__name__})", np.asarray(leaves[path](out))
    return found


def _nodes(
    net: Net,
    prepared: Prepared,
    values: list[Array],
    gradients: list[Array | None],
    step: int,
    names: Mapping[int, tuple[Array, str]],
    updated: Mapping[str, Array] | None,
) -> tuple[NodeRecord, ...]:
    read = prepared.graph.read()
    leaves = dict(net._leaves())
    found = []
    for i, node in enumerate(read):
        kind = node["kind"]
        layer, cls = prepared.owners.get(i, ("", ""))
        function, formulas, back = ("", (), ()) if kind is None else _formulas(node, leaves.get(layer))
        parameters = {}
        for k, p in enumerate(node["parameters"]):
            value, name = names[_place(p["data"])]
            short = p["name"] or name.rpartition(".")[2] or f"parameter {k}"
            grad = None if p["grad"] is None else p["grad"].copy()
            parameters[short] = ParameterRecord(short, value, grad, None if updated is None else updated[name], p["state"])
        found.append(
            NodeRecord(
                node=i,
                layer=layer,
                cls=cls,
                kind=kind or "input",
                function=function,
                settings=node["config"],
                formulas=formulas,
                gradient_formulas=back,
                inputs=node["inputs"],
                consumers=tuple(k for k, other in enumerate(read) if i in other["inputs"]),
                value=values[i],
                gradient=gradients[i],
                parameters=parameters,
                drawn={} if kind is None else _drawn(prepared.graph.dtype, read, i, values, step),
            )
        )
    return tuple(found)


def _formulas(node: Mapping[str, Any], layer: Layer | None) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Return the name of the function that a node applies, if any, its formulas, and those of its gradients."""
    row = _KINDS[node["kind"]]
    settings = {**node["config"], "training": node["training"]}
    count = len(node["inputs"])
    forward, back = filled(row["formula"], settings, count), filled(row["gradient"], settings, count)
    if isinstance(layer, FormulaLayer) and node["config"].get("program") is not None:
        own, slopes = layer.explained()
        return layer.formula, (*forward, *own), (*back, *slopes)
    for f in row["fields"]:
        if f["type"] not in _FUNCTIONS:
            continue
        function = _FUNCTIONS[f["type"]][settings[f["name"]]]
        names = [*parse_parameters(function.get("params", "")).defaults]
        numbers = settings.get("parameters", ())
        slope = derivative(function["formula"], tuple(names))
        if any("f(x)" in line for line in forward):
            forward.append(f"f(x) = {function['formula']}")
        if slope is not None and any("f'(x)" in line for line in back):
            back.append(f"f'(x) = {slope}")
        if any("f'(y, dy)" in line for line in back):
            back.append(f"f'(y, dy) = {function['gradient']}")
        forward += [f"{name} = {value:.6g}" for name, value in zip(names, numbers, strict=False)]
        return function["name"], tuple(forward), tuple(back)
    return "", tuple(forward), tuple(back)


def _drawn(dtype: str, nodes: tuple[Mapping[str, Any], ...], i: int, values: list[Array], step: int) -> dict[str, Array]:
    """Return the random numbers of a node: the factor is its derivative at -1, and the offset its value at 0.

    The numbers depend on the seed, the step, the element and the number of earlier nodes with the same seed, so as many nodes are
    added to the graph.
    """
    node = nodes[i]
    if "seed" not in node["config"] or not node["training"]:
        return {}
    same = [n for n in nodes[: i + 1] if n["kind"] == node["kind"] and n["config"]["seed"] == node["config"]["seed"]]
    graph = _core.Graph(dtype, node["shape"])
    for _ in same:
        last = graph.add(node["kind"], "copy", node["config"], (), (0,), True)
    graph.outputs((last,))
    plan = _core.Plan(graph, len(values[i]), "backward")
    plan.tick = step
    ones = np.ones_like(values[i])
    offset = plan.forward(np.zeros_like(ones))
    plan.forward(-ones)
    mask = plan.backward(ones)
    found = {"mask": mask} if (mask != 1).any() or not offset.any() else {}
    return {**found, "offset": offset} if offset.any() else found


def _losses(
    prepared: Prepared, scores: Any, given: list[Array], outputs: Mapping[int, tuple[str, Array]]
) -> tuple[LossRecord, ...]:
    objective = prepared.objective
    targets = prepared.target if isinstance(prepared.target, tuple) else (prepared.target,)
    units = objective.core_weights(prepared.weight, prepared.graph.dtype)[1]
    found = []
    for i, (loss, score) in enumerate(zip(objective.losses, objective.in_units(scores, units), strict=True)):
        at = objective.takes[i]
        path, out = outputs.get(i, ("", None))
        found.append(
            LossRecord(
                name=type(loss).__name__,
                formula=loss._row.get("formula") or "f(x, t)",
                gradient_formula=_slope(loss),
                reduction=loss.reduction,
                factor=objective.weights[i],
                nodes=tuple(prepared.graph.output_nodes[k] for k in at),
                target=targets[i],
                value=objective._log(loss, score, None)["loss"],
                gradients=tuple(given[k] for k in at),
                settings=dict(loss._values),
                output=out,
                output_layer=path,
            )
        )
    return tuple(found)


def _slope(loss: Loss) -> str | None:
    """Return the derivative of a loss's formula, in which z and n are further inputs."""
    text, names = loss._row.get("formula"), ("t", "z", "n", "weight", "pos_weight", *loss._values)
    numbers = [name for name, value in loss._values.items() if isinstance(value, (bool, int, float))]
    return derivative(text, names, numbers) if text else None
