"""One training step with every array: what each node of a net computes, its formula, and the gradients on the way back."""

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
from . import optimizers
from .feed import as_core
from .prepare import Goal, prepare
from .turns import turn

if TYPE_CHECKING:
    import pandas

    from ..losses._base import Loss
    from ..optim._base import Optimizer
    from .net import Net
    from .prepare import Prepared

__all__ = ["LossRecord", "NodeRecord", "ParameterRecord", "StepExplanation"]


@dataclass(frozen=True, eq=False)
class ParameterRecord:
    """A parameter of a layer in a step."""

    name: str
    value: Array
    """Before the step."""
    gradient: Array | None
    """The derivative of the loss; None for a running statistic, or where the parameter is frozen."""
    updated: Array | None = None
    """After the step; None without an optimizer."""
    is_state: bool = False
    """Whether it is a running statistic, which is not learnt."""


@dataclass(frozen=True, eq=False)
class NodeRecord:
    """A node of the net's graph in a step: an input, or what a layer computes."""

    node: int
    """Its number."""
    layer: str
    """The name of its layer in the net; empty for an input."""
    cls: str
    """The class of the layer."""
    kind: str
    """What it computes: 'linear', 'conv', 'activation' and so on, or 'input'."""
    function: str
    """The name of its function in the tables; empty for other kinds."""
    settings: Mapping[str, Any]
    formulas: tuple[str, ...]
    """What it computes: y from x (x0, x1, ... of several inputs) and the parameters."""
    gradient_formulas: tuple[str, ...]
    """What it gives back, where dv is the derivative of the loss by v."""
    inputs: tuple[int, ...]
    """The nodes that it reads."""
    consumers: tuple[int, ...]
    """The nodes that read it."""
    value: Array
    """Its output, with a row for each sample."""
    gradient: Array | None
    """The derivative of the loss by its output; None where it has none, as for indices."""
    parameters: Mapping[str, ParameterRecord]
    drawn: Mapping[str, Array]
    """What a layer drew at random: 'mask' (or slopes) multiplies its input, 'offset' is added."""


@dataclass(frozen=True, eq=False)
class LossRecord:
    """A loss in a step."""

    name: str
    formula: str
    """Its value for an element or a row, from x, the prediction, and t, the target; z and n are further inputs."""
    gradient_formula: str | None
    """The derivative of the formula by x; None where the formula is more than sums of functions of single numbers."""
    reduction: str
    factor: float
    """The factor of this loss in the whole loss."""
    nodes: tuple[int, ...]
    """The nodes that it takes."""
    target: Array | None
    value: float
    """Reduced, before the factor."""
    gradients: tuple[Array, ...]
    """The derivative of the whole loss by each of its inputs, through this loss alone."""
    settings: Mapping[str, Any]
    output: Array | None = None
    """What the last layer returns, where the loss takes what that layer reads, as cross entropy does for Softmax."""
    output_layer: str = ""
    """That layer's name and class."""


@dataclass(frozen=True, eq=False)
class StepExplanation:
    """One training step with every array; printed as text of at most 79 columns, in notebooks as HTML.

    ``explanation["0"]`` is the `NodeRecord` of the layer with that name, and iteration goes through all records.

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
        Inputs and layers in the order in which they are computed.
    losses : tuple of LossRecord
        One for each loss.
    step : int
        The number of the step, from 1, on which dropout and the optimizer depend.
    optimizer : str or None
        The optimizer; None without an update.
    optimizer_formula : str
        Its step, as in the table of optimizers.
    note : str
        Why there is no update though there is an optimizer.
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
        """Return the record of a layer; of several nodes the last, whose value is the layer's output."""
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

    def to_pandas(self) -> pandas.DataFrame:
        """Return a pandas.DataFrame with a row for each number.

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


# ---- making it ---------------------------------------------------------------------------------------------------------

_KINDS = {row["name"]: row for row in _core.layer_kinds()}
_FUNCTIONS = {"activation": {row["name"]: row for row in _core.ACTIVATIONS}, "rowwise": {row["name"]: row for row in _core.ROWWISE}}


def explain(net: Net, x: Any, y: Any, goal: Goal, sample_weight: Any, optimizer: str | Optimizer | None) -> StepExplanation:
    """Explain a step on copies of a net, its losses and the optimizer; see `Net.explain_step`."""
    twin, own, opt = copy.deepcopy((net, goal, optimizer))
    last = net.optimizer if opt is None else optimizers.continued(twin, opt)
    step = 1 + (0 if last is None or isinstance(last, str) else last.steps)
    with turn(twin, "explain_step"):
        prepared = prepare(twin, x, y, own, sample_weight=sample_weight, batched=False)
        before = {id(p): (p.data.copy(), name) for name, p in twin._all_state().items()}
        objective, weight = prepared.objective, prepared.core_weight()
        values, gradients, given, scores = _core.trace(
            prepared.graph, as_core(prepared.data), prepared.target, objective.criteria, weight, step
        )
        outputs = _last_outputs(twin, prepared, values)
    logs = objective.logs("", scores)
    updated, note = _updated(net, x, y, goal, sample_weight, optimizer)
    names = {_place(p.data): (before[id(p)][0], name) for name, p in twin._all_state().items()}
    nodes = _nodes(prepared, values, gradients, step, names, updated)
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
    """Return the state of a copy of the net after one step, by name, and why there is none."""
    from .divergence import DivergenceError

    if optimizer is None:
        return None, ""
    twin, own, opt = copy.deepcopy((net, goal, optimizer))
    try:
        twin.train_on_batch(x, y, loss=own.loss, loss_weights=own.weights, optimizer=opt, sample_weight=sample_weight)
    except DivergenceError as error:
        return None, str(error)
    return {name: p.data for name, p in twin._all_state().items()}, ""


def _last_outputs(net: Net, prepared: Prepared, values: list[Array]) -> dict[int, tuple[str, Array]]:
    """Return the outputs of the last layers that losses replace, by the place of the loss, with the layers' names."""
    objective, leaves = prepared.objective, dict(net._leaves())
    found = {}
    for i, ((path, last), at) in enumerate(zip(objective.lasts, objective.takes, strict=True)):
        if path in objective.skip and path in leaves:
            out = values[prepared.graph.output_nodes[at[0]]]
            found[i] = f"{path} ({type(last).__name__})", np.asarray(leaves[path](out))
    return found


def _nodes(
    prepared: Prepared,
    values: list[Array],
    gradients: list[Array | None],
    step: int,
    names: Mapping[int, tuple[Array, str]],
    updated: Mapping[str, Array] | None,
) -> tuple[NodeRecord, ...]:
    read = prepared.graph.read()
    found = []
    for i, node in enumerate(read):
        kind = node["kind"]
        layer, cls = prepared.owners.get(i, ("", ""))
        function, formulas, back = ("", (), ()) if kind is None else _formulas(node)
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


def _formulas(node: Mapping[str, Any]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Return the function that a node applies, if any, its formulas, and those of its gradients."""
    row = _KINDS[node["kind"]]
    settings = {**node["config"], "training": node["training"]}
    count = len(node["inputs"])
    forward, back = filled(row["formula"], settings, count), filled(row["gradient"], settings, count)
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
    """Return what a node drew: its derivative at -1, by which it multiplies, and its value at 0, which it adds.

    The numbers depend on the seed, the step, the element and how many nodes before have the same seed, so that many are added first.
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
