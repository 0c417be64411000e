"""Many trainings in one call: the same bits as single ones, row subsets, stopping, failures and interrupts."""

import concurrent.futures
import io
import multiprocessing
import os
import pickle
import sys
import threading
import time

import numpy as np
import pytest
from process import run_python

import pynn
from pynn import _core
from pynn._training import optimizers, remote
from pynn._training.crew import Show
from pynn._training.prepare import Goal, build


def _data(rows=90, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, 6))
    return X, (X[:, 0] * X[:, 1] > 0).astype(int) + (X[:, 2] > 0)


def _core_fit(net, X, y, **options):
    _, graph, _, objective = build(net, (X,), Goal("cross_entropy"))
    opt = optimizers.bound(net, "adam")
    return _core.Fit(graph, X, y, objective.criteria, 8, options.pop("shuffle"), 3, opt.core_groups(), **options)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
def test_core_reads_a_subset_as_it_reads_a_copy(shuffle, drop_last):
    X, y = _data()
    rows = np.random.default_rng(1).permutation(90)[:43]
    rows[3] = rows[4]
    seen = []
    for data, target, options in ((X[rows], y[rows], {}), (X, y, {"rows": rows})):
        net = pynn.Sequential(pynn.Linear(6, 5, seed=0), "tanh", pynn.Linear(5, 3, seed=1))
        fit = _core_fit(net, data, target, shuffle=shuffle, drop_last=drop_last, **options)
        kept = fit.keep(43)
        scores = [fit.epoch(k) for k in range(3)]
        order = fit.order
        seen.append((scores, kept[0].tobytes(), None if order is None else order.tolist(), net.state_dict()))
    (scores, kept, order, state), (others, same, places, other) = seen
    assert scores == others
    assert kept == same
    assert order == places
    assert all((state[name] == other[name]).all() for name in state)


def test_core_scores_and_predicts_a_subset():
    X, y = _data(700)
    net = pynn.Sequential(pynn.Linear(6, 3, seed=0))
    rows = np.random.default_rng(1).permutation(700)[:600]
    _, graph, _, objective = build(net, (X,), Goal("cross_entropy"))
    predictor = _core.Predictor(graph, 256)
    assert (predictor.predict(X, rows) == predictor.predict(X[rows])).all()
    assert predictor.score(X, y, objective.criteria, None, rows) == predictor.score(X[rows], y[rows], objective.criteria)


@pytest.mark.parametrize("row", [-1, 90])
def test_core_rejects_rows_out_of_range(row):
    X, y = _data()
    net = pynn.Sequential(pynn.Linear(6, 3, seed=0))
    with pytest.raises(IndexError, match=f"index {row} is out of range for 90 rows"):
        _core_fit(net, X, y, shuffle=True, rows=np.array([0, row]))


def test_core_finds_the_row_that_is_not_finite():
    X, y = _data()
    X[70, 2] = np.nan
    net = pynn.Sequential(pynn.Linear(6, 3, seed=0))
    fit = _core_fit(net, X, y, shuffle=True, finite=True, rows=np.arange(60, 80))
    fit.epoch(0)
    assert fit.origin == ("input", 0, 0, 70)


def test_a_claim_moves_to_another_thread():
    net = pynn.Sequential(pynn.Linear(6, 3, seed=0))
    claim = _core.Claim([p._gate for p in net.parameters()])
    failures = []

    def use(move):
        try:
            if move:
                claim.move()
            net(np.ones((2, 6)))
        except RuntimeError as error:
            failures.append((move, str(error)))

    for move in (False, True):
        thread = threading.Thread(target=use, args=(move,))
        thread.start()
        thread.join()
    assert [move for move, _ in failures] == [False]
    with pytest.raises(RuntimeError, match="in use by another thread"):
        net(np.ones((2, 6)))
    claim.release()


def test_a_thread_that_works_alone_has_one_thread():
    before = _core.get_threads()
    with pynn.num_threads(2):
        _core.work(True, None)
        try:
            assert _core.get_threads() == 1
        finally:
            _core.work(False, None)
        assert _core.get_threads() == 2
    assert _core.get_threads() == before


# ---- fit_many ----------------------------------------------------------------------------------------------------------
def _mlp(seed, width=7):
    return pynn.Sequential(pynn.Linear(6, width, seed=seed), "tanh", pynn.Linear(width, 3, seed=seed + 1))


def _dropout(seed):
    layers = pynn.Linear(6, 9, seed=seed), pynn.BatchNorm1d(9), "relu", pynn.Dropout(0.3, seed=seed), pynn.Linear(9, 3, seed=seed + 1)
    return pynn.Sequential(*layers)


def _images(seed):
    return pynn.Sequential(pynn.Reshape(1, 2, 3), pynn.Conv2d(1, 4, 2, seed=seed), "gelu", pynn.Flatten(), pynn.Linear(8, 3, seed=seed))


def _residual(seed):
    x = pynn.Input((6,))
    h = pynn.Linear(6, 5, seed=seed)(x)
    return pynn.Model(x, pynn.Linear(11, 3, seed=seed)(pynn.Concat()(h, x)))


class _Scale(pynn.Layer):
    """A layer written in Python, which records the threads it runs in."""

    def __init__(self):
        super().__init__()
        self.threads = set()

    def forward(self, x):
        self.threads.add(threading.get_ident())
        return x * 1.5

    def backward(self, grad):
        return grad * 1.5


def _custom(seed):
    return pynn.Sequential(pynn.Linear(6, 5, seed=seed), _Scale(), pynn.Linear(5, 3, seed=seed + 1))


NETS = {"mlp": _mlp, "dropout": _dropout, "images": _images, "residual": _residual, "custom": _custom}


def _numbers(history):
    return {name: values for name, values in history.history.items() if name != "seconds"}


