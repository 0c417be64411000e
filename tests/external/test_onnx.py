"""ONNX as the oracle: its test cases of activations, and each row's ONNX expression run by its reference evaluator.

    pip install -r tests/external/requirements.txt && pytest tests/external
"""

import ast
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pynn
from pynn import _core
from pynn._tables import REQUIRED, parse_parameters

onnx = pytest.importorskip("onnx")
from onnx import helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

# The counterpart of each operator in pynn: inputs by position, attributes by name, with ONNX's defaults.
OPERATORS: dict[str, Callable[..., Any]] = {
    "Celu": lambda x, alpha: pynn.celu(x, alpha),
    "Clip": lambda x, low=None, high=None: pynn.hardtanh(x, -np.inf if low is None else low, np.inf if high is None else high),
    "Elu": lambda x, alpha: pynn.elu(x, alpha),
    "Gelu": lambda x, approximate: pynn.gelu(x, approximate.decode()),
    "HardSwish": lambda x: pynn.hardswish(x),
    "LeakyRelu": lambda x, alpha: pynn.leaky_relu(x, alpha),
    "LogSoftmax": lambda x, axis: pynn.log_softmax(x, axis),
    "Mish": lambda x: pynn.mish(x),
    "PRelu": lambda x, slope: pynn.prelu(x, slope),
    "Relu": lambda x: pynn.relu(x),
    "Selu": lambda x, alpha, gamma: pynn.selu(x) if np.isclose(alpha, 1.6732632) else gamma * pynn.elu(x, alpha),  # fixed in pynn
    "Sigmoid": lambda x: pynn.sigmoid(x),
    "Softmax": lambda x, axis: pynn.softmax(x, axis),
    "Softplus": lambda x: pynn.softplus(x),
    "Softsign": lambda x: pynn.softsign(x),
    "Tanh": lambda x: pynn.tanh(x),
}
# Counterparts that exist only if the table has the function or the parameter.
LATER: dict[str, tuple[str, str, Callable[..., Any]]] = {
    "Exp": ("exponential", "", lambda x: pynn.exponential(x)),
    "HardSigmoid": ("hardsigmoid", "alpha", lambda x, alpha, beta: pynn.hardsigmoid(x, alpha, beta)),
    "Hardmax": ("hardmax", "", lambda x, axis: pynn.hardmax(x, axis)),
    "Shrink": ("shrink", "", lambda x, bias, lambd: pynn.shrink(x, lambd, bias)),
    "Swish": ("swish", "beta", lambda x, alpha: pynn.swish(x, alpha)),
    "ThresholdedRelu": ("thresholded_relu", "", lambda x, alpha: pynn.thresholded_relu(x, alpha)),
}
PARAMETERS = {row["name"]: row.get("params", "") for row in (*_core.ACTIVATIONS, *_core.ROWWISE)}
OPERATORS |= {op: function for op, (name, parameter, function) in LATER.items() if parameter in PARAMETERS.get(name, ())}
X = np.concatenate([np.linspace(-9, 9, 577), np.random.default_rng(0).normal(size=447)]).astype(np.float32).reshape(64, 16)
ROWS = {row["name"]: row for row in (*_core.ACTIVATIONS, *_core.ROWWISE) if row["onnx"]}


def node_cases() -> dict[str, Any]:
    """Return ONNX's test cases that consist of a single node of an operator above."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # collecting the cases of other operators divides by zero
        from onnx.backend.test.case.node import collect_testcases

        cases = collect_testcases(None)
    return {case.name: case for case in cases if len(nodes := case.model.graph.node) == 1 and nodes[0].op_type in OPERATORS}


CASES = node_cases()


def attributes(node: Any, opset: int) -> dict[str, Any]:
    schema = onnx.defs.get_schema(node.op_type, opset, "")
    values = {name: helper.get_attribute_value(a.default_value) for name, a in schema.attributes.items()}
    return values | {a.name: helper.get_attribute_value(a) for a in node.attribute}


@pytest.mark.parametrize("name", CASES)
def test_onnx_cases(name: str) -> None:
    model = CASES[name].model
    node, given = model.graph.node[0], attributes(model.graph.node[0], model.opset_import[0].version)
    for inputs, (expected,) in CASES[name].data_sets:
        inputs = iter(inputs)
        arguments = [next(inputs) if text else None for text in node.input]

        def run(arguments: list[Any] = arguments) -> Any:
            return OPERATORS[node.op_type](*arguments, **given)

        if expected.dtype.name == "bfloat16":
            with pytest.raises(TypeError, match="not supported"):
                run()
        elif "min_greater_than_max" in name:
            with pytest.raises(ValueError, match="must satisfy"):
                run()
        else:
            near = 2e-3 if expected.dtype == np.float16 else 2e-6
            np.testing.assert_allclose(run(), expected, rtol=near, atol=near / 100)


def test_every_operator_has_a_case() -> None:
    assert {case.model.graph.node[0].op_type for case in CASES.values()} == set(OPERATORS)


def graph_of(expression: str, values: dict[str, float]) -> Any:
    """Build the model of an expression: calls become nodes, numbers and parameters become initializers or attributes."""
    nodes: list[Any] = []
    initializers: list[Any] = []
    names = values | dict(onnx.TensorProto.DataType.items())

    def build(tree: ast.expr) -> str:
        if isinstance(tree, ast.Name) and tree.id == "x":
            return "x"
        if isinstance(tree, ast.Call):
            assert isinstance(tree.func, ast.Name)
            operator, schema = tree.func.id, onnx.defs.get_schema(tree.func.id)
            order = [i.name for i in schema.inputs]
            named = {k.arg: k.value for k in tree.keywords}
            inputs = [build(a) for a in tree.args] + [build(named[n]) for n in order if n in named]
            given = {n: number(t) for n, t in named.items() if n not in order}
            given |= {n: float(v) for n, v in given.items() if schema.attributes[n].type == onnx.defs.OpSchema.AttrType.FLOAT}
            nodes.append(helper.make_node(operator, inputs, [f"t{len(nodes)}"], **given))
            return str(nodes[-1].output[0])
        name = f"c{len(initializers)}"
        initializers.append(numpy_helper.from_array(np.array(number(tree), np.float32), name))
        return name

    def number(tree: ast.expr) -> Any:
        return eval(compile(ast.Expression(tree), "<onnx>", "eval"), {}, names)

    build(ast.parse(expression, mode="eval").body)
    value = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, X.shape) for name in ("x", nodes[-1].output[0])]
    model = helper.make_model(helper.make_graph(nodes, "row", value[:1], value[1:], initializers))
    onnx.checker.check_model(model, full_check=True)
    return model


def settings(row: dict[str, Any]) -> list[dict[str, float]]:
    """Return the row's defaults and other values, so that an expression which omits a parameter fails."""
    parameters = parse_parameters(row.get("params", ""), row.get("check", ""))
    defaults = {n: 0.5 * i if v is REQUIRED else v for i, (n, v) in enumerate(parameters.defaults.items(), 1)}
    others = {n: v * 1.5 + 0.25 * i for i, (n, v) in enumerate(defaults.items(), 1)}
    parameters.verify(row["name"], others)
    return [defaults, others] if defaults else [{}]


@pytest.mark.parametrize("name", ROWS)
def test_onnx_expression_of_each_row(name: str) -> None:
    for values in settings(ROWS[name]):
        (expected,) = ReferenceEvaluator(graph_of(ROWS[name]["onnx"], values)).run(None, {"x": X})
        assert expected.dtype == np.float32
        np.testing.assert_allclose(getattr(pynn, name)(X, **values), expected, rtol=3e-6, atol=1e-6)
