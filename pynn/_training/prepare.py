"""Check the arguments that `fit`, `evaluate`, `train_on_batch`, `partial_fit`, `find_lr` and `health` share, and build the graph."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from .. import _core
from .._arrays import Array
from .._tables import check_count
from .feed import Batches, Rows, Validation, class_places, rows_of
from .objective import Objective, Weights, fusible, gives
from .rows import class_weights, combined, sample_weights, split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .score import Scoring

Owners: TypeAlias = Mapping[int, tuple[str, str]]
"""Node of a graph to the name and class of its layer."""

Shapes: TypeAlias = tuple[Sequence[tuple[int, ...]], str]
"""The shape of one sample of each input, and the data that have these shapes, for errors."""


class Goal(NamedTuple):
    """Loss, loss weights and metrics as given by the caller."""

    loss: Any
    weights: Any = None
    metrics: Any = None


class Prepared(NamedTuple):
    """Checked data, with the graph and the losses made for them."""

    net: Scoring
    goal: Goal
    """Losses and metrics as given; a loss that the labels imply is filled in."""
    data: tuple[Array, ...]
    """The inputs, or those of the first batch."""
    target: Any
    """The targets in the core's form; None for batches from an iterable."""
    weight: Weights
    """The weights of the rows."""
    graph: _core.Graph
    owners: Owners
    objective: Objective
    batches: Batches | None
    """The batches, if the data come from an iterable."""
    part: NDArray[np.intp] | None = None
    """The indices of the rows to train on; None for all rows. Data, targets and weights are those of all rows."""

    @property
    def rows(self) -> int:
        """The number of rows to train on, or that of the first batch."""
        return len(self.data[0]) if self.part is None else len(self.part)

    def taken(self, arrays: Any) -> Any:
        """Return the rows of an array, or of each array of a tuple, to train on."""
        return arrays if self.part is None else rows_of(arrays, self.part)

    def with_class_weight(self, class_weight: Any) -> Prepared:
        """Return the same data, each row's weight multiplied by the weight of its class."""
        if class_weight is None:
            return self
        shapes = self.graph.output_shapes
        classes = class_weights(class_weight, self.taken(self.target), self.objective.losses, math.prod(shapes[0]))
        name = "sample_weight and class_weight"
        weight = sample_weights(combined(self.taken(self.weight), classes), self.rows, self.objective, shapes, name)
        return self._replace(weight=_spread(weight, self.part, len(self.data[0])))

    def split(self, share: float, seed: int, shuffle: bool) -> tuple[Prepared, Rows, NDArray[np.intp]]:
        """Return the rows to train on, the rows to validate on, and the indices of the former."""
        train, held = split(share, self.rows, self.target, self.objective.losses, seed, shuffle)
        kept = {"data": rows_of(self.data, train), "target": rows_of(self.target, train), "weight": rows_of(self.weight, train)}
        return self._replace(**kept), (rows_of(self.data, held), rows_of(self.target, held), rows_of(self.weight, held)), train

    def first_target(self) -> Any:
        """Return the targets to train on, or those of the first batch."""
        if self.batches is None:
            return self.taken(self.target)
        return self.objective.targets(self.batches.first[1], self.rows, self.graph, "y of batch 0")

    def core_weight(self) -> Weights:
        """Return the weights in the core's form."""
        return self.objective.core_weights(self.weight, self.graph.dtype)[0]

    def samples(self) -> Shapes:
        """Return the shape of one sample of each input, which further batches must have."""
        return [a.shape[1:] for a in self.data], "X" if self.batches is None else "the first batch"

    def batches_of(self, batches: Batches, like: Shapes, before: str = "") -> Iterator[Rows]:
        """Yield the batches of one pass, checked."""
        return checked_batches(self.net, batches, like, self.graph, self.objective, before)

    def validation_on(self, held: NDArray[np.intp], y: Any) -> Validation:
        """Return the validation on some rows of the same data, all with weight 1."""
        target = self.objective.targets(y, len(self.data[0]), self.graph, "y", held)
        return Validation(self.graph, self.objective, lambda: [(self.data, target, None)], False, held)

    def validation(self, given: Any, times: int, steps: int | None) -> Validation:
        """Check ``validation_data``, which will be scored ``times`` times."""
        if steps is not None:
            check_count("validation_steps", steps, 1)
        like = [a.shape[1:] for a in self.data], "X"
        if _is_data(given, self.net._many_inputs()):
            names = "validation_data[0]", "validation_data[1]", "validation_data[2]"
            part = checked_rows(self.net, (*given, None)[:3], names, like, self.graph, self.objective)
            return Validation(self.graph, self.objective, lambda: [part], False)
        if isinstance(given, tuple) or not Batches.are(given):
            got = type(given).__name__ + (f" of {len(given)}" if isinstance(given, tuple) else "")
            raise TypeError(f"validation_data: expected (X, y) or (X, y, sample_weight), or batches of those, got {got}")
        batches = Batches(given, "validation_data", times, most=steps)
        return Validation(self.graph, self.objective, lambda: self.batches_of(batches, like, "validation_data: "), True)