def _same(model, history, other, others):
    a, b = model.state_dict(), other.state_dict()
    assert a.keys() == b.keys()
    assert all(a[name].tobytes() == b[name].tobytes() for name in a)
    assert _numbers(history) == _numbers(others)


def _settings(k):
    optimizers = (pynn.optim.Adam(lr=1e-2), "sgd", pynn.optim.AdamW(lr=3e-3), pynn.optim.SGD(lr=0.05, momentum=0.9))
    return {"optimizer": optimizers[k % 4], "epochs": 3 + k % 3, "batch_size": (8, 16, None)[k % 3], "seed": k, "shuffle": k % 5 != 4}


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("metrics", [None, ["top_2_accuracy"]])
def test_runs_have_the_bits_of_fit_alone(n_jobs, metrics):
    X, y = _data(120)
    makers = [*NETS.values()]
    rng = np.random.default_rng(3)
    splits = [np.split(rng.permutation(120), [60 + 4 * k]) for k in range(10)]
    runs = [
        pynn.Run(makers[k % 5](k), **_settings(k), rows=splits[k][0], validation_rows=splits[k][1], metrics=metrics) for k in range(10)
    ]
    histories = pynn.fit_many(runs, X, y, loss="cross_entropy", n_jobs=n_jobs)
    for k, (run, history) in enumerate(zip(runs, histories, strict=True)):
        assert history is run.history is run.model.history
        assert history.status == "finished"
        alone, (rows, held) = makers[k % 5](k), splits[k]
        parts = X[rows], y[rows]
        expected = alone.fit(*parts, validation_data=(X[held], y[held]), loss="cross_entropy", metrics=metrics, **_settings(k))
        _same(run.model, history, alone, expected)
        assert str(run.model.health()) == str(alone.health())
        assert run.model.predict_class(X).tolist() == alone.predict_class(X).tolist()


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_weights_and_classes_are_those_of_the_rows(n_jobs):
    X, y = _data(120)
    rows, weight = np.arange(5, 90), np.random.default_rng(2).uniform(0.1, 1e6, 120)
    weight[100] = 1e300
    run = pynn.Run(_mlp(0), seed=1, epochs=3, rows=rows)
    weights = {"sample_weight": weight, "class_weight": "balanced"}
    pynn.fit_many([run, pynn.Run(_mlp(5), rows=[0, 1, 2])], X, y, loss="cross_entropy", n_jobs=n_jobs, **weights)
    alone = _mlp(0)
    expected = alone.fit(
        X[rows], y[rows], loss="cross_entropy", seed=1, epochs=3, sample_weight=weight[rows], class_weight="balanced"
    )
    _same(run.model, run.history, alone, expected)


def test_targets_outside_the_rows_do_not_matter():
    X, y = _data(60)
    y[50:], X[55] = -7, np.nan
    run = pynn.Run(_mlp(0), seed=1, rows=np.arange(50), validation_rows=np.arange(10))
    pynn.fit_many([run], X, y, loss="cross_entropy")
    alone = _mlp(0)
    _same(run.model, run.history, alone, alone.fit(X[:50], y[:50], validation_data=(X[:10], y[:10]), loss="cross_entropy", seed=1))
    with pytest.raises(ValueError, match=r"^runs\[0\] \(all\): y: class -7 in row 50 is not in 0..2"):
        pynn.fit_many([pynn.Run(_mlp(0), name="all")], X, y, loss="cross_entropy")


def test_losses_of_runs_and_several_outputs():
    X, _ = _data(60)
    target = np.stack([X[:, 0], X[:, 1], X[:, 2]], 1)
    runs = [pynn.Run(_mlp(0), loss=loss, seed=0) for loss in ("mse", "huber")]
    pynn.fit_many(runs, X, target, loss="l1", n_jobs=2)
    for run in runs:
        alone = _mlp(0)
        _same(run.model, run.history, alone, alone.fit(X, target, loss=run.loss, seed=0))


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_early_stopping_and_its_weights(n_jobs):
    X, y = _data(120)
    stops = [pynn.callbacks.EarlyStopping(patience=1 + k) for k in range(4)]
    runs = [
        pynn.Run(_mlp(k), optimizer=pynn.optim.Adam(lr=0.2), seed=k, epochs=40, validation_rows=np.arange(30), callbacks=[stops[k]])
        for k in range(4)
    ]
    histories = pynn.fit_many(runs, X, y, loss="cross_entropy", n_jobs=n_jobs)
    assert any(history.status == "stopped" for history in histories)
    for k, (run, history) in enumerate(zip(runs, histories, strict=True)):
        alone, stop = _mlp(k), pynn.callbacks.EarlyStopping(patience=1 + k)
        options = {"validation_data": (X[:30], y[:30]), "loss": "cross_entropy", "epochs": 40, "seed": k, "callbacks": [stop]}
        expected = alone.fit(X, y, optimizer=pynn.optim.Adam(lr=0.2), **options)
        _same(run.model, history, alone, expected)
        assert stop.stopped_epoch == stops[k].stopped_epoch
        assert history.status == expected.status == ("finished" if stop.stopped_epoch is None else "stopped")


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_user_code_runs_in_the_calling_thread(n_jobs):
    X, y = _data()
    seen, me = [], threading.get_ident()

    class Note(pynn.callbacks.Callback):
        def __getattribute__(self, name):
            if name.startswith("on_"):
                seen.append((name, threading.get_ident()))
            return super().__getattribute__(name)

        def on_epoch_end(self, epoch, logs):
            self.model.evaluate(X, y)
            self.model[0].weight[0, 0] += 0.01
            self.model(X[:2])

    runs = [pynn.Run(_mlp(k), epochs=3, seed=k, callbacks=[Note(), lambda epoch, logs: None]) for k in range(3)]
    runs += [pynn.Run(_custom(k), epochs=2, seed=k) for k in range(2)]
    runs += [pynn.Run(_mlp(9), epochs=2, seed=0, metrics={"n": lambda y, out: seen.append(("metric", threading.get_ident())) or 1})]
    pynn.fit_many(runs, X, y, loss="cross_entropy", n_jobs=n_jobs)
    names = [name for name, thread in seen]
    assert {"on_train_begin", "on_epoch_begin", "on_epoch_end", "on_train_end", "metric"} <= set(names)
    assert names.count("on_epoch_end") > 8
    assert {thread for _, thread in seen} == {me}
    assert runs[3].model[1].threads == {me}
    alone = _mlp(1)
    _same(runs[1].model, runs[1].history, alone, alone.fit(X, y, loss="cross_entropy", epochs=3, seed=1, callbacks=[Note()]))


