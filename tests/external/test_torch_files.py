"""Models and files between PyTorch and pynn: a net trained there is fine-tuned here, and files are read by either."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import io

torch = pytest.importorskip("torch")
torch_files = pytest.importorskip("safetensors.torch")


def digits(first: int) -> tuple[np.ndarray, np.ndarray]:
    X, y = pynn.datasets.load_digits()
    chosen = (y >= first) & (y < first + 5)
    return (X[chosen] / 16).astype("f4"), y[chosen] - first


def trained() -> Any:
    """A net that PyTorch has taught the digits 0 to 4."""
    X, y = map(torch.tensor, digits(0))
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 5))
    opt = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(150):
        opt.zero_grad()
        torch.nn.functional.cross_entropy(net(X), y).backward()
        opt.step()
    return net


def test_a_model_trained_in_pytorch_is_fine_tuned(tmp_path: Path) -> None:
    theirs, (X, y) = trained(), digits(0)
    ours = pynn.Sequential(pynn.Linear(64, 32), "relu", pynn.Linear(32, 5))
    ours.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        np.testing.assert_allclose(ours.predict(X), theirs(torch.tensor(X)).numpy(), rtol=1e-4, atol=1e-4)
    assert ours.evaluate(X, y, loss="cross_entropy")["accuracy"] > 0.98
    ours.freeze()
    ours[-1] = pynn.Linear(32, 5, seed=0)
    X, y = digits(5)
    start = ours.evaluate(X, y, loss="cross_entropy")["accuracy"]
    ours.fit(X, y, loss="cross_entropy", optimizer=pynn.optim.Adam(lr=0.01), epochs=20, seed=0)
    assert ours.evaluate(X, y)["accuracy"] > max(0.85, start)
    assert ours[0].weight.tobytes() == theirs[0].weight.detach().numpy().tobytes()
    theirs[-1] = torch.nn.Linear(32, 5)  # and back again, through a file
    ours.save(tmp_path / "m")
    theirs.load_state_dict(torch_files.load_file(tmp_path / "m"))
    with torch.no_grad():
        np.testing.assert_allclose(ours.predict(X), theirs(torch.tensor(X)).numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int64", "uint8", "bool", "complex64"])
def test_their_files_are_read(tmp_path: Path, dtype: str) -> None:
    a = torch.tensor([[0, 1, 5.5], [-3, 2, 0]]).abs().to(getattr(torch, dtype))
    torch_files.save_file({"a": a}, tmp_path / "x")
    for mmap in (False, True):
        found = io.load_file(tmp_path / "x", mmap=mmap)[0]["a"]
        np.testing.assert_array_equal(found, (a.float() if dtype == "bfloat16" else a).numpy(), strict=True)
