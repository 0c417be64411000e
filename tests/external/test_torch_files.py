"""Exchange with PyTorch: a net trained in PyTorch is fine-tuned here, and each library reads the other's files."""

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
    """Return a net that PyTorch has trained on the digits 0 to 4."""
    X, y = map(torch.tensor, digits(0))
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 5))
    opt = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(150):
        opt.zero_grad()
        torch.nn.functional.cross_entropy(net(X), y).backward()
        opt.step()
    return net


def test_model_trained_in_pytorch_is_fine_tuned(tmp_path: Path) -> None:
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
    theirs[-1] = torch.nn.Linear(32, 5)  # and back, through a file
    ours.save(tmp_path / "m")
    theirs.load_state_dict(torch_files.load_file(tmp_path / "m"))
    with torch.no_grad():
        np.testing.assert_allclose(ours.predict(X), theirs(torch.tensor(X)).numpy(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int64", "uint8", "bool", "complex64"])
def test_files_are_read(tmp_path: Path, dtype: str) -> None:
    a = torch.tensor([[0, 1, 5.5], [-3, 2, 0]]).abs().to(getattr(torch, dtype))
    torch_files.save_file({"a": a}, tmp_path / "x")
    for mmap in (False, True):
        found = io.load_file(tmp_path / "x", mmap=mmap)[0]["a"]
        np.testing.assert_array_equal(found, (a.float() if dtype == "bfloat16" else a).numpy(), strict=True)


class Heads(torch.nn.Module):
    """A typical module with two inputs and two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = torch.nn.Linear(4, 5), torch.nn.Linear(3, 5)
        self.norm = torch.nn.BatchNorm1d(10)
        self.heads = torch.nn.ModuleList([torch.nn.Linear(10, 3), torch.nn.Linear(10, 3)])

    def forward(self, x: Any, y: Any) -> Any:
        both = self.norm(torch.cat([torch.relu(self.left(x)), torch.relu(self.right(y))], 1))
        return tuple(head(both) for head in self.heads)


def heads() -> pynn.Model:
    x, y = pynn.Input(4), pynn.Input(3)
    left, right = pynn.Linear(4, 5)(x), pynn.Linear(3, 5)(y)
    norm = pynn.BatchNorm1d(10)(pynn.Concat()(pynn.ReLU()(left), pynn.ReLU()(right)))
    outputs = [pynn.Linear(10, 3)(norm), pynn.Linear(10, 3)(norm)]
    return pynn.Model([x, y], outputs, layers={"heads.1": outputs[1], "heads.0": outputs[0], "right": right, "left": left, "norm": norm})


def plain(net: Any) -> Any:
    return net.state_dict()


WAYS: dict[str, Any] = {
    "state": plain,
    "parallel": lambda net: torch.nn.DataParallel(net).state_dict(),
    "compiled": lambda net: torch.compile(net).state_dict(),
    "averaged": lambda net: torch.optim.swa_utils.AveragedModel(net).state_dict(),
    "checkpoint": lambda net: {"epoch": 1, "state_dict": net.state_dict(), "optimizer": torch.optim.Adam(net.parameters()).state_dict()},
    "parameters": lambda net: {**dict(net.named_parameters()), **dict(net.named_buffers())},
    "old": lambda net: {name: a for name, a in net.state_dict().items() if "num_batches" not in name},
}


@pytest.mark.parametrize("way", WAYS)
def test_several_inputs_and_outputs_load_by_name(tmp_path: Path, way: str) -> None:
    torch.manual_seed(0)
    theirs, ours = Heads(), heads()
    X = torch.randn(6, 4), torch.randn(6, 3)
    theirs(*X)
    theirs.eval()
    state = WAYS[way](theirs)
    if way not in ("checkpoint", "parameters"):
        torch_files.save_file({name: a.clone() for name, a in state.items()}, tmp_path / "m")
        ours.load_state_dict(io.load_file(tmp_path / "m")[0])
        again = heads()
        again.load_state_dict(state)
        assert all(np.array_equal(a, b) for a, b in zip(ours.state_dict().values(), again.state_dict().values(), strict=True))
    ours.load_state_dict(state)
    with torch.no_grad():
        for a, b in zip(ours.predict(tuple(x.numpy() for x in X)), theirs(*X), strict=True):
            np.testing.assert_allclose(a, b.numpy(), rtol=1e-5, atol=1e-6)
    theirs.load_state_dict({name: torch.tensor(a) for name, a in ours.state_dict().items()})  # and back


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64", "float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize("way", ["tensors", "file"])
def test_tensors_of_every_floating_point_type_load(tmp_path: Path, dtype: str, way: str) -> None:
    theirs = torch.nn.Linear(3, 2)
    state = {name: a.to(getattr(torch, dtype)) for name, a in theirs.state_dict().items()}
    ours = pynn.Linear(3, 2)
    if way == "file":
        torch_files.save_file(state, tmp_path / "m")
        ours.load_state_dict(io.load_file(tmp_path / "m")[0])
    else:
        ours.load_state_dict(state)
    for name, a in state.items():
        np.testing.assert_array_equal(ours.state_dict()[name], a.float().numpy())


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2"])
def test_all_8_bit_floats_match_pytorch(tmp_path: Path, dtype: str) -> None:
    a = torch.arange(256, dtype=torch.uint8).view(getattr(torch, dtype))
    torch_files.save_file({"a": a}, tmp_path / "m")
    np.testing.assert_array_equal(io.load_file(tmp_path / "m")[0]["a"], a.float().numpy(), strict=True)


def test_unreadable_tensors_raise() -> None:
    state = pynn.Linear(3, 2).state_dict()
    for invalid in (torch.eye(2, 3).to_sparse(), torch.zeros(2, 3, device="meta")):
        with pytest.raises(TypeError, match=r"weight: cannot read this tensor "):
            pynn.Linear(3, 2).load_state_dict({**state, "weight": invalid})


def test_files_of_torch_save_are_recognized(tmp_path: Path) -> None:
    for old in (False, True):
        torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "m", _use_new_zipfile_serialization=not old)
        with pytest.raises(ValueError, match=r"PyTorch file.*torch\.load\(path, weights_only=True\).*load_state_dict"):
            pynn.load(tmp_path / "m")
