"""`torch.nn.utils` as the oracle of `pynn.utils`: states load by name, and training computes the same values."""

import warnings
from typing import Any

import numpy as np
import pytest

import pynn

torch = pytest.importorskip("torch")
RNG = np.random.default_rng(0)
PAIRS: dict[str, tuple[Any, Any, tuple[int, ...]]] = {
    "linear": (lambda: torch.nn.Linear(3, 4), lambda: pynn.Linear(3, 4, dtype="float64"), (5, 3)),
    "conv": (lambda: torch.nn.Conv2d(2, 4, 3, bias=False), lambda: pynn.Conv2d(2, 4, 3, bias=False, dtype="float64"), (5, 2, 6, 6)),
    "transposed": (lambda: torch.nn.ConvTranspose1d(2, 4, 3), lambda: pynn.ConvTranspose1d(2, 4, 3, dtype="float64"), (5, 2, 6)),
}


@pytest.mark.parametrize("kind", ["weight_norm", "spectral_norm"])
@pytest.mark.parametrize("name", PAIRS)
def test_training_of_normalized_weights(name: str, kind: str) -> None:
    theirs_plain, ours_plain, shape = PAIRS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the functions with these names in the state are deprecated
        theirs = getattr(torch.nn.utils, kind)(theirs_plain().double())
    ours = getattr(pynn.utils, kind)(ours_plain())
    assert not any(ours.load_state_dict(theirs.state_dict()))
    optimizers = torch.optim.SGD(theirs.parameters(), lr=0.1), pynn.optim.SGD(ours.parameters(), lr=0.1)
    for _ in range(5):
        x = RNG.normal(size=shape)
        wanted = theirs(torch.from_numpy(x))
        got = ours(x)
        np.testing.assert_allclose(got, wanted.detach().numpy(), rtol=1e-9, atol=1e-10)
        gy = RNG.normal(size=got.shape)
        for optimizer in optimizers:
            optimizer.zero_grad()
        wanted.backward(torch.from_numpy(gy))
        ours.backward(gy)
        for optimizer in optimizers:
            optimizer.step()
    for key, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[key], value.numpy(), rtol=1e-8, atol=1e-10)
    x = RNG.normal(size=shape)
    plain = getattr(pynn.utils, f"remove_{kind}")(ours)
    np.testing.assert_allclose(plain(x), theirs.eval()(torch.from_numpy(x)).detach().numpy(), rtol=1e-9, atol=1e-10)


def test_vectors_of_parameters() -> None:
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    ours = pynn.Sequential(pynn.Linear(3, 4), "tanh", pynn.Linear(4, 2))
    pynn.utils.vector_to_parameters(torch.nn.utils.parameters_to_vector(theirs.parameters()).detach(), ours.parameters())
    x = RNG.normal(size=(5, 3)).astype("float32")
    np.testing.assert_allclose(ours(x), theirs(torch.from_numpy(x)).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_names_are_pytorchs() -> None:
    extra = {"fuse_conv_bn"}
    assert set(pynn.utils.__all__) - set(dir(torch.nn.utils)) - set(dir(torch.nn.utils.fusion)) == extra