def prepare(
    net: Scoring,
    X: Any,
    y: Any,
    goal: Goal,
    *,
    sample_weight: Any = None,
    batched: bool = True,
    epochs: int = 1,
    steps_per_epoch: int | None = None,
    arrays_only: Mapping[str, Any] | None = None,
    classes: Array | None = None,
    fitted: Objective | None = None,
    training: bool = True,
    writes: bool = True,
    part: NDArray[np.intp] | None = None,
) -> Prepared:
    """Check data and losses, and build the graph once.

    Parameters
    ----------
    net : Net
        The model.
    X, y, sample_weight, steps_per_epoch
        As in `fit`.
    goal : Goal
        Losses and metrics. With ``classes`` the loss may be None, which selects (binary) cross entropy.
    batched : bool
        Whether ``X`` may be an iterable of batches.
    epochs : int
        The number of passes over an iterable of batches.
    arrays_only : mapping, optional
        Further arguments by name, which must be None if ``X`` is an iterable of batches.
    classes : ndarray, optional
        All labels, sorted; ``y`` then holds labels, and the net must have an output for each of them.
    fitted : Objective, optional
        The objective of the last training, which is used instead of ``goal``.
    training, writes : bool
        As in `Builder`.
    part : ndarray, optional
        The indices of the rows to train on, which the caller has checked; None: all. Values are checked for these rows only.
    """
    batches = None
    if batched:
        batches = _batches(X, y, goal.loss, epochs, steps_per_epoch, {"sample_weight": sample_weight, **(arrays_only or {})})
    data = net._data(X if batches is None else batches.first[0], "X")
    goal, graph, owners, objective = build(net, data, goal, classes=classes, fitted=fitted, training=training, writes=writes)
    rows = len(data[0])
    require_rows(data, "X" if batches is None else "X of batch 0")
    target, weight = None, None
    if batches is None:
        target = objective.targets(y if classes is None else class_places(y, classes), rows, graph, "y", part)
        weight = sample_weights(sample_weight, rows, objective, graph.output_shapes, "sample_weight", may_be_0=part is not None)
        if part is not None:
            own = sample_weights(rows_of(weight, part), len(part), objective, graph.output_shapes, "sample_weight")
            weight = _spread(own, part, rows)
    return Prepared(net, goal, data, target, weight, graph, owners, objective, batches, part)


def _spread(weight: Weights, part: NDArray[np.intp] | None, rows: int) -> Weights:
    """Return weights of some rows as weights of all rows, 0 for the others."""
    if weight is None or part is None:
        return weight
    if isinstance(weight, tuple):
        return tuple(None if one is None else _spread_one(one, part, rows) for one in weight)
    return _spread_one(weight, part, rows)


def _spread_one(weight: Array, part: NDArray[np.intp], rows: int) -> Array:
    whole = np.zeros((rows, *weight.shape[1:]))
    whole[part] = weight
    return whole