def test_training_a_model_in_its_callback_raises():
    X, y = _data()
    runs = [pynn.Run(_mlp(k), callbacks=[lambda epoch, logs, k=k: runs[k].model.fit(X, y, loss="cross_entropy")]) for k in range(2)]
    with pytest.raises(RuntimeError, match="this model is being trained by fit_many"):
        pynn.fit_many(runs, X, y, loss="cross_entropy", n_jobs=2)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_diverging_run_does_not_affect_others(n_jobs):
    X, _ = _data()
    target = X[:, :3].copy()
    runs = [pynn.Run(_mlp(k), optimizer=pynn.optim.SGD(lr=1e18 if k == 1 else 0.01), epochs=4, seed=k) for k in range(3)]
    histories = pynn.fit_many(runs, X, target, loss="mse", n_jobs=n_jobs)
    assert [history.status for history in histories] == ["finished", "diverged", "finished"]
    assert isinstance(histories[1].error, pynn.DivergenceError)
    assert histories[0].error is None
    for k in (0, 2):
        alone = _mlp(k)
        _same(runs[k].model, histories[k], alone, alone.fit(X, target, loss="mse", optimizer=pynn.optim.SGD(lr=0.01), epochs=4, seed=k))
    assert all(np.isfinite(a).all() for a in runs[1].model.state_dict().values())


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_exception_is_raised_when_the_others_have_ended(n_jobs):
    X, y = _data()

    def fail(epoch, logs):
        if epoch == 1:
            raise LookupError("no more")

    runs = [pynn.Run(_mlp(k), epochs=5, seed=k, callbacks=fail if k in (1, 3) else None, name=f"net {k}") for k in range(4)]
    with pytest.raises(LookupError, match="no more") as caught:
        pynn.fit_many(runs, X, y, loss="cross_entropy", n_jobs=n_jobs)
    (note,) = caught.value.__notes__
    assert note.startswith("in runs[1] (net 1), in epoch 2; so did runs[3] (net 3) (LookupError: no more);")
    assert [run.history.status for run in runs] == ["finished", "failed", "finished", "failed"]
    assert [len(run.history.epoch) for run in runs] == [5, 2, 5, 2]
    alone = _mlp(2)
    _same(runs[2].model, runs[2].history, alone, alone.fit(X, y, loss="cross_entropy", epochs=5, seed=2))
    with concurrent.futures.ThreadPoolExecutor(1) as other:  # also while the exception holds the frames of the call
        other.submit(lambda: [run.model.fit(X, y, loss="cross_entropy") for run in runs]).result()


def test_errors_name_the_run_before_anything_is_trained():
    X, y = _data()
    shared, optimizer, stop = _mlp(0), pynn.optim.Adam(), pynn.callbacks.EarlyStopping("loss")
    body = pynn.Linear(6, 4, seed=0)
    wrong = {
        r"runs\[1\]: expected a pynn.Run, got Sequential": _mlp(1),
        r"runs\[1\]: model: expected a Sequential or a Model": pynn.Run("net"),
        r"runs\[1\]: its model is that of runs\[0\]": pynn.Run(shared),
        r"runs\[1\]: its model shares 0.weight with that of runs\[0\]": pynn.Run(pynn.Sequential(shared[0], pynn.Linear(7, 3))),
        r"runs\[1\]: its optimizer is that of runs\[0\]": pynn.Run(_mlp(1), optimizer=optimizer),
        r"runs\[1\]: its callback EarlyStopping is that of runs\[0\]": pynn.Run(_mlp(1), callbacks=stop),
        r"runs\[1\] \(b\): epochs: expected": pynn.Run(_mlp(1), epochs=-1, name="b"),
        r"runs\[1\]: batch_size: expected": pynn.Run(_mlp(1), batch_size=0),
        r"runs\[1\]: rows: 90 is not a row of X, whose rows are 0..89": pynn.Run(_mlp(1), rows=[3, 90]),
        r"runs\[1\]: validation_rows: expected at least one row": pynn.Run(_mlp(1), validation_rows=np.zeros(90, bool)),
        r"runs\[1\]: rows: expected a 1-d array of indices": pynn.Run(_mlp(1), rows=[0.5]),
        r"runs\[1\]: seed: expected": pynn.Run(_mlp(1), seed=-1),
        r"runs\[1\]: EarlyStopping: monitor 'val_loss' is not reported": pynn.Run(
            _mlp(1), callbacks=pynn.callbacks.EarlyStopping("val_loss")
        ),
        r"runs\[1\]: .*y.*": pynn.Run(pynn.Sequential(pynn.Linear(6, 2))),
        r"runs\[1\]: drop_last: 3 rows are fewer than batch_size": pynn.Run(_mlp(1), rows=[1, 2, 3], drop_last=True),
    }
    for message, run in wrong.items():
        before = {name: a.copy() for name, a in shared.state_dict().items()}
        with pytest.raises((TypeError, ValueError), match=message):
            pynn.fit_many([pynn.Run(shared, optimizer=optimizer, callbacks=[stop]), run], X, y, loss="cross_entropy")
        assert all((a == before[name]).all() for name, a in shared.state_dict().items())
        assert shared.history is None
        assert shared.optimizer is None
    frozen = [pynn.Run(pynn.Sequential(body, "relu", pynn.Linear(4, 3, seed=k))) for k in range(2)]
    body.freeze()
    pynn.fit_many(frozen, X, y, loss="cross_entropy", n_jobs=2)
    with pytest.raises(TypeError, match=r"runs: expected an iterable of pynn\.Run"):
        pynn.fit_many(pynn.Run(shared), X, y, loss="cross_entropy")
    with pytest.raises(ValueError, match="n_jobs: expected an integer of 1 or more"):
        pynn.fit_many([pynn.Run(shared)], X, y, loss="cross_entropy", n_jobs=0)
    with pytest.raises(TypeError, match="X: expected arrays"):
        pynn.fit_many([pynn.Run(shared)], iter([(X, y)]), loss="cross_entropy")
    assert pynn.fit_many([], X, y, loss="cross_entropy") == []


