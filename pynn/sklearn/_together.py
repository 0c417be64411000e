"""A backend of joblib that trains the nets of many tasks of scikit-learn in one call of `pynn.fit_many`."""

from __future__ import annotations

import contextlib
import inspect
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import parallel_config
from joblib._parallel_backends import (
    LokyBackend,
    MultiprocessingBackend,
    ParallelBackendBase,
    SequentialBackend,
    ThreadingBackend,
)
from joblib.parallel import get_active_backend
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection._validation import _fit_and_score

from .._threads import get_num_threads
from .._training.many import fit_many
from ._base import NetEstimator
from ._fitting import Data

if TYPE_CHECKING:
    from .._training.history import History
    from ._fitting import Fitting

Rows = NDArray[np.intp]
Call = tuple[Any, Sequence[Any], Mapping[str, Any]]
"""A function and its arguments."""

_LOCAL = (LokyBackend, MultiprocessingBackend, SequentialBackend, ThreadingBackend)
"""Backends of joblib itself; others distribute tasks over machines, which threads cannot replace."""
_MOST_BYTES = 2**27
"""The size of the parameters of all nets that are prepared at a time. An estimator needs about five times that of its net."""
_SIGNATURE = inspect.signature(_fit_and_score)


def together(estimator: Any, n_jobs: Any) -> contextlib.AbstractContextManager[Any]:
    """Return a context in which scikit-learn's functions train clones of the estimator in one call of `fit_many`.

    It has no effect on estimators of other libraries, nor where a backend of joblib for several machines is active.
    """
    is_valid = n_jobs is None or (isinstance(n_jobs, Integral) and n_jobs != 0)
    if not (is_valid and isinstance(estimator, NetEstimator) and isinstance(get_active_backend()[0], _LOCAL)):
        return contextlib.nullcontext()
    context: contextlib.AbstractContextManager[Any] = parallel_config(backend=Together(_runs_at_a_time(n_jobs)))
    return context


def _runs_at_a_time(n_jobs: int | None) -> int:
    """Return how many runs train at the same time; negative numbers count back from the number of threads, as in joblib."""
    if n_jobs is None:
        n_jobs = get_active_backend()[1]
    if n_jobs is None:
        return get_num_threads()
    return int(n_jobs) if n_jobs > 0 else max(get_num_threads() + 1 + int(n_jobs), 1)


