"""The ONNX importer: each operator against ONNX Runtime, and every way in which a model is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from subbyte.bundled import digits_data, digits_model
from subbyte.compiler.describe import describe
from subbyte.compiler.graph import ModelError, run_float
from subbyte.compiler.onnx_import import import_onnx

Save = Callable[..., Path]
RNG = np.random.default_rng(7)


def values(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """save(nodes, constants, feed=(2, 8, 8), opset=18, batch='n', outputs=('out',)) -> path of the model."""

    def write(
        nodes: list[Any], constants: dict[str, np.ndarray], feed: tuple[Any, ...] = (2, 8, 8), opset: int = 18,
        batch: Any = "n", outputs: tuple[str, ...] = ("out",), inputs: tuple[str, ...] = ("in",),
    ) -> Path:
        graph = helper.make_graph(
            nodes, "test",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *feed]) for name in inputs],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            [numpy_helper.from_array(array, name) for name, array in constants.items()],
        )
        opsets = [helper.make_opsetid("", opset), helper.make_opsetid("custom", 1)]
        path = tmp_path / "model.onnx"
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
        return path

    return write


def node(op: str, *inputs: str, out: str = "out", name: str = "", domain: str = "", **attributes: Any) -> Any:
    return helper.make_node(op, inputs, [out], name=name or f"{op.lower()}_node", domain=domain, **attributes)


def expect_equal(path: Path, x: np.ndarray) -> None:
    """Float graph and ONNX Runtime agree on x (n, *feed), sample by sample."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    expected = np.concatenate([session.run(None, {name: sample[None]})[0] for sample in x])
    graph = import_onnx(path)
    out = np.moveaxis(run_float(graph, graph.to_internal(x.astype(np.float64))), 3, 1)
    np.testing.assert_allclose(out.reshape(expected.shape), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


CONV = {"w": values(3, 2, 3, 3), "b": values(3)}


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"pads": [1, 1, 1, 1]},
        {"pads": [0, 2, 1, 0], "strides": [2, 1]},
        {"auto_pad": "VALID", "strides": [3, 2]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 3]},
        {"auto_pad": "SAME_LOWER", "strides": [2, 1]},
    ],
)
@pytest.mark.parametrize("kernel", [(3, 3), (2, 4), (1, 1)])
def test_conv(save: Save, attributes: dict[str, Any], kernel: tuple[int, int]) -> None:
    weight = {"w": values(3, 2, *kernel), "b": values(3)}
    expect_equal(save([node("Conv", "in", "w", "b", **attributes)], weight), values(3, 2, 8, 8))


