"""Every intermediate array of a training step, and its gradient, against PyTorch's autograd."""

import numpy as np
import pytest

import pynn

torch = pytest.importorskip("torch")
F = torch.nn.functional
RNG = np.random.default_rng(0)
F64 = {"dtype": "float64"}


def weights(step, layer):
    """Return a layer's parameters as leaves of autograd."""
    return [torch.tensor(p.value, requires_grad=True) for p in step[layer].parameters.values() if not p.is_state]


def check(step, layer, y, parameters=()):
    """Compare a layer's output with a tensor that has been through backward, and its parameters' gradients."""
    record = step[layer]
    assert np.allclose(record.value, y.detach(), rtol=1e-12, atol=1e-14), layer
    assert np.allclose(record.gradient, y.grad, rtol=1e-10, atol=1e-14), layer
    learnt = [p for p in record.parameters.values() if not p.is_state]
    for p, t in zip(learnt, parameters, strict=True):
        assert np.allclose(p.gradient, t.grad, rtol=1e-10, atol=1e-14), (layer, p.name)


def retained(*tensors):
    for t in tensors:
        t.retain_grad()


@pytest.mark.parametrize("rows", [1, 5])
def test_an_mlp(rows):
    net = pynn.Sequential(
        *(pynn.Linear(3, 4, seed=0, **F64), "gelu", pynn.LayerNorm(4, **F64), pynn.Linear(4, 4, seed=1, **F64), "tanh"),
        pynn.Linear(4, 3, seed=2, **F64),
    )
    data, labels = RNG.normal(size=(rows, 3)), RNG.integers(0, 3, rows)
    step = net.explain_step(data, labels, "cross_entropy")
    x = torch.tensor(data, requires_grad=True)
    p0, p2, p3, p5 = (weights(step, layer) for layer in "0235")
    h0 = F.linear(x, *p0)
    h1 = F.gelu(h0)
    h2 = F.layer_norm(h1, (4,), *p2)
    h3 = F.linear(h2, *p3)
    h4 = torch.tanh(h3)
    h5 = F.linear(h4, *p5)
    retained(h0, h1, h2, h3, h4, h5)
    loss = F.cross_entropy(h5, torch.tensor(labels))
    loss.backward()
    assert step.loss == pytest.approx(loss.item(), rel=1e-12)
    assert np.allclose(step.nodes[0].gradient, x.grad)
    for layer, y, p in zip("012345", (h0, h1, h2, h3, h4, h5), (p0, [], p2, p3, [], p5), strict=True):
        check(step, layer, y, p)


@pytest.mark.parametrize("channels", [3, 16])
def test_a_cnn(channels):
    """With 16 channels, images stand with their channels last in the plan."""
    layers = pynn.Conv2d(2, channels, 3, padding=1, seed=0, **F64), pynn.BatchNorm2d(channels, **F64), "relu", pynn.MaxPool2d(2)
    more = pynn.Conv2d(channels, channels, 3, stride=2, seed=1, **F64), "silu", pynn.Flatten(), pynn.Linear(channels, 2, seed=2, **F64)
    net = pynn.Sequential(*layers, *more)
    data, target = RNG.normal(size=(4, 2, 8, 8)), RNG.normal(size=(4, 2))
    step = net.explain_step(data, target, "huber")
    x = torch.tensor(data, requires_grad=True)
    p0, p1, p4, p7 = (weights(step, layer) for layer in "0147")
    h0 = F.conv2d(x, *p0, padding=1)
    h1 = F.batch_norm(h0, None, None, *p1, training=True)
    h2 = F.relu(h1)
    h3 = F.max_pool2d(h2, 2)
    h4 = F.conv2d(h3, *p4, stride=2)
    h5 = F.silu(h4)
    h6 = h5.flatten(1)
    h7 = F.linear(h6, *p7)
    outputs = h0, h1, h2, h3, h4, h5, h6, h7
    retained(*outputs)
    F.huber_loss(h7, torch.tensor(target)).backward()
    assert np.allclose(step.nodes[0].gradient, x.grad)
    for layer, y, p in zip("01234567", outputs, (p0, p1, [], [], p4, [], [], p7), strict=True):
        check(step, layer, y, p)


def test_branches_with_a_shared_layer_and_two_losses():
    a, b = pynn.Input(3), pynn.Input(3)
    shared, head = pynn.Linear(3, 4, seed=0, **F64), pynn.Linear(8, 2, seed=1, **F64)
    left, right = shared(a), pynn.Sigmoid()(shared(b))
    joined = pynn.Concat()(left, right)
    gate = pynn.Add()(left, right)
    names = {"shared": shared, "head": head}
    net = pynn.Model([a, b], {"score": head(joined), "gate": gate}, layers=names)
    data = RNG.normal(size=(2, 5, 3))
    target = {"score": RNG.normal(size=(5, 2)), "gate": RNG.normal(size=(5, 4))}
    step = net.explain_step((data[0], data[1]), target, {"score": "mse", "gate": "l1"}, loss_weights={"score": 2.0, "gate": 0.5})
    x, z = (torch.tensor(one, requires_grad=True) for one in data)
    p, q = weights(step, "shared"), weights(step, "head")
    u, w = F.linear(x, *p), F.linear(z, *p)
    s = torch.sigmoid(w)
    c = torch.cat([u, s], 1)
    g, y = u + s, F.linear(c, *q)
    retained(u, w, s, c, g, y)
    (2 * F.mse_loss(y, torch.tensor(target["score"])) + 0.5 * F.l1_loss(g, torch.tensor(target["gate"]))).backward()
    check(step, "head", y, q)
    for tensor in (x, z, u, w, s, c, g):
        found = [r for r in step if r.value.shape == tensor.shape and np.allclose(r.value, tensor.detach(), atol=1e-12)]
        assert len(found) == 1
        assert np.allclose(found[0].gradient, tensor.grad)
    for parameter, tensor in zip(step["shared"].parameters.values(), p, strict=True):
        assert np.allclose(parameter.gradient, tensor.grad)