class Together(ParallelBackendBase):  # type: ignore[misc]
    """Trains the nets of the tasks that wait when a result is needed, and runs the rest of each task in the calling thread.

    Tasks of scikit-learn's cross-validation that fit an estimator of this package are *planned*: their nets train together, and their
    call of ``fit`` then uses the trained net. All other tasks run unchanged.

    Parameters
    ----------
    runs : int
        The number of nets that train at the same time.
    """

    supports_retrieve_callback = False
    supports_sharedmem = True
    uses_threads = True

    def __init__(self, runs: int) -> None:
        super().__init__()
        self.runs = runs
        self._waiting: deque[Task] = deque()
        self._shared = Shared()

    def effective_n_jobs(self, n_jobs: int) -> int:
        """Return more than one: joblib would not submit a single job."""
        return max(self.runs, 2)

    def configure(self, n_jobs: int = 1, parallel: Any = None, **options: Any) -> int:
        """Prepare for a call of ``joblib.Parallel``, which submits all tasks at once unless it was given a number of them."""
        if isinstance(parallel.pre_dispatch, str):
            parallel.pre_dispatch = "all"
        return int(super().configure(n_jobs=n_jobs, parallel=parallel, **options))

    def submit(self, func: Any, callback: Callable[[Any], None] | None = None) -> Task:
        """Queue a batch of calls."""
        task = Task(self, func, callback)
        self._waiting.append(task)
        return task

    apply_async = submit
    """The name before joblib 1.5."""

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Forget the tasks that wait."""
        self._waiting.clear()

    def terminate(self) -> None:
        """Forget the tasks and the data."""
        self._waiting.clear()
        self._shared = Shared()

    def train(self) -> None:
        """Prepare tasks that wait, as many as memory permits, and train their nets."""
        plans: list[Plan] = []
        size = 0
        while self._waiting and (size < _MOST_BYTES or len(plans) < self.runs):
            for plan in self._waiting.popleft().prepare(self._shared):
                plans.append(plan)
                size += plan.bytes
        train(plans, self.runs)


class Task:
    """A batch of calls, and the plans of those whose nets are trained beforehand."""

    def __init__(self, backend: Together, batch: Any, callback: Callable[[Any], None] | None) -> None:
        self.backend, self.batch, self.callback = backend, batch, callback
        self.plans: list[Plan | None] | None = None

    def prepare(self, shared: Shared) -> list[Plan]:
        """Plan the calls."""
        calls = self.batch.items
        self.plans = [planned(call, shared) for call in calls]
        self.batch.items = [call if plan is None else plan.call(call) for call, plan in zip(calls, self.plans, strict=True)]
        return [plan for plan in self.plans if plan is not None]

    def get(self, timeout: float | None = None) -> list[Any]:
        """Return the results of the calls."""
        while self.plans is None:
            self.backend.train()
        results: list[Any] = self.batch()
        for plan, result in zip(self.plans, results, strict=True):
            if plan is not None and "fit_time" in result:
                result["fit_time"] += plan.seconds
        if self.callback is not None:
            self.callback(results)
        return results


class Plan:
    """The training of one estimator.

    Attributes
    ----------
    fitting : Fitting or None
        The training; None if it could not be prepared.
    error : Exception or None
        The error of the preparation or of the training.
    """

    def __init__(self, estimator: NetEstimator, data: Data, rows: Rows) -> None:
        self.estimator = estimator
        self.fitting: Fitting | None = None
        self.error: Exception | None = None
        self.history: History | None = None
        try:
            self.fitting = estimator._prepare(data, rows)
        except Exception as error:
            self.error = error

    @property
    def bytes(self) -> int:
        """The size of the parameters."""
        return 0 if self.fitting is None else sum(p.data.nbytes for p in self.fitting.run.model.parameters())

    @property
    def seconds(self) -> float:
        """The time of all epochs."""
        return 0.0 if self.history is None else float(sum(self.history.history["seconds"]))

    def call(self, call: Call) -> Call:
        """Return the call with an estimator whose next ``fit`` uses the trained net, and reads no data."""
        function, args, given = call
        self.estimator.__dict__["fit"] = self._fit
        bound = _SIGNATURE.bind(*args, **given)
        if not bound.arguments.get("return_train_score"):
            bound.arguments["train"] = np.zeros(1, np.intp)
        return function, bound.args, bound.kwargs

    def _fit(self, X: Any, y: Any = None, **_: Any) -> NetEstimator:
        del self.estimator.__dict__["fit"]
        if self.error is not None:
            raise self.error
        assert self.fitting is not None
        self.estimator._finish(self.fitting, self.history)
        return self.estimator

    def alone(self) -> None:
        """Train this net alone."""
        assert self.fitting is not None
        try:
            with self.estimator._threads():
                self.history = self.fitting.train()
        except Exception as error:
            self.error = error


def planned(of: Call, shared: Shared) -> Plan | None:
    """Return the plan of a call; None if it has to run as it is."""
    function, args, given = of
    if getattr(function, "__wrapped__", None) is not _fit_and_score:
        return None
    call = _SIGNATURE.bind(*args, **given).arguments
    estimator, fit_params = call["estimator"], call.get("fit_params") or {}
    if not isinstance(estimator, NetEstimator) or call["y"] is None or {*fit_params} - {"sample_weight"}:
        return None
    try:
        estimator.set_params(**clone(call.get("parameters") or {}, safe=False))
        found = shared.data(estimator, call["X"], call["y"], fit_params.get("sample_weight"), call["train"])
    except Exception:  # the call itself raises it, in the right place
        return None
    return None if found is None else Plan(estimator, *found)


class Shared:
    """Checked data, one for all estimators of a class."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], tuple[Any, Any]] = {}
        """The arguments of each call, whose identities are the key, and its result."""

    def _once(self, make: Callable[..., Any], owner: Any, *arguments: Any) -> Any:
        """Return the result of the first call with these objects."""
        key = (make.__name__, owner, *map(id, arguments))
        if key not in self._known:
            self._known[key] = arguments, make(*arguments)
        return self._known[key][1]

    def data(self, estimator: NetEstimator, X: Any, y: Any, weight: Any, train: Any) -> tuple[Data, Rows] | None:
        """Return the checked data and the rows to train on; None if data of these rows alone would be understood differently."""
        data = self._once(estimator._data, type(estimator), X, y, weight)
        rows = self._once(_rows, None, data, train)
        return (data, rows) if self._once(_are_typical, None, data, rows) else None


def _rows(data: Data, train: Any) -> Rows:
    """Return the numbers of rows, which may be given as a mask or from the end."""
    rows: Rows = np.arange(data.X.shape[0])[train]
    return rows


def _are_typical(data: Data, rows: Rows) -> bool:
    """Return whether some rows have all labels, and require the same precision, as all rows together."""
    labels = data.labels
    if labels is not None and labels.kind != "multilabel" and len(np.unique(np.asarray(data.y)[rows])) < len(labels.classes):
        return False
    return data.fits_float32 or not Data(data.X[rows], data.target[rows], None, None, None, None).fits_float32


def train(plans: Iterable[Plan], runs: int) -> None:
    """Train the nets of plans, those on the same arrays in one call of `fit_many`."""
    groups: dict[tuple[int, int], list[Plan]] = {}
    for plan in plans:
        if plan.fitting is None:
            continue
        if plan.fitting.is_shareable:
            groups.setdefault((id(plan.fitting.X), id(plan.fitting.y)), []).append(plan)
        else:
            plan.alone()
    for group in groups.values():
        _train_group(group, runs)


def _train_group(group: Sequence[Plan], runs: int) -> None:
    fittings = [plan.fitting for plan in group if plan.fitting is not None]
    for fitting in fittings:
        fitting.run._options["sample_weight"] = fitting.weight
    first = fittings[0]
    assert first.run.loss is not None
    try:
        fit_many([f.run for f in fittings], first.X, first.y, loss=first.run.loss, n_jobs=runs, verbose=False, health=False)
    except Exception as error:
        if all(fitting.run.history is None for fitting in fittings):  # nothing has been trained, since a run is invalid
            for plan in group:
                plan.alone()
            return
        error.__notes__.pop()  # names a run of fit_many
    for plan, fitting in zip(group, fittings, strict=True):
        plan.history = fitting.run.history
        plan.error = None if plan.history is None else plan.history.error
