"""ONNX Runtime, which predicts: the net as Gemm nodes with the activation's own node between them."""

from __future__ import annotations

from collections.abc import Mapping

import onnxruntime
from harness import Run, repeat
from nets import Net
from onnx import TensorProto, helper, numpy_helper

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
    output = nodes[-1].output[0]
    ends = (("x", net.widths[0]), (output, net.widths[-1]))
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width]) for name, width in ends]
    graph = helper.make_graph(nodes, "net", values[:1], values[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = _threads, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {"x": net.inputs(rows)}
    return {"": repeat(lambda: session.run(None, feed))}