@pytest.mark.parametrize(
    "attributes",
    [
        {"kernel_shape": [2, 2], "strides": [2, 2]},
        {"kernel_shape": [3, 2], "strides": [2, 3], "pads": [1, 0, 2, 1]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
        {"kernel_shape": [2, 2], "strides": [3, 3], "pads": [1, 1, 0, 0], "ceil_mode": 1},
    ],
)
def test_maxpool(save: Save, attributes: dict[str, Any]) -> None:
    nodes = [node("Conv", "in", "w", "b", out="c"), node("MaxPool", "c", **attributes)]
    expect_equal(save(nodes, CONV), values(3, 2, 8, 8))


@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("bias", [(), (5,), (1, 5), (1,)])
def test_gemm_behind_flatten_reads_channels_first(save: Save, trans_b: int, bias: tuple[int, ...]) -> None:
    weight = values(128, 5) if not trans_b else values(5, 128)
    inputs = ("f", "w", "b") if bias else ("f", "w")
    nodes = [node("Flatten", "in", out="f"), node("Gemm", *inputs, transB=trans_b, alpha=0.5, beta=2.0)]
    expect_equal(save(nodes, {"w": weight, "b": values(*bias)}), values(3, 2, 8, 8))


@pytest.mark.parametrize("order", [("m", "b"), ("b", "m")])
def test_matmul_and_added_bias(save: Save, order: tuple[str, str]) -> None:
    nodes = [node("MatMul", "in", "w", out="m"), node("Add", *order)]
    expect_equal(save(nodes, {"w": values(6, 4), "b": values(4)}, feed=(6,)), values(3, 6))


@pytest.mark.parametrize("opset", [8, 13, 21])
def test_constants_are_folded_and_batch_one_is_any(save: Save, opset: int) -> None:
    """The shapes of mnist_cntk_conv: weights reshaped by a node, a bias of (channels, 1, 1), batch 1 in Reshape."""
    constants = {
        "w": CONV["w"], "b": values(3, 1, 1), "shape": np.array([1, 27]), "v": values(3, 9, 4),
        "vshape": np.array([27, 4]), "c": values(1, 4),
    }
    nodes = [
        node("Reshape", "v", "vshape", out="vv", name="fold"),
        node("Conv", "in", "w", out="1"), node("Add", "1", "b", out="2"), node("Relu", "2", out="3"),
        node("MaxPool", "3", out="4", kernel_shape=[2, 2], strides=[2, 2]), node("Reshape", "4", "shape", out="5"),
        node("MatMul", "5", "vv", out="6"), node("Add", "6", "c", name="add2", out="7"), node("Softmax", "7"),
    ]
    path = save(nodes[:-1] + [node("Identity", "7")], constants, opset=opset, batch=1)
    expect_equal(path, values(4, 2, 8, 8))
    with_softmax = import_onnx(save(nodes, constants, opset=opset, batch=1))
    assert [n.op for n in with_softmax.nodes] == ["conv2d", "relu", "maxpool2d", "dense"]


def test_relu_behind_pool_moves_in_front(save: Save) -> None:
    nodes = [
        node("Conv", "in", "w", "b", out="1"), node("MaxPool", "1", out="2", kernel_shape=[2, 2]),
        node("Relu", "2", out="3"), node("Dropout", "3", out="4"), node("Relu", "4", name="again"),
    ]
    path = save(nodes, CONV)
    assert [n.op for n in import_onnx(path).nodes] == ["conv2d", "relu", "maxpool2d"]
    expect_equal(path, values(3, 2, 8, 8))


def test_flat_input_becomes_an_image(save: Save) -> None:
    nodes = [node("Reshape", "in", "s", out="1"), node("Conv", "1", "w", "b")]
    path = save(nodes, {**CONV, "s": np.array([-1, 2, 8, 8])}, feed=(128,))
    assert import_onnx(path).shapes["in"] == (8, 8, 2)
    expect_equal(path, values(3, 128))


def test_unused_nodes_do_not_count(save: Save) -> None:
    nodes = [node("Conv", "in", "w", "b"), node("Erf", "in", out="unused")]
    assert len(import_onnx(save(nodes, CONV)).nodes) == 1


GEMM = {"w": values(6, 4), "b": values(4)}

REFUSED = [
    ([node("Conv", "in", "w", "b", dilations=[2, 2])], CONV, (2, 8, 8), "dilations must be 1, not [2, 2]"),
    ([node("Conv", "in", "w", group=2)], {"w": values(3, 1, 3, 3)}, (2, 8, 8), "group must divide 2 input and 3"),
    ([node("Conv", "in", "w", group=2)], {"w": values(2, 2, 3, 3)}, (2, 8, 8), "must have 1 input channels, not 2"),
    ([node("Conv", "in", "w")], {"w": values(2, 3, 3, 3)}, (2, 8, 8), "weight must have 2 input channels, not 3"),
    ([node("Conv", "in", "w")], {"w": values(2, 2, 9, 9)}, (2, 8, 8), "kernel must fit the padded input"),
    ([node("Conv", "in", "w", pads=[-1, 0, 0, 0])], CONV, (2, 8, 8), "pads must not be negative"),
    ([node("Conv", "in", "w")], {"w": values(2, 2, 3)}, (2, 8), "must have 4 axes, not 3 and 3"),
    ([node("Conv", "in", "w", auto_pad="ODD")], CONV, (2, 8, 8), "auto_pad must be"),
    ([node("Conv", "in", "w", "b")], {**CONV, "b": np.array([0, np.nan, 0])}, (2, 8, 8), "not finite"),
    ([node("Gemm", "in", "w", "b", transA=1)], GEMM, (6,), "transA must be 0, not 1"),
    ([node("Gemm", "w", "in", "b")], GEMM, (6,), "input 1 (in) must be a constant"),
    ([node("MatMul", "in", "w")], GEMM, (2, 6), "must have 2 axes, not 3 and 2"),
    ([node("Gemm", "in", "w")], {"w": values(5, 4)}, (6,), "weight must have 6 input features, not 5"),
    ([node("Add", "in", "in")], {}, (6,), "must have a Conv, Gemm or MatMul, it has none"),
    ([node("Mul", "in", "in")], {}, (6,), "one of the inputs must be a constant, or the HardSigmoid"),
    ([node("Sub", "in", "in")], {}, (6,), "one of the inputs must be a constant"),
    ([node("Div", "in", "b")], {"b": np.zeros(6)}, (6,), "must not have zeros"),
    ([node("Conv", "in", "w", out="1"), node("Add", "1", "p")], {**CONV, "p": values(6, 6)}, (2, 8, 8), "per channel"),
    ([node("Relu", "in")], {}, (6,), "must have a Conv, Gemm or MatMul, it has none"),
    ([node("MaxPool", "in", kernel_shape=[2, 2])], {}, (2, 8), "input must have 4 axes, not 3"),
    ([node("MaxPool", "in", kernel_shape=[2])], {}, (2, 8), "kernel_shape must have 2 values (two spatial axes)"),
    ([node("MaxPool", "in", kernel_shape=[2, 2], pads=[2, 0, 0, 0])], {}, (2, 8, 8), "smaller than the kernel"),
    ([node("Flatten", "in", axis=2)], {}, (2, 8, 8), "axis must be 1, not 2"),
    ([node("Reshape", "in", "s")], {"s": np.array([-1, 4])}, (2, 8, 8), "must flatten all but the batch axis"),
    ([node("Reshape", "in", "s")], {"s": np.array([1, 7])}, (2, 8, 8), "must fit the new shape [1, 7]"),
    ([node("Softmax", "in", out="1"), node("Gemm", "1", "w", "b")], GEMM, (6,), "nothing may follow a Softmax"),
    ([node("Softmax", "in", axis=2)], {}, (2, 8, 8), "over the features of a flat tensor"),
    ([node("Quant", "in", domain="custom")], {}, (6,), "(custom.Quant): operator not supported"),
    ([node("Conv", "in")], {}, (2, 8, 8), "inputs or attributes are not those of the operator"),
    ([node("Flatten", "in")], {}, (6,), "must have a Conv, Gemm or MatMul, it has none"),
]


@pytest.mark.parametrize(("nodes", "constants", "feed", "message"), REFUSED, ids=[case[3][:30] for case in REFUSED])
def test_refused(save: Save, nodes: list[Any], constants: Any, feed: tuple[int, ...], message: str) -> None:
    with pytest.raises(ModelError) as caught:
        import_onnx(save(nodes, constants, feed=feed))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_problems_in_one_line(save: Save) -> None:
    nodes = [
        node("Conv", "in", "w", "b", out="1", dilations=[2, 2], name="far"),
        node("Sigmoid", "1", out="2", name="curve"),
        node("Add", "2", "1", name="sum", out="3"), node("LeakyRelu", "3", name="mild", out="4"),
        node("ReduceMean", "4", name="mean", axes=[2]),
    ]
    with pytest.raises(ModelError) as caught:
        import_onnx(save(nodes, CONV, opset=13))
    assert re.findall(r"(?:: |; )node (\w+ \(\w+\)): ", str(caught.value)) == [
        "far (Conv)", "curve (Sigmoid)", "mild (LeakyRelu)", "mean (ReduceMean)",
    ]
    assert "train with Relu, its negative slope must be 0" in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"opset": 7}, "must have opset 8 or newer, not 7"),
        ({"outputs": ("out", "f")}, "must have one output, not 2: out, f"),
        ({"inputs": ("in", "other")}, "must have one input, not 2: in, other"),
        ({"feed": ("rows", 8)}, "1 to 3 axes of fixed size, not ['n', 'rows', 8]"),
    ],
)
def test_refused_files(save: Save, arguments: dict[str, Any], message: str) -> None:
    nodes = [node("Flatten", "in", out="f"), node("Identity", "f")]
    with pytest.raises(ModelError) as caught:
        import_onnx(save(nodes, {}, **arguments))
    assert message in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04 zip", b"\x00\xff" * 50])