# ---- halving -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_halving_keeps_the_best_with_the_bits_of_fit_alone(n_jobs):
    X, y = _data(120)

    def runs():
        stops = [pynn.callbacks.EarlyStopping(patience=3) if k % 4 == 3 else None for k in range(9)]
        return [
            pynn.Run(
                _dropout(k),
                optimizer=pynn.optim.Adam(lr=10.0 ** -(k % 5 + 1)),
                epochs=20,
                seed=k,
                rows=np.arange(90),
                validation_rows=np.arange(90, 120),
                callbacks=stops[k],
            )
            for k in range(9)
        ]

    whole = runs()
    pynn.fit_many(whole, X, y, loss="cross_entropy", n_jobs=n_jobs)
    halved = runs()
    pynn.fit_many(halved, X, y, loss="cross_entropy", n_jobs=n_jobs, budget=pynn.Halving(first=2, factor=3))
    at = [run.history.history["val_loss"] for run in whole]
    first = sorted(sorted(range(9), key=lambda k: at[k][1])[:3])
    second = min(first, key=lambda k: at[k][min(5, len(at[k]) - 1)])
    for k, (one, other) in enumerate(zip(halved, whole, strict=True)):
        epochs = len(other.history.epoch) if k == second else 6 if k in first else 2
        assert _numbers(one.history) == {name: values[:epochs] for name, values in _numbers(other.history).items()}
        assert one.history.status == (other.history.status if k == second else "pruned")
    _same(halved[second].model, halved[second].history, whole[second].model, whole[second].history)


@pytest.mark.parametrize("held", [0, 1])
def test_a_run_resumes_only_after_its_thread_has_left_it(monkeypatch, held):
    """While one thread still holds a paused run, another thread that reaches the rung must not queue that run again."""
    X, y = _data()
    step = Show.step

    def slow(show, job):
        step(show, job)
        if job.is_paused and job.title == f"runs[{held}]":
            time.sleep(0.2)
        elif job.epoch:
            time.sleep(0.05)

    monkeypatch.setattr(Show, "step", slow)
    runs = [pynn.Run(_mlp(i), seed=i, epochs=5, batch_size=8) for i in range(2)]
    histories = pynn.fit_many(runs, X, y, loss="cross_entropy", n_jobs=2, budget=pynn.Halving("loss", factor=2, first=1))
    assert sorted(history.status for history in histories) == ["finished", "pruned"]
    for i, (run, history) in enumerate(zip(runs, histories, strict=True)):
        alone = _mlp(i)
        alone.fit(X, y, loss="cross_entropy", seed=i, epochs=len(history.history["loss"]), batch_size=8)
        assert all((a == b).all() for a, b in zip(run.model.state_dict().values(), alone.state_dict().values(), strict=True))