def build(
    net: Scoring,
    data: tuple[Array, ...],
    goal: Goal,
    *,
    classes: Array | None = None,
    fitted: Objective | None = None,
    training: bool = True,
    writes: bool = True,
) -> tuple[Goal, _core.Graph, Owners, Objective]:
    """Build the graph for inputs of these shapes, without the last layers that a loss replaces, and the losses of its outputs.

    Also return the goal, with the loss that ``classes`` imply if it has none.
    """
    lasts, names = net._output_layers(), net._output_names
    # Labels imply one of two losses, chosen below; each of them replaces a different last layer, so both can be tried.
    losses = ("cross_entropy", "bce") if goal.loss is None else (goal.loss,)
    skip = fitted.skip if fitted is not None else frozenset().union(*(fusible(loss, lasts, names) for loss in losses))
    graph, owners, skipped = net._built(data, skip, training=training, writes=writes)
    shapes = graph.output_shapes
    if classes is not None:
        width = math.prod(shapes[0])
        _check_classes(classes, width)
        last = lasts[-1][1] if lasts else None
        implied = "cross_entropy" if width > 1 else "bce" if gives(last) == "probabilities" else "bce_with_logits"
        goal = goal if goal.loss is not None else goal._replace(loss=implied)
    if fitted is not None:
        return goal, graph, owners, fitted
    lasts = lasts if len(lasts) == len(shapes) else [("", None)] * len(shapes)
    objective = Objective(goal.loss, goal.weights, lasts, shapes, names, goal.metrics)
    if objective.skip != skipped:  # the outputs of a layer with several are known only after building
        graph, owners, _ = net._built(data, objective.skip, training=training, writes=writes)
    return goal, graph, owners, objective


def _check_classes(classes: Array, width: int) -> None:
    if len(classes) != max(width, 2):
        raise ValueError(f"classes: expected {max(width, 2)} for a net of {width} output{'s' * (width != 1)}, got {len(classes)}")


def require_rows(data: tuple[Array, ...], name: str = "X") -> None:
    """Raise if there are no rows."""
    if not len(data[0]):
        raise ValueError(f"{name}: expected at least one row, it has no rows")


def checked_rows(
    net: Scoring,
    rows: Sequence[Any],
    names: Sequence[str],
    like: Shapes,
    graph: _core.Graph,
    objective: Objective,
    *,
    may_be_0: bool = False,
) -> Rows:
    """Check inputs, targets and weights of samples of the given shapes."""
    data = net._data(rows[0], names[0])
    for a, shape in zip(data, like[0], strict=True):
        if a.shape[1:] != shape:
            raise ValueError(f"{names[0]}: samples of shape {a.shape[1:]}, expected {shape} as in {like[1]}")
    target = objective.targets(rows[1], len(data[0]), graph, names[1])
    return data, target, sample_weights(rows[2], len(data[0]), objective, graph.output_shapes, names[2], may_be_0=may_be_0)


def checked_batches(
    net: Scoring, batches: Batches, like: Shapes, graph: _core.Graph, objective: Objective, before: str = ""
) -> Iterator[Rows]:
    """Yield the batches of one pass, checked; ``before`` precedes their names in errors."""
    for number, batch in enumerate(batches):
        names = [f"{before}{what} of batch {number}" for what in ("X", "y", "sample_weight")]
        checked = checked_rows(net, batch, names, like, graph, objective, may_be_0=True)
        require_rows(checked[0], names[0])
        yield checked


def _batches(X: Any, y: Any, loss: Any, epochs: int, steps: int | None, arrays_only: Mapping[str, Any]) -> Batches | None:
    """Return the batches if ``X`` is an iterable of them; None if ``X`` and ``y`` are arrays."""
    if steps is not None:
        check_count("steps_per_epoch", steps, 1)
    if y is not None or (not Objective.has_target(loss) and (isinstance(X, (list, tuple)) or not Batches.are(X))):
        if steps is not None:
            raise ValueError("steps_per_epoch: applies only to batches from an iterable; with arrays an epoch takes all rows")
        return None
    if not Batches.are(X):
        raise TypeError(f"y: expected a target, since X is no iterable of batches (X, y), but of type {type(X).__name__}")
    for name, value in arrays_only.items():
        if value is not None:
            weights = "; with batches give weights as (X, y, sample_weight)" if name in ("sample_weight", "class_weight") else ""
            raise ValueError(f"{name}: needs X and y as arrays{weights}")
    return Batches(X, "X", epochs, steps)


def _is_data(given: Any, many: bool) -> bool:
    """Return whether ``given`` is (X, y) or (X, y, sample_weight): a tuple, or a list whose members are not such tuples themselves."""
    if not isinstance(given, (tuple, list)) or len(given) not in (2, 3):
        return False
    pairs = (isinstance(one, tuple) and len(one) in (2, 3) and (not many or isinstance(one[0], (tuple, list))) for one in given)
    return isinstance(given, tuple) or not all(pairs)
