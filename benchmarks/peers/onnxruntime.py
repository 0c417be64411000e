"""ONNX Runtime, which only predicts: the net as Gemm, Conv and MaxPool nodes, with a node for each activation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime
from harness import Run, repeat
from nets import ConvNet, Net
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

VERSION = onnxruntime.__version__
IMPORT, DISTRIBUTION = "import onnxruntime", "onnxruntime"
OPERATORS = {"tanh": "Tanh", "relu": "Relu", "gelu": "Gelu"}
_threads = 1


def set_threads(n: int) -> None:
    global _threads
    _threads = n


def predict(net: Net, rows: int) -> Mapping[str, Run]:
    nodes, tensors, last = [], [], "x"
    for i, (weight, bias) in enumerate(net.weights()):
        tensors += [numpy_helper.from_array(weight, f"w{i}"), numpy_helper.from_array(bias, f"b{i}")]
        nodes += [
            helper.make_node("Gemm", [last, f"w{i}", f"b{i}"], [f"z{i}"], transB=1),
            helper.make_node(OPERATORS[net.activation], [f"z{i}"], [f"h{i}"]),
        ]
        last = f"h{i}"
    nodes.pop()
    return {"": _run(nodes, tensors, net.inputs(rows))}


def conv_predict(net: ConvNet, rows: int) -> Mapping[str, Run]:
    r, nodes, tensors = np.random.default_rng(0), [], []
    for i, (name, *arguments) in enumerate(net.layers):
        operator, attributes, shapes = _node(name, arguments)
        arrays = [r.uniform(-0.1, 0.1, shape).astype(np.float32) for shape in shapes]
        tensors += [numpy_helper.from_array(a, f"p{i}{k}") for k, a in enumerate(arrays)]
        names = [f"p{i}{k}" for k in range(len(arrays))]
        nodes.append(helper.make_node(operator, [f"h{i}" if i else "x", *names], [f"h{i + 1}"], **attributes))
    return {"": _run(nodes, tensors, net.inputs(rows))}


def _node(name: str, arguments: list[int]) -> tuple[str, dict[str, Any], list[tuple[int, ...]]]:
    """Return the operator, the attributes and the shapes of the parameters of a layer of LeNet."""
    if name == "Conv2d":
        c, o, k, _, pad = (*arguments, 1, 0)[:5]
        return "Conv", {"pads": [pad] * 4}, [(o, c, k, k), (o,)]
    if name == "Linear":
        return "Gemm", {"transB": 1}, [(arguments[1], arguments[0]), (arguments[1],)]
    if name == "MaxPool2d":
        return "MaxPool", {"kernel_shape": arguments * 2, "strides": arguments * 2}, []
    return {"ReLU": "Relu", "Flatten": "Flatten"}[name], {}, []


def _run(nodes: list[NodeProto], tensors: list[TensorProto], x: NDArray[np.float32]) -> Run:
    """Return a run of these nodes, from x to the output of the last one."""
    output = nodes[-1].output[0]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in (("x", [None, *x.shape[1:]]), (output, None))]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = _threads, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return repeat(lambda: session.run(None, {"x": x}))