def test_halving_within_groups_and_with_runs_that_end_by_themselves():
    X, _ = _data(60)
    target = X[:, :3].copy()
    rates = 0.1, 0.01, 1e18, 0.03, 0.001, 0.02
    runs = [
        pynn.Run(_mlp(0), optimizer=pynn.optim.SGD(lr=rate), epochs=1 if k == 3 else 8, seed=0, group=k // 3)
        for k, rate in enumerate(rates)
    ]
    histories = pynn.fit_many(runs, X, target, loss="mse", budget=pynn.Halving("loss", factor=2, first=2))
    assert histories[2].status == "diverged"
    assert [history.status for history in histories[:2]].count("finished") == 1
    assert histories[3].status == "finished"
    assert sorted(len(history.epoch) for history in histories[:2]) in ([2, 8], [4, 8])
    assert all(len(history.epoch) >= 2 for history in histories[4:])


def test_halving_rungs_ranking_and_errors():
    budget = pynn.Halving("val_accuracy", factor=2, first=3)
    assert budget.rungs(24) == [3, 6, 12]
    assert budget.best([0.1, np.nan, 0.5, 0.5, 0.4], True) == [2, 3, 4]
    assert budget.best([0.1, np.nan, 0.5, 0.5], False) == [0, 2]
    assert repr(budget) == "Halving('val_accuracy', factor=2, first=3, mode='auto')"
    for options in ({"factor": 1}, {"first": 0}, {"mode": "best"}):
        with pytest.raises(ValueError, match=f"{next(iter(options))}: expected"):
            pynn.Halving(**options)
    with pytest.raises(TypeError, match="metric: expected"):
        pynn.Halving(3)
    X, y = _data()
    with pytest.raises(ValueError, match=r"runs\[0\]: budget: 'val_loss' is not reported; set validation_rows of the run"):
        pynn.fit_many([pynn.Run(_mlp(0))], X, y, loss="cross_entropy", budget=pynn.Halving())
    with pytest.raises(TypeError, match=r"budget: expected a pynn\.Halving"):
        pynn.fit_many([pynn.Run(_mlp(0))], X, y, loss="cross_entropy", budget=3)


# ---- interrupts, memory, progress --------------------------------------------------------------------------------------
def _run_script(text):
    done = run_python(text, timeout=60)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("callbacks", ["None", "[pynn.callbacks.EarlyStopping('loss', patience=10**9)]", "[Ends(), lambda epoch, logs: 0]"])
def test_an_interrupt_keeps_what_is_finished(n_jobs, callbacks):
    done = _run_script(
        f"""
        import os, signal, threading, time
        import numpy as np, pynn

        X = np.random.default_rng(0).standard_normal((3000, 64)).astype(np.float32)
        y = (X[:, 0] > 0).astype(int)
        def net(k):
            return pynn.Sequential(pynn.Linear(64, 256, seed=k), "tanh", pynn.Linear(256, 2, seed=k))
        ended = []
        class Ends(pynn.callbacks.Callback):
            def on_train_end(self, logs):
                ended.append(threading.get_ident() == threading.main_thread().ident)
        runs = [pynn.Run(net(0), epochs=10**6, seed=0, callbacks={callbacks})]
        runs += [pynn.Run(net(k), epochs=2, seed=k, rows=np.arange(200)) for k in (1, 2)]
        before = runs[0].model[0].weight.copy()

        def interrupt():
            first, *others = (run.model for run in runs)
            while first.history is None or not first.history.epoch:
                time.sleep(0.01)
            while {n_jobs} == 2 and not all(net.history and net.history.status == "finished" for net in others):
                time.sleep(0.01)
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=interrupt).start()
        try:
            pynn.fit_many(runs, X, y, loss="cross_entropy", n_jobs={n_jobs})
        except KeyboardInterrupt as stop:
            note, = stop.__notes__
        else:
            raise SystemExit("not interrupted")
        statuses = [None if run.history is None else run.history.status for run in runs]
        assert statuses == ["interrupted", *(["finished"] * 2 if {n_jobs} == 2 else [None] * 2)], statuses
        counts = "2 had ended, 1 stopped under way" if {n_jobs} == 2 else "0 had ended, 1 stopped under way"
        assert note.startswith("fit_many was interrupted: of 3 runs " + counts), note
        assert runs[0].history.epoch and runs[0].history is runs[0].model.history
        assert not (runs[0].model[0].weight == before).all()
        assert np.isfinite(runs[0].model[0].weight).all()
        assert all(ended) and len(ended) == {int('Ends' in callbacks)}, ended
        assert [t.name for t in threading.enumerate() if t.name.startswith("pynn-")] == []
        for run in runs:
            run.model.fit(X, y, loss="cross_entropy", seed=0)
            run.model(X[:2])
        pynn.fit_many(runs[1:], X, y, loss="cross_entropy")
        """
    )
    assert done.stderr == ""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_interrupt_does_not_wait_for_the_epoch(n_jobs):
    _run_script(
        f"""
        import os, signal, threading, time
        import numpy as np, pynn

        X = np.random.default_rng(0).standard_normal((2000, 64)).astype(np.float32)
        y = (X[:, 0] > 0).astype(int)
        rows = np.resize(np.arange(2000), 4_000_000)
        nets = [pynn.Sequential(pynn.Linear(64, 512, seed=k), "tanh", pynn.Linear(512, 2, seed=k)) for k in range(2)]
        before = [net[0].weight.copy() for net in nets]
        runs = [pynn.Run(net, seed=0, rows=rows) for net in nets]

        def interrupt():
            while any((net[0].weight == old).all() for net, old in zip(nets[:{n_jobs}], before)):
                time.sleep(0.01)
            at.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)
        at = []
        threading.Thread(target=interrupt).start()
        try:
            pynn.fit_many(runs, X, y, loss="cross_entropy", n_jobs={n_jobs})
        except KeyboardInterrupt:
            assert time.perf_counter() - at[0] < 10
        else:
            raise SystemExit("not interrupted")
        assert [run.history and run.history.status for run in runs] == ["interrupted", "interrupted" if {n_jobs} == 2 else None]
        assert not runs[0].history.epoch
        """
    )


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs the peak of resident memory")
def test_memory_does_not_grow_with_the_runs():
    _run_script(
        """
        import numpy as np, pynn

        def peak():
            return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024

        X = np.random.default_rng(0).standard_normal((40_000, 200))
        y = X[:, 0] + X[:, 1]
        folds = [np.flatnonzero(np.arange(len(X)) % 4 != k) for k in range(4)]
        held = [np.flatnonzero(np.arange(len(X)) % 4 == k) for k in range(4)]
        def runs(n):
            nets = [pynn.Sequential(pynn.Linear(200, 4, seed=k), "relu", pynn.Linear(4, 1, seed=k)) for k in range(n)]
            return [pynn.Run(net, seed=0, rows=folds[k % 4], validation_rows=held[k % 4], batch_size=128) for k, net in enumerate(nets)]
        small, large = runs(2), runs(40)
        warm = runs(2)
        for run in warm:
            run.rows = run.validation_rows = range(100)
        pynn.fit_many(warm, X[:100], y[:100], loss="mse", n_jobs=2)
        start = peak()
        pynn.fit_many(small, X, y, loss="mse", n_jobs=2)
        first = peak()
        pynn.fit_many(large, X, y, loss="mse", n_jobs=2)
        assert first - start < X.nbytes / 2**20 / 4, (start, first)
        assert peak() - first < X.nbytes / 2**20 / 8, (first, peak())
        """
    )


def test_a_run_has_one_thread_while_others_train(monkeypatch):
    X, y = _data()
    calls, work = [], _core.work
    monkeypatch.setattr(_core, "work", lambda alone, flag: calls.append(bool(alone)) or work(alone, flag))
    pynn.fit_many([pynn.Run(_mlp(k), epochs=300) for k in range(2)], X, y, loss="cross_entropy", n_jobs=2)
    assert any(calls)
    calls.clear()
    pynn.fit_many([pynn.Run(_mlp(k), epochs=9) for k in range(2)], X, y, loss="cross_entropy", n_jobs=1)
    assert calls
    assert not any(calls)


def test_progress_is_one_line_for_all_runs(capsys):
    X, y = _data()
    runs = [pynn.Run(_mlp(k), epochs=2, name=f"net {k}") for k in range(3)]
    pynn.fit_many(runs, X, y, loss="cross_entropy", verbose=2, n_jobs=2)
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.partition(" loss ")[0].strip() for line in lines) == [
        f"runs[{k}] (net {k}) finished after 2 epochs" for k in range(3)
    ]
    pynn.fit_many([pynn.Run(_mlp(0))], X, y, loss="cross_entropy")
    assert capsys.readouterr().err == ""


