"""Transfer learning: train a net on the digits 0 to 4, then fine-tune it on 5 to 9 with few samples.

The fine-tuning first trains a new output layer on frozen hidden layers, then all layers with a low learning rate.

    python examples/transfer_learning.py
"""

import tempfile
from pathlib import Path

import numpy as np

import pynn


def digits(first: int, last: int) -> tuple[np.ndarray, ...]:
    """Return the samples of a range of digits, split for training and testing, with classes from 0."""
    X, y = pynn.datasets.load_digits()
    chosen = (first <= y) & (y <= last)
    X_train, X_test, y_train, y_test = pynn.datasets.train_test_split(X[chosen] / 16, y[chosen] - first, test_size=0.3, seed=0)
    return X_train, X_test, y_train, y_test


def pretrain(path: Path) -> float:
    """Train on 0 to 4, write the model to a file, and return its accuracy."""
    X, X_test, y, y_test = digits(0, 4)
    model = pynn.Sequential(pynn.Linear(64, 64, seed=0), "relu", pynn.Linear(64, 32, seed=1), "relu", pynn.Linear(32, 5, seed=2))
    model.fit(X, y, loss="cross_entropy", optimizer=pynn.optim.Adam(lr=3e-3), epochs=30, seed=0)
    model.save(path)
    return model.evaluate(X_test, y_test)["accuracy"]


def fine_tune(path: Path, samples: int) -> dict[str, float]:
    """Train the model in a file on 5 to 9: first a new output layer, then all layers. Return the accuracies."""
    X, X_test, y, y_test = digits(5, 9)
    X, y = X[:samples], y[:samples]
    model = pynn.load(path)
    model.freeze()
    model[-1] = pynn.Linear(32, 5, seed=3)
    print(model.summary())
    model.fit(X, y, loss="cross_entropy", optimizer=pynn.optim.Adam(lr=1e-2), epochs=60, batch_size=16, seed=0)
    head = model.evaluate(X_test, y_test)["accuracy"]
    model.unfreeze()
    model.fit(X, y, loss="cross_entropy", optimizer=pynn.optim.Adam(lr=1e-3), epochs=40, batch_size=16, seed=1)
    return {"a new output layer": head, "all layers": model.evaluate(X_test, y_test)["accuracy"]}


def main() -> None:
    """Run both steps in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "digits-0-4.safetensors"
        print(f"0 to 4: accuracy {pretrain(path):.3f}")
        for name, accuracy in fine_tune(path, samples=100).items():
            print(f"5 to 9 after training {name} on 100 samples: accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
