"""Many trainings in one call: independent nets on rows of the same arrays, one net per core at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from .._arrays import plain_array
from .._tables import check_count
from .._threads import get_num_threads
from ..optim._base import Optimizer
from .callback import Callback, listed
from .crew import Crew, Rungs, Show
from .divergence import DivergenceError
from .feed import Batches, as_core
from .fit import Options, Part
from .halving import Halving
from .job import Data, Job
from .net import Net
from .prepare import Goal
from .turns import gates_of

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import ArrayLike, NDArray

    from .history import History
    from .net import Callbacks, _SampleWeight
    from .objective import Losses


class Run:
    """One of the trainings of `fit_many`: a model, and how to train it.

    Parameters
    ----------
    model : Sequential or Model
        The net, which is trained in place. Each run needs its own; ``copy.deepcopy(model)`` makes one.
    optimizer : str or Optimizer
        As in ``fit``. Each run needs its own optimizer object.
    loss, loss_weights : optional
        As in ``fit``; None: those of the call.
    epochs, batch_size, shuffle, drop_last, metrics
        As in ``fit``.
    rows : array_like of int, optional
        The numbers of the rows of `X` and `y` to train on; None: all rows. A row may occur several times. The arrays are not copied.
    validation_rows : array_like of int, optional
        The numbers of the rows to validate on after each epoch.
    callbacks : Callback or callable, or iterable of those, optional
        As in ``fit``. Each run needs its own callback objects; plain functions may be shared.
    seed : int, optional
        As in ``fit``. None draws a fresh one.
    name : str, optional
        The name of the run in errors and warnings, after its number.
    group : hashable, optional
        A `Halving` compares runs of the same group.

    Attributes
    ----------
    history : History or None
        The history of the run; None before it begins.

    Examples
    --------
    >>> import pynn
    >>> net = pynn.Sequential(pynn.Linear(4, 8, seed=0), "tanh", pynn.Linear(8, 3, seed=1))
    >>> pynn.Run(net, optimizer=pynn.optim.Adam(lr=1e-2), epochs=5, seed=0, name="tanh").name
    'tanh'
    """

    def __init__(
        self,
        model: Net,
        *,
        optimizer: str | Optimizer = "adam",
        loss: Losses | None = None,
        loss_weights: Any = None,
        epochs: int = 1,
        batch_size: int | None = None,
        rows: ArrayLike | None = None,
        validation_rows: ArrayLike | None = None,
        metrics: Any = None,
        shuffle: bool = True,
        drop_last: bool = False,
        callbacks: Callbacks = None,
        seed: int | None = None,
        name: str | None = None,
        group: Hashable = None,
    ) -> None:
        self.model, self.optimizer, self.loss, self.loss_weights = model, optimizer, loss, loss_weights
        self.epochs, self.batch_size, self.rows, self.validation_rows = epochs, batch_size, rows, validation_rows
        self.metrics, self.shuffle, self.drop_last, self.callbacks = metrics, shuffle, drop_last, callbacks
        self.seed, self.name, self.group = seed, name, group
        self.history: History | None = None
        self._options: dict[str, Any] = {}  # further options of the training, which estimators set

    def __repr__(self) -> str:
        called = "" if self.name is None else f"{self.name}: "
        return f"<Run {called}{self.epochs} epochs of {type(self.model).__name__}, optimizer={self.optimizer!r}, seed={self.seed}>"


def fit_many(
    runs: Iterable[Run],
    X: Any,
    y: Any = None,
    *,
    loss: Losses,
    loss_weights: Sequence[float] | Mapping[str, float] | None = None,
    sample_weight: _SampleWeight = None,
    class_weight: str | Mapping[int, float] | ArrayLike | None = None,
    n_jobs: int | None = None,
    budget: Halving | None = None,
    executor: Any = None,
    verbose: int | str = "auto",
    health: bool = True,
) -> list[History]:
    """Train many nets on rows of the same data, one net per core at a time, and return their histories.

    Each run gets the same bits as ``model.fit`` alone with the same rows, whatever ``n_jobs`` is.

    Parameters
    ----------
    runs : iterable of Run
        The trainings. Models may have any architecture, and are trained in place; no two of them may share a parameter.
    X, y : array_like
        Samples and targets, as in ``fit`` but no iterables of batches; ``Run.rows`` and ``Run.validation_rows`` are indices of their
        rows, which are not copied.
    loss, loss_weights
        As in ``fit``, for all runs without a loss.
    sample_weight, class_weight
        As in ``fit``: a weight for each row of `X`; validation counts all rows alike.
    n_jobs : int, optional
        The number of runs that train at the same time; None: `get_num_threads`. A run uses one thread as long as others train.
    budget : Halving, optional
        Which runs to drop after some epochs.
    executor : str, joblib.Parallel, distributed.Client or concurrent.futures.Executor, optional
        Where the runs train, one task for each run, with the same bits; a str names a backend of joblib, such as "loky", with
        ``n_jobs`` workers. None: in threads of this process.
    verbose : bool, 2 or 'auto'
        Progress of all runs together on standard error, as in ``fit``; 2: a line on standard output for each run that ends.
    health : bool
        As in ``fit``.

    Returns
    -------
    list of History
        One for each run, in the order of `runs`, also kept as ``runs[i].history`` and ``runs[i].model.history``. ``history.status``
        says how the run ended.

    Raises
    ------
    ValueError, TypeError, RuntimeError
        If an argument is invalid; errors of a run begin with its number, such as ``runs[3]:``. Nothing has been trained then.

    Notes
    -----
    A run that diverges does not raise: its status is 'diverged', ``history.error`` is the `DivergenceError`, and the model has the
    weights of its last good epoch. If another exception ends a run, all others finish first; then that of the first such run is raised
    with a note that names the run.

    Runs train in worker threads without the interpreter's lock. User code runs in the calling thread: callbacks, except those of
    `pynn.callbacks` that call no user code, and entire runs whose layers, losses, metrics or batch callbacks are written in Python.
    Rate functions of `pynn.optim.lr_scheduler.LambdaLR` may be called in any thread.

    With an executor a run is pickled, trained with one thread, callbacks and all, where the executor decides, and its state is copied
    back: to the model, the optimizer and the attributes of the callbacks. `X` and `y` go to each process once with joblib, which maps
    them into memory, and with a Client; other executors send them with each task. With a budget, a paused run is pickled again, with its
    callbacks, and all runs reach their next pause before any continues; ``model.health()`` then reports other steps of the last epoch.

    After a KeyboardInterrupt the models keep their trained weights, ``runs[i].history`` has the finished epochs, and its status is
    'interrupted'; the history of a run that has not begun is None.

    Examples
    --------
    >>> import numpy as np, pynn
    >>> X, y = pynn.datasets.load_digits()
    >>> fold = np.arange(len(X)) % 5
    >>> def net(seed):
    ...     return pynn.Sequential(pynn.Linear(64, 16, seed=seed), "relu", pynn.Linear(16, 10, seed=seed + 1))
    >>> runs = [
    ...     pynn.Run(net(k), epochs=8, seed=k, rows=np.flatnonzero(fold != k), validation_rows=np.flatnonzero(fold == k))
    ...     for k in range(5)
    ... ]
    >>> histories = pynn.fit_many(runs, X / 16, y, loss="cross_entropy")
    >>> all(hist.history["val_accuracy"][-1] > 0.7 for hist in histories)
    True
    """
    given = _listed_runs(runs)
    if n_jobs is not None:
        check_count("n_jobs", n_jobs, 1)
    if budget is not None and not isinstance(budget, Halving):
        raise TypeError(f"budget: expected a pynn.Halving or None, got {budget!r}")
    if not given:
        return []
    data = _checked_data(given, X, y)
    common = Options(Goal(loss, loss_weights), sample_weight=sample_weight, class_weight=class_weight, health=health, verbose=False)
    indices = _Indices(len(data.X[0] if isinstance(data.X, tuple) else data.X))
    jobs: list[Job] = []
    try:
        for number, run in enumerate(given):
            run.history = None
            title = f"runs[{number}]" + ("" if run.name is None else f" ({run.name})")
            try:
                jobs.append(_job(title, run, common, indices))
                jobs[-1].check(data)
                if budget is not None:
                    budget.direction(jobs[-1].expected)
            except Exception as error:
                _name(error, title)
                raise
        if executor is None:
            _train(jobs, data, min(n_jobs or get_num_threads(), len(jobs)), budget, verbose)
        else:
            for job in jobs:
                job.release()
            _send(jobs, data, executor, n_jobs, budget, verbose)
    finally:
        for job, run in zip(jobs, given, strict=False):
            run.history = job.history
            job.release()
    _raise_failures(jobs)
    return [job.history for job in jobs if job.history is not None]


def _job(title: str, run: Run, common: Options, indices: _Indices) -> Job:
    """Return the job of a run."""
    goal = common.goal if run.loss is None else Goal(run.loss, run.loss_weights)
    given = common._replace(
        goal=goal._replace(metrics=run.metrics),
        optimizer=run.optimizer,
        epochs=run.epochs,
        batch_size=run.batch_size,
        drop_last=run.drop_last,
        shuffle=run.shuffle,
        callbacks=listed(run.callbacks),
        seed=run.seed,
        **run._options,
    )
    part = Part(indices.checked(run.rows, "rows"), indices.checked(run.validation_rows, "validation_rows"))
    return Job(title, run.group, run.model, given, part)


def _train(jobs: Sequence[Job], data: Data, n_jobs: int, budget: Halving | None, verbose: int | str) -> None:
    show = Show(verbose, jobs)
    with _interruptible(jobs, show):
        Crew(jobs, data, n_jobs, _rungs(jobs, budget), show).run()


def _send(jobs: Sequence[Job], data: Data, executor: Any, n_jobs: int | None, budget: Halving | None, verbose: int | str) -> None:
    from . import remote

    show = Show(verbose, jobs)
    with _interruptible(jobs, show):
        remote.run(jobs, data, executor, n_jobs, show, _rungs(jobs, budget))


def _rungs(jobs: Sequence[Job], budget: Halving | None) -> list[Rungs]:
    """Return the competition of each group."""
    if budget is None:
        return []
    groups: dict[Hashable, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.group, []).append(job)
    return [Rungs(group, budget) for group in groups.values()]


@contextmanager
def _interruptible(jobs: Sequence[Job], show: Show) -> Iterator[None]:
    """Show the progress, and report the state of the runs after an interrupt."""
    try:
        with show.progress:
            yield
    except KeyboardInterrupt as stop:
        began = [job for job in jobs if job.history is not None]
        broken = [job for job in began if job.history is not None and job.history.status == "interrupted"]
        text = f"fit_many was interrupted: of {len(jobs)} runs {len(began) - len(broken)} had ended, {len(broken)} stopped under way and "
        text += f"keep their trained weights, and {len(jobs) - len(began)} had not begun; runs[i].history has the finished epochs"
        stop.add_note(text)
        raise


def _raise_failures(jobs: Sequence[Job]) -> None:
    """Raise the exception of the first failed run."""
    failed = [job for job in jobs if job.error is not None and not isinstance(job.error, DivergenceError)]
    if not failed:
        return
    error = failed[0].error
    assert error is not None
    others = ", ".join(f"{job.title} ({type(job.error).__name__}: {job.error})" for job in failed[1:4])
    more = f"; so did {others}" + (f" and {len(failed) - 4} more" * (len(failed) > 4)) if others else ""
    error.add_note(f"in {failed[0].title}, in epoch {failed[0].epoch + 1}{more}; the other runs have ended, see runs[i].history")
    raise error


def _listed_runs(runs: Iterable[Run]) -> list[Run]:
    """Return the runs, or raise if two of them share a model, an optimizer or a callback."""
    if isinstance(runs, Run) or not isinstance(runs, Iterable):
        raise TypeError(f"runs: expected an iterable of pynn.Run, got {type(runs).__name__}")
    given = [*runs]
    owners: dict[int, tuple[int, Any]] = {}

    def claim(thing: Any, number: int, text: str, cure: str) -> None:
        """Raise if the thing is that of an earlier run."""
        first, _ = owners.setdefault(id(thing), (number, thing))
        if first != number:
            raise ValueError(f"runs[{number}]: {text} runs[{first}]; {cure}")

    for i, run in enumerate(given):
        if not isinstance(run, Run):
            raise TypeError(f"runs[{i}]: expected a pynn.Run, got {type(run).__name__}")
        if not isinstance(run.model, Net):
            raise TypeError(f"runs[{i}]: model: expected a Sequential or a Model, got {run.model!r}")
        copied = "give each run a copy: copy.deepcopy"
        claim(run.model, i, "its model is that of", f"{copied}(model)")
        for name, gate in gates_of(run.model).items():
            claim(gate, i, f"its model shares {name or 'a layer'} with that of", f"{copied}(model)")
        if isinstance(run.optimizer, Optimizer):
            claim(run.optimizer, i, "its optimizer is that of", "make one for each run")
        if isinstance(run.callbacks, Iterable):
            run.callbacks = [*run.callbacks]
        for callback in run.callbacks if isinstance(run.callbacks, list) else [run.callbacks]:
            if isinstance(callback, Callback):
                claim(callback, i, f"its callback {type(callback).__name__} is that of", "make one for each run")
    return given


def _checked_data(runs: Sequence[Run], X: Any, y: Any) -> Data:
    """Return X and y as arrays, which all runs use in place."""
    if Batches.only(X):
        raise TypeError(f"X: expected arrays, whose rows the runs share; got {type(X).__name__}")
    if y is not None and (hasattr(y, "__array__") or (isinstance(y, (list, tuple)) and not any(np.ndim(one) for one in y))):
        y = plain_array(y, "y")
    return Data(as_core(runs[0].model._data(X, "X")), y)


class _Indices:
    """Copies of the callers' index arrays, one for each array: nobody may write to them while runs read them."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self._known: dict[int, tuple[Any, NDArray[np.intp]]] = {}

    def checked(self, given: Any, name: str) -> NDArray[np.intp] | None:
        """Return indices of rows, or raise."""
        if given is None:
            return None
        if id(given) in self._known:
            return self._known[id(given)][1]
        a = np.asarray(given)
        if a.dtype == bool and a.shape == (self.rows,):
            a = np.flatnonzero(a)
        if a.ndim != 1 or a.dtype.kind not in "iu":
            expected = f"a 1-d array of indices, or a mask of shape {(self.rows,)}"
            raise TypeError(f"{name}: expected {expected}, got dtype {a.dtype} of shape {a.shape}")
        if not a.size:
            raise ValueError(f"{name}: expected at least one row, got none")
        invalid = (a < 0) | (a >= self.rows)
        if invalid.any():
            raise ValueError(f"{name}: {a[invalid][0]} is not a row of X, whose rows are 0..{self.rows - 1}")
        indices = np.array(a, dtype=np.intp)
        indices.flags.writeable = False
        self._known[id(given)] = given, indices
        return indices


def _name(error: Exception, title: str) -> None:
    """Begin the message of an exception with the run."""
    if error.args and isinstance(error.args[0], str):
        error.args = f"{title}: {error.args[0]}", *error.args[1:]
    else:
        error.add_note(f"in {title}")