def test_progress_counts_the_epochs_of_all_runs(monkeypatch):
    X, y = _data()
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    budget = pynn.Halving("loss", factor=2, first=1)
    pynn.fit_many([pynn.Run(_mlp(k), epochs=4) for k in range(4)], X, y, loss="cross_entropy", budget=budget)
    assert terminal.getvalue().rstrip().endswith("epoch 16/16  4/4 runs")


def test_warnings_come_once_and_at_the_call():
    X, y = _data()
    frozen = _mlp(0)
    frozen.freeze()
    with pytest.warns(UserWarning, match="is frozen") as caught:
        pynn.fit_many([pynn.Run(frozen), pynn.Run(_mlp(1))], X, y, loss="cross_entropy", n_jobs=2)
    assert [one.filename for one in caught] == [__file__]


# ---- executors ---------------------------------------------------------------------------------------------------------
class _Counts(pynn.callbacks.Callback):
    """A callback whose state comes back from another process."""

    def __init__(self):
        self.epochs = 0

    def on_epoch_end(self, epoch, logs):
        self.epochs += 1


def _failing(epoch, logs):
    raise LookupError("no more")


def check_executor(executor, n_jobs=None):
    """Check that runs of an executor match those of this process; tests/external/test_dask.py uses it too."""
    X, y = _data(120)
    rng = np.random.default_rng(3)
    splits = [np.split(rng.permutation(120), [80]) for k in range(5)]
    makers = [_mlp, _dropout, _images, _residual, _mlp]

    def runs():
        rates = (pynn.optim.Adam(lr=1e-2), "sgd", pynn.optim.SGD(lr=0.05, momentum=0.9), "lbfgs", pynn.optim.SGD(lr=1e18))
        callbacks = [_Counts(), pynn.callbacks.EarlyStopping(patience=1)], None, pynn.callbacks.ReduceLROnPlateau(patience=1), None, None
        return [
            pynn.Run(
                makers[k](k),
                optimizer=rates[k],
                epochs=6,
                seed=k,
                rows=splits[k][0],
                validation_rows=splits[k][1],
                callbacks=callbacks[k],
                loss="mse" if k == 4 else None,
            )
            for k in range(5)
        ]

    target = np.eye(3, dtype=np.float32)[y]
    here, there = runs(), runs()
    pynn.fit_many(here, X, target, loss="cross_entropy", n_jobs=1)
    histories = pynn.fit_many(there, X, target, loss="cross_entropy", executor=executor, n_jobs=n_jobs)
    assert [history.status for history in histories] == [run.history.status for run in here]
    assert histories[4].status == "diverged"
    for k, (run, other) in enumerate(zip(there, here, strict=True)):
        assert histories[k] is run.history is run.model.history
        _same(run.model, run.history, other.model, other.history)
        assert str(run.model.health()) == str(other.model.health())
        if k < 3:  # later training has the same bits too
            for one in (run, other):
                one.model.partial_fit(X, target, seed=9)
            _same(run.model, run.history, other.model, other.history)
    assert there[0].callbacks[0].epochs == here[0].callbacks[0].epochs > 0
    assert there[0].callbacks[1].best_epoch == here[0].callbacks[1].best_epoch
    assert there[0].model.optimizer is there[0].optimizer
    assert there[2].optimizer.param_groups[0]["lr"] == here[2].optimizer.param_groups[0]["lr"]
    failing = [pynn.Run(_mlp(0), callbacks=_failing), pynn.Run(_mlp(1), epochs=2)]
    with pytest.raises(LookupError, match="no more") as caught:
        pynn.fit_many(failing, X, y, loss="cross_entropy", executor=executor, n_jobs=n_jobs)
    assert caught.value.__notes__[-1].startswith("in runs[0], in epoch 1; the other runs have ended")
    assert [run.history.status for run in failing] == ["failed", "finished"]


class _Noted(pynn.callbacks.Callback):
    """A callback that counts its events, which a pause must not change."""

    def __init__(self):
        self.events = []

    def on_train_begin(self, logs):
        self.events.append("begin")

    def on_epoch_end(self, epoch, logs):
        self.events.append((epoch, logs["loss"]))

    def on_train_end(self, logs):
        self.events.append(("end", logs["loss"]))


