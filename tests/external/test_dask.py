"""Many models trained on a Dask cluster, and on Dask's backend for joblib."""

import warnings

import joblib
import pytest
from sklearn.model_selection import cross_val_score
from test_many import check_budget, check_executor

import pynn
import pynn.lab
from pynn.sklearn import MLPClassifier

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def client():
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, distributed.Client(cluster) as client:
        yield client


def test_runs_on_a_cluster(client):
    assert len(client.scheduler_info()["workers"]) == 2
    check_executor(client)


def test_runs_pause_on_a_cluster(client, tmp_path):
    check_budget(client, tmp_path)


def test_runs_on_the_executor_of_a_client(client):
    check_executor(client.get_executor())


def test_runs_on_the_backend_of_joblib(client):
    with joblib.parallel_config(backend="dask"):
        check_executor(joblib.Parallel(n_jobs=2))


def test_a_comparison_on_a_cluster_has_the_same_report(client):
    X, y = pynn.datasets.load_digits()
    given = {"activations": ["relu", pynn.SwiGLU], "hidden": (16,), "epochs": 3, "seeds": 2, "verbose": False}
    there = pynn.lab.compare(X, y, executor=client, **given)
    assert there.to_json(timings=False) == pynn.lab.compare(X, y, **given).to_json(timings=False)


def test_estimators_on_the_backend_of_joblib(client):
    X, y = pynn.datasets.load_digits()
    net = MLPClassifier((16,), max_iter=5, tol=0.0, n_iter_no_change=5, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        alone = cross_val_score(net, X[:600], y[:600], cv=3)
        with joblib.parallel_config(backend="dask"):
            assert cross_val_score(net, X[:600], y[:600], cv=3, n_jobs=2).tolist() == alone.tolist()