def test_not_onnx(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="must be an ONNX file"):
        import_onnx(path)


def one_problem(path: Path) -> str:
    """What is told of a model that is refused."""
    with pytest.raises(ModelError) as caught:
        import_onnx(path)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"Model {path} is not supported: ")


RELU = node("Relu", "a", name="bend")

ORDERS = {
    "missing": ([node("Conv", "in", "lost", out="a", name="conv"), RELU],
                "node conv (Conv) reads lost, which must be an initializer, the input or a node's output"),
    "unsorted": ([RELU, node("Conv", "in", "w", out="a", name="conv")],
                 "node bend (Relu) reads a, which node conv behind it writes: nodes must be in order of execution"),
    "cycle": ([node("Add", "in", "b", out="a", name="sum"), node("Relu", "a", out="b", name="back"), RELU],
              "node sum (Add) reads b, which depends on what the node writes: nodes must not be in a cycle"),
    "unwritten": ([node("Conv", "in", "w", out="a")], "output out must be written by a node, none does"),
    "twice": ([node("Conv", "in", "w", out="a"), node("Relu", "a", out="a", name="again"), RELU],
              "node again (Relu) writes a, which is written already: tensors must have one writer"),
    "constant": ([node("MatMul", "w", "w")], "output out must depend on the input in, it is a constant"),
}