def check_budget(executor, folder, n_jobs=None):
    """Check that runs of an executor pause and continue like those of this process; tests/external/test_dask.py uses it too."""
    X, y = _data(120)
    target = np.eye(3, dtype=np.float32)[y]
    makers = [_mlp, _dropout, _images, _residual, _mlp, _dropout, _mlp, _mlp, _mlp]

    def runs(where):
        rates = [pynn.optim.Adam(lr=1e-2), "sgd", pynn.optim.SGD(lr=0.05, momentum=0.9), pynn.optim.RAdam(lr=1e-2), "adam"]
        rates += [pynn.optim.Adam(lr=1e-2, schedule=pynn.optim.lr_scheduler.StepLR(step_size=2, gamma=0.5)), "lbfgs"]
        rates += [pynn.optim.SGD(lr=1e18), pynn.optim.Adam(lr=3e-3)]
        callbacks = [
            [_Noted(), pynn.callbacks.ReduceLROnPlateau(patience=1), pynn.callbacks.CSVLogger(folder / f"{where}{k}.csv")]
            if k % 2 == 0
            else None
            for k in range(9)
        ]
        callbacks[8].append(pynn.callbacks.EarlyStopping("loss", mode="max", patience=1))
        return [
            pynn.Run(
                makers[k](k),
                optimizer=rates[k],
                epochs=9 if k != 3 else 4,
                seed=k,
                rows=np.arange(20, 120),
                validation_rows=np.arange(20),
                callbacks=callbacks[k],
                loss="mse" if k == 7 else None,
                group="few" if k in (0, 1) else None,
            )
            for k in range(9)
        ]

    here, there = runs("here"), runs("there")
    budget = pynn.Halving("val_loss", factor=2, first=2)
    pynn.fit_many(here, X, target, loss="cross_entropy", n_jobs=1, budget=budget)
    histories = pynn.fit_many(there, X, target, loss="cross_entropy", executor=executor, n_jobs=n_jobs, budget=budget)
    statuses = [run.history.status for run in here]
    assert [history.status for history in histories] == statuses
    assert {"pruned", "finished", "diverged", "stopped"} == {*statuses}
    for k, (run, other) in enumerate(zip(there, here, strict=True)):
        assert histories[k] is run.history is run.model.history
        _same(run.model, run.history, other.model, other.history)
        assert [row.layer for row in run.model.health().rows] == [row.layer for row in other.model.health().rows]
        if run.callbacks:
            assert run.callbacks[0].events == other.callbacks[0].events
            assert run.callbacks[0].events[-1][0] == "end"
            logged = [[line.split(",")[:3] for line in (folder / f"{w}{k}.csv").read_text().splitlines()] for w in ("here", "there")]
            assert logged[0] == logged[1]
        if statuses[k] not in ("diverged", "stopped") and k != 6:  # later training has the same bits too
            for one in (run, other):
                one.model.partial_fit(X, target, seed=9)
            _same(run.model, run.history, other.model, other.history)


def test_runs_pause_in_a_pool_of_threads(tmp_path):
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        check_budget(executor, tmp_path)


def test_runs_pause_in_other_processes(tmp_path):
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("forkserver")) as executor:
        check_budget(executor, tmp_path)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_runs_pause_on_a_backend_of_joblib(backend, tmp_path):
    pytest.importorskip("joblib")
    check_budget(backend, tmp_path, n_jobs=2)


def test_an_interrupt_between_pauses_keeps_what_was_trained(monkeypatch):
    X, y = _data(120)
    rounds, once = [], remote._run_once

    def interrupted(*args):
        rounds.append(args)
        if len(rounds) == 2:
            raise KeyboardInterrupt
        once(*args)

    monkeypatch.setattr(remote, "_run_once", interrupted)
    runs = [pynn.Run(_mlp(k), epochs=9, seed=k) for k in range(4)]
    budget = pynn.Halving("loss", factor=2, first=2)
    with concurrent.futures.ThreadPoolExecutor(2) as executor, pytest.raises(KeyboardInterrupt):
        pynn.fit_many(runs, X, y, loss="cross_entropy", executor=executor, budget=budget)
    assert sorted(run.history.status for run in runs) == ["interrupted"] * 2 + ["pruned"] * 2
    assert all(len(run.history.epoch) == 2 for run in runs)


def test_runs_in_a_pool_of_threads():
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        check_executor(executor)


def test_runs_in_other_processes():
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("forkserver")) as executor:
        check_executor(executor)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_runs_on_a_backend_of_joblib(backend):
    joblib = pytest.importorskip("joblib")
    check_executor(backend, n_jobs=2)
    check_executor(joblib.Parallel(n_jobs=2, backend=backend))


def test_invalid_executors_are_rejected():
    X, y = _data()
    with pytest.raises(TypeError, match=r"executor: expected the name of a joblib backend, .*, got 3"):
        pynn.fit_many([pynn.Run(_mlp(0))], X, y, loss="cross_entropy", executor=3)
    with concurrent.futures.ThreadPoolExecutor(1) as executor, pytest.raises(ValueError, match="n_jobs: the executor determines"):
        pynn.fit_many([pynn.Run(_mlp(0))], X, y, loss="cross_entropy", executor=executor, n_jobs=2)


# ---- predictions of many -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("n_jobs", [1, 2, 5, None])
def test_predictions_of_many_models_are_those_of_each(n_jobs):
    X, _ = _data(1000)
    models = [NETS[name](k) for k, name in enumerate(NETS)]
    models.append(models[0])
    found = pynn.predict_many(models, X, n_jobs=n_jobs, batch_size=64)
    assert all((out == model.predict(X, batch_size=64)).all() for out, model in zip(found, models, strict=True))
    assert models[4][1].threads == {threading.get_ident()}
    assert pynn.predict_many([], X) == []


def test_predictions_of_many_models_that_fail_name_the_model():
    X, _ = _data()
    models = [_mlp(0), _mlp(1), pynn.Sequential(pynn.Linear(5, 3))]
    for n_jobs in (1, 2):
        with pytest.raises(ValueError, match="6") as caught:
            pynn.predict_many(models, X, n_jobs=n_jobs)
        assert caught.value.__notes__ == ["in models[2]"]
    with pytest.raises(TypeError, match=r"models\[1\]: expected a Sequential or a Model"):
        pynn.predict_many([models[0], "net"], X)
    with pytest.raises(TypeError, match="models: expected an iterable of models, got Sequential"):
        pynn.predict_many(models[0], X)
    with pytest.raises(TypeError, match="X: expected arrays"):
        pynn.predict_many(models, iter([X]))
    with pytest.raises(ValueError, match="n_jobs: expected"):
        pynn.predict_many(models, X, n_jobs=0)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_predictions_of_many_models_can_be_interrupted(n_jobs):
    _run_script(
        f"""
        import os, signal, threading, time
        import numpy as np, pynn
        X = np.zeros((400_000, 256), np.float32)
        models = [pynn.Sequential(pynn.Linear(256, 256, seed=k), "tanh", pynn.Linear(256, 1)) for k in range(200)]
        pynn.predict_many(models, X[:1])
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        start = time.perf_counter()
        try:
            pynn.predict_many(models, X, n_jobs={n_jobs})
        except KeyboardInterrupt:
            pass
        else:
            raise SystemExit("not interrupted")
        assert [t.name for t in threading.enumerate() if t.name.startswith("pynn-")] == []
        assert pynn.predict_many(models[:2], X[:3])[0].shape == (3, 1)
        """
    )


