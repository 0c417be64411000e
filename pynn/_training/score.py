"""Scores and health reports: the part of a net that uses the losses of its last training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from .. import _core, optim
from .._tables import check_count
from .callback import listed
from .events import Events
from .feed import Validation, as_core
from .health import measure
from .predict import Predicting
from .prepare import Goal, Prepared, build, prepare, require_rows
from .scale import Observed, scale_matters
from .turns import Parts, gates_of

if TYPE_CHECKING:
    from .health import Health, Monitor
    from .net import Callbacks, Net, _SampleWeight
    from .objective import Losses, Objective


class Scoring(Predicting, abstract=True):
    """A layer made of others that predicts and can be scored: the base of `Net`."""

    _readings: list[int | None]
    """The kinds of the targets of the last training, from a file."""
    _monitor: Monitor | None = None
    """Reports the health of the layers while the net is being trained."""
    _health: Health | None
    """The health in the last epoch of the last training."""

    def _drop_plans(self, seen: bool = True) -> None:
        super()._drop_plans(seen)
        self._kept_parts: Parts | None = None

    # ---- the last training ----------------------------------------------------------------------------------------
    def _fitted_for(self, X: Any) -> Objective | None:
        """Return the losses of the last training, which may have preceded saving and loading; None if there was none."""
        if self._fitted is None and self._goal is not None:
            data = self._data(X, "X")
            self._set_fitted(build(self, data, Goal(*self._goal), writes=False)[-1])
        return self._fitted

    def _set_fitted(self, objective: Objective) -> None:
        """Set the losses of the last training, with the kinds of targets from a file."""
        objective.take_readings(self._readings)
        self._fitted = objective

    def _objective_seen(self) -> Objective | None:
        none = tuple(np.empty((0, *shape), self.dtype) for shape in self._seen)
        return self._fitted_for(none if self._many_inputs() else none[0])

    def _known_readings(self) -> list[int | None]:
        return self._readings if self._fitted is None else self._fitted.readings

    def _scale_matters(self, inputs: int) -> list[bool]:
        """Return for each input whether its scale affects the first layers that read it."""
        return [bool(scale_matters(self))] * inputs

    def _continued(self, loss: Any, loss_weights: Any) -> Goal:
        """Return the loss given, or that of the last training."""
        if loss is not None:
            return Goal(loss, loss_weights)
        if self._goal is None:
            raise ValueError("loss: expected one, since this model has not been fitted")
        return Goal(self._goal[0], self._goal[1] if loss_weights is None else loss_weights)

    def _to_score(self, X: Any, y: Any, loss: Any, loss_weights: Any, **options: Any) -> Prepared:
        """Prepare data to be scored by the given loss, or by that of the last training."""
        if loss is not None:
            return prepare(self, X, y, Goal(loss, loss_weights), **options)
        fitted = self._fitted
        prepared = prepare(self, X, y, self._continued(None, None), fitted=fitted, **options)
        if fitted is None:
            self._set_fitted(prepared.objective)
        return prepared

    # ---- scores and health ----------------------------------------------------------------------------------------
    def evaluate(
        self,
        X: Any,
        y: Any = None,
        *,
        loss: Losses | None = None,
        loss_weights: Sequence[float] | Mapping[str, float] | None = None,
        sample_weight: _SampleWeight = None,
        metrics: Any = None,
        callbacks: Callbacks = None,
    ) -> dict[str, float]:
        """Score the model on other data.

        Parameters
        ----------
        X, y, loss, loss_weights, sample_weight, metrics
            As in `fit`; the default losses and metrics are those of the last ``fit``. Without `y`, `X` is an iterable of batches,
            or a function that returns one, which is read once.
        callbacks : Callback or iterable of Callback, optional
            Their methods ``on_test_begin``, ``on_test_end``, ``on_test_batch_begin`` and ``on_test_batch_end`` are called.

        Returns
        -------
        dict
            ``{"loss": ..., "accuracy": ...}`` and the metrics.

        Raises
        ------
        ValueError, TypeError
            As `fit`, or if no loss is given and the model has not been fitted.

        Examples
        --------
        >>> import numpy as np, pynn
        >>> model = pynn.Sequential(pynn.Linear(2, 2, seed=0))
        >>> sorted(model.evaluate(np.eye(2), [0, 1], loss="cross_entropy"))
        ['accuracy', 'loss']
        """
        given = listed(callbacks)
        for callback in given:
            callback.model = cast("Net", self)
        prepared = self._to_score(X, y, loss, loss_weights, sample_weight=sample_weight, writes=False)
        objective = prepared.objective
        objective.go_on(self._fitted)
        if metrics is not None:
            objective = objective.measuring(metrics)
        many, part = prepared.batches, (prepared.data, prepared.target, prepared.weight)
        parts = (lambda: [part]) if many is None else lambda: prepared.batches_of(many, prepared.samples())
        return Validation(prepared.graph, objective, parts, many is not None).logs("", Events(given))

    def health(self, X: Any = None, y: Any = None, *, loss: Any = None, batch_size: int = 256) -> Health:
        """Return a report on the layers with advice, from the last epoch of ``fit`` or for given data.

        Parameters
        ----------
        X, y : array_like, optional
            Data to examine, in evaluation mode as in `predict`: layers such as Dropout are inactive, and nothing is trained. With
            ``y`` gradients are measured too, batch by batch.
        loss : str or Loss, optional
            The loss of ``y``; default: that of the last ``fit``.
        batch_size : int
            The number of rows of a batch.

        Returns
        -------
        Health
            For each layer: dead and saturated units, mean and standard deviation of the outputs, the length of the gradient, and
            the relative change of the parameters in a step. ``fit`` counts dead units in every step, and measures the rest in
            some steps, for about 1 % of its time.

        Raises
        ------
        ValueError
            If there is nothing to report: the model has not been fitted, or with ``health=False``.

        Examples
        --------
        >>> import numpy as np, pynn
        >>> X = np.linspace(-1, 1, 64)[:, None]
        >>> model = pynn.Sequential(pynn.Linear(1, 10, seed=0), "relu", pynn.Linear(10, 1, seed=1))
        >>> model[0].bias[:6] = -100
        >>> hist = model.fit(X, X**2, loss="mse", epochs=3, seed=0)
        >>> model.health()["1"].dead
        0.6
        >>> print(*model.health().advice)
        problem: layer 1: 60 % of ReLU units never fired in the last epoch; use LeakyReLU or GELU, or restart with a lower learning rate
        """
        if X is not None:
            return self._measured(X, y, loss, batch_size)
        if y is not None:
            raise ValueError("X: expected data, since y was given")
        found = self._monitor.report() if self._monitor is not None else self._health
        if found is None:
            raise ValueError("health: this model has not been fitted, or with health=False; give data to examine: model.health(X, y)")
        return found

    def _measured(self, X: Any, y: Any, loss: Any, batch_size: int) -> Health:
        """Return the health on given data."""
        check_count("batch_size", batch_size, 1)
        if y is None:
            data, target, objective = self._data(X, "X"), None, None
            require_rows(data)
            graph, owners, _ = self._built(data, frozenset(), training=False)
        else:
            prepared = self._to_score(X, y, loss, None, batched=False, training=False)
            data, target, graph, owners, objective = prepared.data, prepared.target, prepared.graph, prepared.owners, prepared.objective
        claim = _core.Claim(gates_of(self).values())
        try:
            criteria, groups = (objective.criteria, optim.SGD(self.parameters()).core_groups()) if objective else ((), [])
            run = _core.Fit(graph, as_core(data), target, criteria, batch_size, False, 0, groups, None, False, True)
            return measure(run, owners, Observed(self, data, target, objective))
        finally:
            claim.release()