@pytest.mark.parametrize(("nodes", "message"), ORDERS.values(), ids=ORDERS.keys())
def test_nodes_that_cannot_be_computed_in_order(save: Save, nodes: list[Any], message: str) -> None:
    assert one_problem(save(nodes, {"w": values(2, 2, 1, 1)})).partition("; ")[0] == message


def test_ends_and_nodes_in_one_pass(save: Save) -> None:
    """Two outputs, two inputs, sizes that are not fixed: the nodes are judged all the same."""
    nodes = [node("Conv", "in", "w", "b", out="1", dilations=[2, 2], name="far"), node("Erf", "1", name="curve")]
    unused = [*nodes, node("Sin", "2", out="3", name="unused")]
    for arguments, message in (
        ({"outputs": ("out", "1")}, "it must have one output, not 2: out, 1"),
        ({"inputs": ("in", "2")}, "it must have one input, not 2: in, 2"),
        ({"feed": (2, "rows", 8)}, "input in must have a batch axis and 1 to 3 axes of fixed size"),
    ):
        told = one_problem(save(unused, CONV, **arguments))
        assert told.startswith(message) and re.findall(r"; node (\w+)", told) == ["far", "curve"]


def test_names_with_line_breaks(save: Save) -> None:
    nodes = [node("Erf", "in", name="two\nlines"), node("Sin", "in", out="a")]
    told = one_problem(save(nodes, {}, outputs=("out", "a")))
    assert "node two lines (Erf): operator not supported" in told


def test_damaged_files_are_refused_or_read(tmp_path: Path) -> None:
    """Whatever is wrong with a file, it is a ModelError of one line."""
    original, path = digits_model().read_bytes(), tmp_path / "damaged.onnx"
    for _ in range(60):
        damaged = np.frombuffer(original, dtype=np.uint8).copy()
        damaged[RNG.integers(len(damaged), size=20)] = RNG.integers(256, size=20)
        path.write_bytes(damaged[: int(RNG.integers(len(damaged) // 2, 2 * len(damaged)))].tobytes())
        try:
            import_onnx(path)
        except ModelError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("field", ["op_type", "name", "input", "output", "attribute"])
def test_names_that_are_no_text(save: Save, field: str) -> None:
    """Protobuf reads them, as bytes."""
    one = node("Conv", "in", "w", "bias", name="first", out="tensor", strides=[1, 1])
    path = save([one, node("Relu", "tensor")], {"w": CONV["w"], "bias": CONV["b"]})
    name = {"op_type": b"Conv", "name": b"first", "input": b"bias", "output": b"tensor", "attribute": b"strides"}[field]
    path.write_bytes(path.read_bytes().replace(name, b"\xf6" + name[1:]))
    with pytest.raises(ModelError, match="is damaged: .* must (have names in|be) UTF-8"):
        import_onnx(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        import_onnx(tmp_path / "absent.onnx")
    with pytest.raises(ModelError, match="is a directory"):
        import_onnx(tmp_path)


def test_describe(save: Save) -> None:
    result = describe(save([node("Conv", "in", "w", "b", pads=[1, 1, 1, 1])], CONV))
    assert result["supported"] and result["macs"] == 8 * 8 * 54 and result["params"] == 57
    assert result["layers"][0]["output_shape"] == [8, 8, 3]
    refused = describe(save([node("Erf", "in", name="bad")], {}))
    assert refused["nodes"] == [
        {"name": "bad", "op": "Erf", "supported": False, "reason": "operator not supported"}
    ]
    assert not refused["supported"] and refused["layers"] == []


def test_bundled_model() -> None:
    x = np.load(digits_data())["x"][:20, None].astype(np.float32) / 16
    expect_equal(digits_model(), x)


@pytest.mark.parametrize(
    ("model", "data", "scale"),
    [("digits_mlp", "digits", 1 / 16), ("fmnist_lenet", "fmnist", 1 / 255), ("mnist_cntk_conv", "mnist", 1.0)],
)
def test_real_models(shared_data: Path, model: str, data: str, scale: float) -> None:
    x = np.load(shared_data / "data" / f"{data}.npz")["x"][:20, None].astype(np.float32) * np.float32(scale)
    expect_equal(shared_data / "models" / f"{model}.onnx", x)