def test_an_ensemble_predicts_mean_and_spread():
    X, y = _data(120)
    nets = [_mlp(k) for k in range(4)]
    pynn.fit_many([pynn.Run(net, optimizer=pynn.optim.Adam(lr=0.02), epochs=20, seed=0) for net in nets], X, y, loss="cross_entropy")
    ensemble = pynn.Ensemble(nets)
    each = np.stack([net.predict(X).astype(float) for net in nets])
    mean, std = ensemble.predict(X, return_std=True)
    assert mean.dtype == std.dtype == np.float32
    np.testing.assert_allclose(mean, each.mean(0), rtol=2e-7)
    np.testing.assert_allclose(std, each.std(0), rtol=2e-6)
    assert (ensemble.predict(X, n_jobs=2) == mean).all()
    chances = np.stack([net.predict_proba(X).astype(float) for net in nets])
    found, spread = ensemble.predict_proba(X, return_std=True)
    np.testing.assert_allclose(found, chances.mean(0), rtol=2e-7)
    np.testing.assert_allclose(spread, chances.std(0), rtol=2e-6, atol=1e-7)
    classes = ensemble.predict_class(X)
    assert (classes == chances.mean(0).argmax(1)).all()
    assert (classes == y).mean() > 0.6
    assert len(ensemble) == 4
    assert ensemble[1] is nets[1]
    copy = pickle.loads(pickle.dumps(ensemble))
    assert (copy.predict(X) == mean).all()
    alone = pynn.Ensemble(nets[:1]).predict(X, return_std=True)
    assert (alone[0] == nets[0].predict(X)).all()
    assert not alone[1].any()


def test_an_ensemble_of_several_outputs_and_labels():
    X, y = _data(120)

    def net(seed):
        x = pynn.Input((6,))
        h = pynn.Linear(6, 5, seed=seed)(x)
        return pynn.Model(x, {"class": pynn.Linear(5, 3, seed=seed)(h), "size": pynn.Linear(5, 1, seed=seed)(h)})

    nets = [net(k) for k in range(3)]
    targets = {"class": y, "size": X[:, :1]}
    pynn.fit_many([pynn.Run(one, seed=0) for one in nets], X, targets, loss={"class": "cross_entropy", "size": "mse"})
    mean, std = pynn.Ensemble(nets).predict(X, return_std=True)
    each = [one.predict(X) for one in nets]
    for name, values in mean.items():
        np.testing.assert_allclose(values, np.mean([out[name] for out in each], 0), rtol=1e-5)
        np.testing.assert_allclose(std[name], np.std([out[name] for out in each], 0), rtol=1e-4, atol=1e-6)
    classes = pynn.Ensemble(nets).predict_class(X)
    expected = np.mean([one.predict_proba(X)["class"] for one in nets], 0).argmax(1)
    assert [*classes] == ["class"]
    assert (classes["class"] == expected).all()
    labels = np.stack([X[:, 0] > 0, X[:, 1] > 0], 1).astype(int)
    many = [pynn.Sequential(pynn.Linear(6, 2, seed=k)) for k in range(3)]
    pynn.fit_many([pynn.Run(one, epochs=9, seed=0) for one in many], X, labels, loss="bce_with_logits")
    assert (pynn.Ensemble(many).predict_class(X) == (pynn.Ensemble(many).predict_proba(X) > 0.5)).all()
    with pytest.raises(ValueError, match="models: expected at least one"):
        pynn.Ensemble([])
    with pytest.raises(ValueError, match=r"models\[1\]: its output has shape \(120, 2\), but that of models\[0\] has shape \(120, 3\)"):
        pynn.Ensemble([_mlp(0), many[0]]).predict(X)


def test_an_ensemble_in_a_file(tmp_path):
    X, y = _data()
    nets = [_mlp(0), _dropout(1), _residual(2)]
    pynn.fit_many([pynn.Run(net, seed=0, batch_size=30) for net in nets], X, y, loss="cross_entropy")
    path = tmp_path / "nets.safetensors"
    ensemble = pynn.Ensemble(nets)
    ensemble.save(path)
    with pytest.raises(ValueError, match=r"holds an ensemble; pynn\.Ensemble\.load reads it"):
        pynn.load(path)
    again = pynn.Ensemble.load(path)
    assert (again.predict(X) == ensemble.predict(X)).all()
    assert (again.predict_class(X) == ensemble.predict_class(X)).all()
    arrays, metadata = pynn.io.load_file(path)
    damaged = {
        "declare '4' models, but describe 3": (arrays, metadata | {"pynn.ensemble": "4"}),
        "declare '3' models, but describe 2": (arrays, {key: text for key, text in metadata.items() if key != "pynn.member.1"}),
        "the array '3/0.weight' does not belong to any of its 3 models": (arrays | {"3/0.weight": X}, metadata),
        r"models\[1\]: cannot build a model": ({name: a for name, a in arrays.items() if name != "1/0.weight"}, metadata),
        "declare '0' models, but describe 0": ({}, {"pynn.ensemble": "0"}),
        "is not a file of an ensemble": ({}, {}),
    }
    for message, content in damaged.items():
        pynn.io.save_file(content[0], path, content[1])
        with pytest.raises(ValueError, match=message):
            pynn.Ensemble.load(path)
