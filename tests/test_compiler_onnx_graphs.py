"""ONNX models that are no chains, and what exporters put around them, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx_models import expect_like_runtime, node, runtime_outputs, write_model

from subbyte.compiler.graph import AddNode, ConvNode, Graph, ModelError, run_float, run_taps
from subbyte.compiler.onnx_import import import_onnx
from subbyte.compiler.stages import stages

RNG = np.random.default_rng(11)


def values(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


IMAGE = (4, 6, 8)
X = values(3, *IMAGE)
CONV = {"w": values(4, 4, 3, 3), "b": values(4), "v": values(4, 4, 1, 1), "d": values(4, 1, 3, 3)}
SAME = {"pads": [1, 1, 1, 1]}
HALVES = {"three": np.array(3, np.float32), "six": np.array(6, np.float32), "sixth": np.array(1 / 6, np.float32)}


def conv(source: str, out: str, weight: str = "w", **attributes: Any) -> Any:
    return node("Conv", source, weight, "b", out=out, **(SAME if weight != "v" else {}), **attributes)


def check(path: Path, nodes: list[Any], constants: dict[str, np.ndarray] = CONV, opset: int = 18) -> Graph:
    """The graph of nodes on IMAGE, held against ONNX Runtime."""
    model = write_model(path / "model.onnx", nodes, constants, IMAGE, opset)
    expect_like_runtime(model, X)
    return import_onnx(model)


@pytest.mark.parametrize(("group", "out"), [(4, 4), (4, 8), (2, 6), (1, 5)])
def test_grouped_convolution(tmp_path: Path, group: int, out: int) -> None:
    weight = {"w": values(out, 4 // group, 3, 2), "b": values(out)}
    graph = check(tmp_path, [node("Conv", "in", "w", "b", group=group, strides=[2, 1], pads=[1, 0, 0, 1])], weight)
    assert graph.nodes[0].groups == group


BN = {"s": values(4), "t": values(4), "m": values(4), "v2": np.abs(values(4)) + 0.1}


@pytest.mark.parametrize("weight", ["w", "d"])
def test_batch_normalization_is_folded(tmp_path: Path, weight: str) -> None:
    group = {"group": 4} if weight == "d" else {}
    nodes = [conv("in", "1", weight, **group), node("BatchNormalization", "1", "s", "t", "m", "v2", epsilon=0.01)]
    assert len(check(tmp_path, nodes, CONV | BN).nodes) == 1


@pytest.mark.parametrize("dense", ["MatMul", "Gemm"])
def test_batch_normalization_behind_dense(tmp_path: Path, dense: str) -> None:
    nodes = [
        node("Flatten", "in", out="1"), node(dense, "1", "w", out="2"),
        node("BatchNormalization", "2", "s", "t", "m", "v2"),
    ]
    assert [n.op for n in check(tmp_path, nodes, {"w": values(192, 4)} | BN).nodes] == ["dense"]


def test_batch_normalization_that_cannot_be_folded_is_depthwise(tmp_path: Path) -> None:
    """Behind a ReLU, and behind a convolution whose output is read twice."""
    nodes = [
        conv("in", "1"), node("Relu", "1", out="2"), node("BatchNormalization", "2", "s", "t", "m", "v2", out="3"),
        node("BatchNormalization", "1", "s", "t", "m", "v2", out="4"), node("Add", "3", "4"),
    ]
    graph = check(tmp_path, nodes, CONV | BN)
    assert [n.groups for n in graph.nodes if isinstance(n, ConvNode)] == [1, 4, 4]


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul", "Div"])
@pytest.mark.parametrize("shape", [(), (4, 1, 1), (1, 4, 1, 1)])
def test_constants_per_channel(tmp_path: Path, operator: str, shape: tuple[int, ...]) -> None:
    nodes = [conv("in", "1"), node(operator, "1", "k")]
    assert len(check(tmp_path, nodes, CONV | {"k": values(*shape)}).nodes) == 1


def test_constant_minus_tensor(tmp_path: Path) -> None:
    check(tmp_path, [conv("in", "1"), node("Sub", "k", "1")], CONV | {"k": values(4, 1, 1)})


@pytest.mark.parametrize("opset", [8, 11, 13, 18, 21])
def test_pad_in_front_of_conv_and_pools(tmp_path: Path, opset: int) -> None:
    """Pads are an attribute up to opset 10, and may name axes from 18 on."""
    pads, constants = [0, 0, 1, 0, 0, 0, 2, 1], CONV | {"pads": np.array([0, 0, 1, 0, 0, 0, 2, 1])}
    as_input = opset >= 11
    def pad(source: str, out: str) -> Any:
        more = {} if as_input else {"pads": pads}
        return node("Pad", source, *(["pads"] if as_input else []), out=out, **more)
    nodes = [
        pad("in", "1"), node("Conv", "1", "w", "b", out="2", strides=[2, 2]), node("Relu", "2", out="3"), pad("3", "4"),
        node("MaxPool", "4", out="5", kernel_shape=[3, 2]), pad("5", "6"),
        node("AveragePool", "6", kernel_shape=[3, 2]),
    ]
    graph = check(tmp_path, nodes, constants if as_input else CONV, opset)
    assert [n.op for n in graph.nodes] == ["conv2d", "relu", "maxpool2d", "averagepool2d"]


def test_pad_of_named_axes(tmp_path: Path) -> None:
    constants = CONV | {"pads": np.array([1, 2, 0, 1]), "none": np.array(0.0, np.float32), "axes": np.array([3, -2])}
    check(tmp_path, [node("Pad", "in", "pads", "none", "axes", out="1"), node("Conv", "1", "w", "b")], constants)


POOLS = [
    node("AveragePool", "1", kernel_shape=[2, 3], strides=[2, 1]),
    node("AveragePool", "1", kernel_shape=[2, 2], pads=[1, 0, 1, 1], count_include_pad=1),
    node("AveragePool", "1", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    node("GlobalAveragePool", "1"),
    node("GlobalMaxPool", "1"),
    node("ReduceMean", "1", axes=[2, 3]),
    node("ReduceMean", "1", axes=[-1, -2], keepdims=0),
]


@pytest.mark.parametrize("pool", POOLS, ids=range(len(POOLS)))
def test_pools(tmp_path: Path, pool: Any) -> None:
    assert len(check(tmp_path, [conv("in", "1"), pool], opset=13).nodes) == 2


def test_mean_with_axes_as_input(tmp_path: Path) -> None:
    nodes = [conv("in", "1"), node("ReduceMean", "1", "axes", keepdims=0)]
    check(tmp_path, nodes, CONV | {"axes": np.array([2, 3])}, opset=21)


def test_mean_of_no_axes_is_nothing_if_the_model_says_so(tmp_path: Path) -> None:
    nodes = [conv("in", "1"), node("ReduceMean", "1", noop_with_empty_axes=1)]
    assert [n.op for n in check(tmp_path, nodes).nodes] == ["conv2d"]


def test_channels_last_around_a_convolution(tmp_path: Path) -> None:
    """The transposes that tf2onnx leaves: the input is channels last, and the flattening too."""
    nodes = [
        node("Transpose", "in", out="1", perm=[0, 3, 1, 2]), conv("1", "2"), node("Relu", "2", out="3"),
        node("Transpose", "3", out="4", perm=[0, 2, 3, 1]), node("Add", "4", "c", out="5"),
        node("Transpose", "5", out="6", perm=[0, 3, 1, 2]), conv("6", "7"),
        node("Transpose", "7", out="8", perm=[0, 2, 3, 1]), node("Reshape", "8", "flat", out="9"),
        node("MatMul", "9", "m"),
    ]
    constants = CONV | {"c": values(4), "flat": np.array([-1, 192]), "m": values(192, 3)}
    model = write_model(tmp_path / "model.onnx", nodes, constants, (6, 8, 4))
    expect_like_runtime(model, values(3, 6, 8, 4))
    graph = import_onnx(model)
    assert graph.shapes["in"] == (6, 8, 4) and graph.order == "hwc" and graph.channel_axis == 3


def reading(one: Any, old: str, new: str) -> Any:
    """The node with another input."""
    copied = onnx.NodeProto()
    copied.CopyFrom(one)
    copied.input[:] = [new if name == old else name for name in one.input]
    return copied


TURN = node("Transpose", "x", perm=[0, 3, 1, 2], out="t")
FRONTS = {
    "one factor": [node("Mul", "in", "sixth", out="x"), TURN],
    "factor and shift": [node("Mul", "in", "sixth", out="1"), node("Sub", "1", "three", out="x"), TURN],
    "per channel": [node("Sub", "in", "mean", out="1"), node("Div", "1", "spread", out="x"), TURN],
    "per channel behind one factor": [node("Div", "in", "six", out="1"), node("Add", "1", "mean", out="x"), TURN],
    "activations": [
        node("Add", "in", "three", out="1"), node("Relu", "1", out="2"), node("HardSwish", "2", out="3"),
        node("Add", "2", "3", out="x"), TURN,
    ],
    "normalization": [node("Identity", "in", out="x"), node("Transpose", "x", perm=[0, 3, 1, 2], out="1"),
                      node("BatchNormalization", "1", "s", "t4", "m", "v2", out="t")],
    "normalization behind one factor": [
        node("Mul", "in", "sixth", out="x"), node("Transpose", "x", perm=[0, 3, 1, 2], out="1"),
        node("BatchNormalization", "1", "s", "t4", "m", "v2", out="t")],
    "factor behind the transpose": [node("Relu", "in", out="x"), node("Transpose", "x", perm=[0, 3, 1, 2], out="1"),
                                    node("Mul", "1", "sixth", out="t")],
    "two ways in": [
        node("Mul", "in", "sixth", out="x"), node("Transpose", "in", perm=[0, 3, 1, 2], out="1"),
        node("Transpose", "x", perm=[0, 3, 1, 2], out="2"), node("Add", "1", "2", out="t"),
    ],
}


@pytest.mark.parametrize("front", FRONTS.values(), ids=FRONTS.keys())
@pytest.mark.parametrize("flat", [False, True])
def test_channels_last_input_is_prepared(tmp_path: Path, front: list[Any], flat: bool) -> None:
    """What is in front of the first Transpose does not say which axis has the channels, unless it has one of each."""
    constants = CONV | HALVES | {"s": values(4), "t4": values(4), "m": values(4), "v2": np.abs(values(4)),
                                 "mean": values(1, 1, 1, 4), "spread": np.float32([1, 2, 0.5, 4])}
    feed = (6, 8, 4)
    nodes = [*front, conv("t", "5"), node("Transpose", "x" if "x" in front[0].output else "in", perm=[0, 3, 1, 2],
                                          out="6"), node("Add", "5", "6")]
    if flat:
        constants["image"], feed = np.array([-1, 6, 8, 4]), (192,)
        ahead = [node("Relu", "in", out="0"), node("Reshape", "0", "image", out="picture")]
        nodes = [*ahead, *(reading(one, "in", "picture") for one in nodes)]
    model = write_model(tmp_path / "model.onnx", nodes, constants, feed)
    expect_like_runtime(model, values(3, *feed))
    assert flat or import_onnx(model).order == "hwc"


def test_constant_behind_the_first_transpose(tmp_path: Path) -> None:
    constants = CONV | {"mean": values(1, 4, 1, 1)}
    nodes = [node("Transpose", "in", perm=[0, 3, 1, 2], out="1"), node("Sub", "1", "mean", out="2"), conv("2", "out")]
    expect_like_runtime(write_model(tmp_path / "model.onnx", nodes, constants, (6, 8, 4)), values(3, 6, 8, 4))


def test_rows_are_no_channels(tmp_path: Path) -> None:
    """The constant is what is wrong, not the convolution behind it."""
    path = write_model(
        tmp_path / "model.onnx", [node("Add", "in", "rows", out="1"), conv("1", "out")],
        CONV | {"rows": values(1, 6, 1)}, IMAGE,
    )
    with pytest.raises(ModelError) as caught:
        import_onnx(path)
    told = str(caught.value)
    assert "node Add_1 (Add): constant must be one value or one per channel (4)" in told and "Conv" not in told


@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0]])
def test_padded_factor_is_no_factor(tmp_path: Path, pads: list[int]) -> None:
    """A depthwise convolution of one weight, 1, does nothing unless it has zeros around it."""
    constants = CONV | {"ones": np.ones((4, 1, 1, 1), np.float32)}
    nodes = [conv("in", "1"), node("Relu", "1", out="2"), node("Conv", "2", "ones", group=4, pads=pads, out="3")]
    check(tmp_path, [*nodes, node("Conv", "3", "w", "b")], constants)
    check(tmp_path, [*nodes, node("Mul", "3", "sixth")], constants | HALVES)


@pytest.mark.parametrize("flat", [False, True])
def test_channels_last_output(tmp_path: Path, flat: bool) -> None:
    nodes = [conv("in", "1"), node("Transpose", "1", perm=[0, 2, 3, 1], out="2")]
    assert check(tmp_path, [*nodes, node("Flatten" if flat else "Identity", "2")]).output_order == "hwc"


@pytest.mark.parametrize("feed", [(6, 8, 1), (6, 8)])
def test_reshape_gives_an_image_its_channel(tmp_path: Path, feed: tuple[int, ...]) -> None:
    constants = {"w": values(2, 1, 3, 3), "s": np.array([-1, 1, 6, 8])}
    model = write_model(
        tmp_path / "model.onnx", [node("Reshape", "in", "s", out="1"), node("Conv", "1", "w")], constants, feed
    )
    expect_like_runtime(model, values(2, *feed))
    graph = import_onnx(model)
    assert graph.shapes["in"] == (6, 8, 1) and graph.channel_axis == (3 if len(feed) == 3 else 1)


def test_flat_input_becomes_channels_last(tmp_path: Path) -> None:
    nodes = [
        node("Reshape", "in", "s", out="1"), node("Transpose", "1", out="2", perm=[0, 3, 1, 2]), conv("2", "out"),
    ]
    model = write_model(tmp_path / "model.onnx", nodes, CONV | {"s": np.array([-1, 6, 8, 4])}, (192,))
    expect_like_runtime(model, values(2, 192))


def test_squeeze_and_unsqueeze(tmp_path: Path) -> None:
    nodes = [
        conv("in", "1"), node("GlobalAveragePool", "1", out="2"), node("Squeeze", "2", "both", out="3"),
        node("Unsqueeze", "3", "both", out="4"), conv("4", "5", "v"), node("Squeeze", "5", "both", out="6"),
        node("Gemm", "6", "g"),
    ]
    check(tmp_path, nodes, CONV | {"both": np.array([2, 3]), "g": values(4, 5)})
    old = [node("Squeeze", "2", axes=[2, 3], out="3"), node("Unsqueeze", "3", axes=[2, 3], out="4")]
    check(tmp_path, [*nodes[:2], *old, *nodes[4:5], node("Identity", "5")], opset=11)


def test_shape_subgraph_is_a_constant(tmp_path: Path) -> None:
    """x.view(x.size(0), -1) as PyTorch exports it."""
    nodes = [
        conv("in", "1"), node("Shape", "1", out="s"), node("Gather", "s", "zero", out="n"),
        node("Unsqueeze", "n", "axes", out="n1"), node("Cast", "n1", out="n2", to=7),
        node("Concat", "n2", "rest", out="t", axis=0), node("Reshape", "1", "t", out="2"), node("Gemm", "2", "g"),
    ]
    constants = {"zero": np.array(0), "axes": np.array([0]), "rest": np.array([-1]), "g": values(192, 3)}
    assert [n.op for n in check(tmp_path, nodes, CONV | constants).nodes] == ["conv2d", "dense"]
    sliced = [node("Slice", "s", "zero1", "one1", out="n2"), *nodes[5:]]
    ends = {"zero1": np.array([0]), "one1": np.array([1])}
    check(tmp_path, [*nodes[:2], *sliced], CONV | constants | ends)


@pytest.mark.parametrize("target", [[32, -1], [32, 192], [0, -1], [-1, 192]])
def test_batch_size_that_the_file_fixes(tmp_path: Path, target: list[int]) -> None:
    """x.view(x.size(0), -1) exported with 32 examples: the graph is that of one sample."""
    nodes = [
        conv("in", "1"), node("Reshape", "1", "target", out="2"), node("Reshape", "2", "image", out="3"),
        node("Flatten", "3", out="4"), node("Gemm", "4", "g"),
    ]
    constants = CONV | {"target": np.array(target), "image": np.array([32, 4, 6, 8]), "g": values(192, 3)}
    path = write_model(tmp_path / "model.onnx", nodes, constants, IMAGE, batch=32)
    x = values(32, *IMAGE)
    expected = onnxruntime.InferenceSession(path).run(None, {"in": x})[0]
    graph = import_onnx(path)
    out = run_float(graph, graph.to_internal(x.astype(np.float64))).reshape(expected.shape)
    np.testing.assert_allclose(out, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_batch_size_as_a_computed_shape(tmp_path: Path) -> None:
    nodes = [
        conv("in", "1"), node("Shape", "1", out="s"), node("Slice", "s", "zero", "one", out="n"),
        node("Concat", "n", "rest", out="t", axis=0), node("Reshape", "1", "t", out="2"), node("Gemm", "2", "g"),
    ]
    constants = CONV | {"zero": np.array([0]), "one": np.array([1]), "rest": np.array([-1]), "g": values(192, 3)}
    path = write_model(tmp_path / "model.onnx", nodes, constants, IMAGE, batch=8)
    assert [n.op for n in import_onnx(path).nodes] == ["conv2d", "dense"]


@pytest.mark.parametrize("target", [[1, -1], [16, -1], [-1, 96], [32, 191]])
def test_batches_are_not_mixed(tmp_path: Path, target: list[int]) -> None:
    path = write_model(
        tmp_path / "model.onnx", [node("Reshape", "in", "target", out="1"), node("Gemm", "1", "g")],
        {"target": np.array(target), "g": values(192, 3)}, IMAGE, batch=32,
    )
    with pytest.raises(ModelError, match="must flatten all but the batch axis|must fit the new shape"):
        import_onnx(path)


RESIDUAL = [conv("in", "0"), node("Relu", "0", out="1")]
BLOCKS = {
    "identity": [conv("1", "2"), node("Add", "1", "2", out="3"), node("Relu", "3")],
    "two linear branches": [conv("1", "2", "v"), conv("1", "3"), node("Add", "2", "3", out="4"), node("Relu", "4")],
    "sum before its branch": [conv("1", "2"), conv("2", "3"), node("Add", "3", "2")],
    "no linear branch": [conv("1", "2"), node("Relu", "2", out="3"), node("Add", "3", "1")],
    "twice the same": [node("Add", "1", "1")],
    "three summands": [
        conv("1", "2"), conv("1", "3", "v"), node("Add", "2", "3", out="4"), node("Add", "4", "1", out="5"),
        node("Relu", "5"),
    ],
    "input as summand": [conv("1", "2"), node("Add", "in", "2")],
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS.keys())
def test_sums_stand_behind_linear_nodes(tmp_path: Path, block: list[Any]) -> None:
    graph = check(tmp_path, [*RESIDUAL, *block])
    for stage in stages(graph):
        assert not isinstance(stage.head, AddNode)
    taps = run_taps(graph, graph.to_internal(X.astype(np.float64)))
    assert set(taps) == set(graph.shapes)


def test_concatenation(tmp_path: Path) -> None:
    nodes = [
        *RESIDUAL, conv("1", "2"), node("Relu", "2", out="3"), conv("1", "4", "v"),
        node("Concat", "3", "4", "1", axis=1, out="5"), node("Conv", "5", "k"),
    ]
    check(tmp_path, nodes, CONV | {"k": values(3, 12, 1, 1)})
    flat = [
        conv("in", "1"), node("GlobalAveragePool", "1", out="2"), node("GlobalMaxPool", "1", out="3"),
        node("Flatten", "2", out="4"), node("Flatten", "3", out="5"), node("Concat", "4", "5", axis=-1, out="6"),
        node("Gemm", "6", "g"),
    ]
    check(tmp_path, flat, CONV | {"g": values(8, 3)})


@pytest.mark.parametrize("opset", [8, 11, 21])
def test_relu6(tmp_path: Path, opset: int) -> None:
    """Limits are attributes up to opset 10. Two in a row: the lower one counts."""
    limits = {"low": np.array(0, np.float32), "high": np.array(1.5, np.float32), "six": np.array(6, np.float32)}
    if opset < 11:
        clips = [node("Clip", "1", min=0.0, max=1.5, out="2"), node("Clip", "2", min=0.0, max=6.0)]
    else:
        clips = [node("Clip", "1", "low", "high", out="2"), node("Clip", "2", "low", "six")]
    graph = check(tmp_path, [conv("in", "1"), *clips], CONV | limits if opset >= 11 else CONV, opset)
    assert [n.op for n in graph.nodes] == ["conv2d", "relu"] and graph.nodes[1].top == 1.5


LIMITS = {"zero": np.array(0, np.float32), "zeros": np.array([0], np.float32), "top": np.array([1.5], np.float32)}
RELUS = {
    "no minimum behind a Relu": [node("Relu", "1", out="2"), node("Clip", "2", "", "top")],
    "no minimum behind a pool": [
        node("Relu", "1", out="2"), node("MaxPool", "2", kernel_shape=[2, 2], out="3"), node("Min", "top", "3"),
    ],
    "largest": [node("Max", "1", "zero", out="2"), node("Min", "2", "top")],
    "largest, turned": [node("Max", "zeros", "1", out="2"), node("Min", "top", "2")],
}


@pytest.mark.parametrize("nodes", RELUS.values(), ids=RELUS.keys())
def test_relu_by_other_names(tmp_path: Path, nodes: list[Any]) -> None:
    graph = check(tmp_path, [conv("in", "1"), *nodes], CONV | LIMITS)
    assert [n.top for n in graph.nodes if n.op == "relu"] == [1.5]


def test_limits_of_shape_one(tmp_path: Path) -> None:
    """ONNX Runtime refuses them, some exporters write them."""
    nodes = [conv("in", "1"), node("Clip", "1", "zeros", "top")]
    path = write_model(tmp_path / "model.onnx", nodes, CONV | LIMITS, IMAGE)
    assert import_onnx(path).nodes[1].top == 1.5


def test_operators_by_other_names(tmp_path: Path) -> None:
    """Sum of two is Add, of one nothing; Neg is a factor."""
    nodes = [
        conv("in", "1"), node("Neg", "1", out="2"), node("Sum", "2", out="3"), conv("3", "4"), node("Sum", "4", "3"),
    ]
    assert sorted(n.op for n in check(tmp_path, nodes).nodes) == ["add", "conv2d", "conv2d"]


def test_dilation_of_a_kernel_of_one(tmp_path: Path) -> None:
    check(tmp_path, [conv("in", "1", "v", dilations=[2, 2]), node("Relu", "1")])


ENDS = {
    "names": [node("Softmax", "3", out="4"), node("Identity", "4")],
    "shape": [node("Softmax", "3", out="4"), node("Reshape", "4", "shape", out="5"), node("Flatten", "5")],
    "index of a softmax": [node("LogSoftmax", "3", out="4"), node("ArgMax", "4", axis=1)],
    "shape of an index": [
        node("ArgMax", "3", axis=1, out="4"), node("Reshape", "4", "any", out="5"), node("Cast", "5", to=7),
    ],
    "squeezed index": [node("ArgMax", "3", axis=1, out="4"), node("Squeeze", "4")],
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_what_may_follow_a_softmax(tmp_path: Path, end: list[Any]) -> None:
    constants = CONV | {"shape": np.array([-1, 4, 1]), "any": np.array([-1]), "one": np.array([1])}
    nodes = [conv("in", "1"), node("GlobalAveragePool", "1", out="2"), node("Squeeze", "2", out="3")]
    graph = import_onnx(write_model(tmp_path / "model.onnx", [*nodes, *end], constants, IMAGE))
    assert [n.op for n in graph.nodes] == ["conv2d", "averagepool2d"] and graph.output == "2"
    check(tmp_path, [*nodes, node("Softmax", "3")])


@pytest.mark.parametrize("order", [("1", "2"), ("2", "1")])
def test_hard_swish(tmp_path: Path, order: tuple[str, str]) -> None:
    nodes = [conv("in", "1"), node("HardSigmoid", "1", out="2", alpha=1 / 6, beta=0.5), node("Mul", *order)]
    assert [n.op for n in check(tmp_path, nodes).nodes] == ["conv2d", "hardswish"]
    check(tmp_path, [conv("in", "1"), node("HardSwish", "1")])


@pytest.mark.parametrize("first", [True, False])
def test_hard_swish_in_single_steps(tmp_path: Path, first: bool) -> None:
    """x * (relu6(x + 3) / 6) and (x * relu6(x + 3)) / 6 become one node; what is left over goes."""
    nodes = [
        conv("in", "1"), node("Add", "1", "three", out="2"), node("Clip", "2", "zero", "six", out="3"),
        *([node("Mul", "3", "sixth", out="4"), node("Mul", "1", "4", out="5")] if first else
          [node("Mul", "1", "3", out="4"), node("Div", "4", "six", out="5")]),
        conv("5", "out"),
    ]
    graph = check(tmp_path, nodes, CONV | HALVES | {"zero": np.array(0, np.float32)})
    assert [n.op for n in graph.nodes] == ["conv2d", "hardswish", "conv2d"]


def test_hard_swish_of_a_relu_and_a_maximum(tmp_path: Path) -> None:
    nodes = [
        conv("in", "1"), node("Add", "1", "three", out="2"), node("Relu", "2", out="3"),
        node("Min", "3", "six", out="4"),
        node("Mul", "4", "sixth", out="5"), node("Mul", "1", "5"),
    ]
    assert [n.op for n in check(tmp_path, nodes, CONV | HALVES).nodes] == ["conv2d", "hardswish"]


SQUARE = (4, 6, 6)
TURNED = [conv("in", "1"), node("Transpose", "1", out="2", perm=[0, 1, 3, 2])]
CROSSED = {
    "one node": [*TURNED, node("HardSigmoid", "2", out="3", alpha=1 / 6, beta=0.5), node("Mul", "1", "3")],
    "single steps": [
        *TURNED, node("Add", "2", "three", out="3"), node("Clip", "3", "zero", "six", out="4"),
        node("Mul", "4", "1", out="5"), node("Div", "5", "six"),
    ],
}


@pytest.mark.parametrize("nodes", CROSSED.values(), ids=CROSSED.keys())
def test_gate_of_other_axes_is_no_hard_swish(tmp_path: Path, nodes: list[Any]) -> None:
    """x * HardSigmoid(x with height and width swapped): the same tensor, other elements of it."""
    constants = CONV | HALVES | {"zero": np.array(0, np.float32)}
    with pytest.raises(ModelError, match="one of the inputs must be a constant, or the HardSigmoid of the other"):
        import_onnx(write_model(tmp_path / "model.onnx", nodes, constants, SQUARE))


@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize("last", [("Softmax", {"axis": 1}), ("LogSoftmax", {"axis": -1}), ("ArgMax", {"axis": 1})])
def test_last_nodes_are_dropped(tmp_path: Path, opset: int, last: tuple[str, dict[str, int]]) -> None:
    nodes = [conv("in", "1"), node("GlobalAveragePool", "1", out="2"), node("Flatten", "2", out="3")]
    check(tmp_path, [*nodes, node(last[0], "3", **last[1])], opset=opset)


REFUSED = [
    ([node("Pad", "in", "p")], "output out must not be that of a Pad"),
    ([node("Pad", "in", "p", out="1"), node("Relu", "1")], "a Pad, which only Conv, MaxPool and AveragePool may read"),
    ([node("Pad", "in", "p", out="1"), node("MaxPool", "1", kernel_shape=[2, 2])], "must come behind a Relu"),
    ([node("Pad", "in", "channels", out="1"), node("Conv", "1", "w", "b")], "padded in height and width only"),
    ([node("Pad", "in", "p", "one", out="1"), node("Conv", "1", "w", "b")], "must pad with zeros, not constant 1"),
    ([node("Pad", "in", "p", mode="reflect", out="1"), node("Conv", "1", "w", "b")], "with zeros, not reflect"),
    ([node("Transpose", "in", perm=[1, 0, 2, 3])], "must keep the batch axis first"),
    ([conv("in", "1"), node("Transpose", "1", out="2", perm=[0, 2, 1, 3]), conv("2", "out")], "be channels first"),
    ([node("Reshape", "in", "s", out="1"), node("Gemm", "1", "g")], "put whole axes together"),
    ([node("Squeeze", "in", "zero")], "behind the batch axis"),
    ([node("Unsqueeze", "in", "zero")], "behind the batch axis"),
    ([node("Max", "in", "one")], "min must be 0 and max above, as in ReLU6, not 1 and inf"),
    ([node("Max", "in", "in")], "it must have two inputs, one of them a constant"),
    ([node("Min", "in", "one")], "or a Relu must be in front of it, not -inf and 1"),
    ([node("Clip", "in", "", "one")], "or a Relu must be in front of it, not -inf and 1"),
    ([node("Clip", "in", "zero", "g")], "constant g must be one number, not of shape [96, 3]"),
    ([node("Sum", "in", "in", "in")], "it must have one or two inputs, not 3: use Add"),
    ([node("Conv", "in", "line")], "write a convolution over one axis as one over two, of height 1"),
    ([node("Flatten", "in", out="1"), node("BatchNormalization", "1", "ones", "ones", "ones", "ones")],
     "axis 1 of its input must be the channels: put it in front of the Flatten"),
    ([node("ArgMax", "in", axis=0, out="1"), node("Reshape", "1", "s")], "must be over the features"),
    ([node("Flatten", "in", out="1"), node("Softmax", "1", out="2"), node("Mul", "2", "one")],
     "nothing may follow a Softmax"),
    ([node("ConvTranspose", "in", "w")], "operator not supported: only Conv and pools may change height and width"),
    ([node("InstanceNormalization", "in", "one", "one")], "operator not supported: train with BatchNormalization"),
    ([node("Where", "in", "in", "in")], "operator not supported: the same nodes must be computed for every input"),
    ([node("AveragePool", "in", kernel_shape=[2, 2], pads=[1, 1, 1, 1])], "count_include_pad must be 1"),
    ([node("AveragePool", "in", kernel_shape=[4, 3], strides=[4, 3], ceil_mode=1)], "ceil_mode must be 0"),
    ([node("ReduceMean", "in", axes=[1, 2, 3])], "must be those of height and width, both in one node, not [1, 2, 3]"),
    ([node("ReduceMean", "in")], "none are given, the mean is over the batch too"),
    ([conv("in", "1"), node("GlobalAveragePool", "1", out="2"), node("Flatten", "2", out="3"), node("ReduceMean", "3")],
     "none are given, the mean is over the batch too"),
    ([conv("in", "1"), node("GlobalAveragePool", "1", out="2"), node("Add", "1", "2")], "must have one shape"),
    ([node("Concat", "in", "in", axis=2)], "axis must be that of the channels"),
    ([node("Clip", "in", "minus", "one")], "min must be 0 and max above, as in ReLU6, not -1 and 1"),
    ([node("Clip", "in")], "not -inf and inf"),
    ([node("HardSigmoid", "in")], "must be 1/6 and 1/2 (HardSwish), not 0.2 and 0.5"),
    ([node("HardSigmoid", "in", alpha=1 / 6, beta=0.5)], "must not be that of a Pad or a HardSigmoid"),
    ([node("HardSigmoid", "in", alpha=1 / 6, beta=0.5, out="1"), node("Relu", "1")], "with its own input"),
    ([node("Cast", "in", to=6)], "only casts to float types"),
    ([node("BatchNormalization", "in", "one", "one", "one", "one")], "must have shape [4]"),
    ([node("Mul", "in", "odd")], "must be one value or one per channel (4)"),
    ([node("ArgMax", "in", axis=1)], "must be over the features of a flat tensor"),
    ([node("ArgMax", "in", axis=0)], "must be over the features of a flat tensor"),
    ([node("PRelu", "in", "one")], "train with Relu"),
]
CONSTANTS = CONV | {
    "p": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "channels": np.array([0, 1, 0, 0, 0, 0, 0, 0]), "g": values(96, 3),
    "one": np.array(1, np.float32), "minus": np.array(-1, np.float32), "s": np.array([1, 2, 96]),
    "zero": np.array([0]), "odd": values(1, 1, 6, 8), "line": values(4, 4, 3), "ones": np.ones(192, np.float32),
}


@pytest.mark.parametrize(("nodes", "message"), REFUSED, ids=[case[1][:40] for case in REFUSED])
def test_refused(tmp_path: Path, nodes: list[Any], message: str) -> None:
    model = write_model(tmp_path / "model.onnx", nodes, CONSTANTS, IMAGE, opset=17)
    with pytest.raises(ModelError) as caught:
        import_onnx(model)
    assert message in str(caught.value) and "\n" not in str(caught.value)


MODELS = (
    "ic_resnet8", "kws_dscnn", "vww_mbv1_025", "ad_fcae", "variants/ic_tf2onnx_nhwc", "variants/kws_tf2onnx_nhwc",
    "variants/vww_tf2onnx_nhwc", "variants/vww_96_float_kai_jiang",
)


@pytest.mark.parametrize("model", MODELS)
def test_mlperf_tiny(shared_data: Path, model: str) -> None:
    path = shared_data / "models" / f"{model}.onnx"
    graph = import_onnx(path)
    x = 10 * RNG.normal(size=(2, *graph.feed)).astype(np.float32)
    expect_like_runtime(path, x)


@pytest.mark.parametrize("name", ["ic", "vww"])
def test_exports_of_one_network_agree(shared_data: Path, name: str) -> None:
    """The clean model and the tf2onnx export on the same image, channels first and last (kws has other weights)."""
    clean = next(path for path in MODELS if path.startswith(f"{name}_"))
    first, last = (
        import_onnx(shared_data / "models" / f"{model}.onnx") for model in (clean, f"variants/{name}_tf2onnx_nhwc")
    )
    x = RNG.normal(size=(1, *first.feed))
    outputs = [
        run_float(first, first.to_internal(x)), run_float(last, last.to_internal(np.moveaxis(x, 1, 3)))
    ]
    np.testing.assert_allclose(outputs[0], outputs[1], rtol=1e-4, atol=1e-4 * np.abs(outputs[0]).max())


BASES = {
    "blocks": [
        conv("in", "1"), node("BatchNormalization", "1", "s", "t", "m", "v2", out="2"), node("Relu", "2", out="3"),
        node("Pad", "3", "p", out="4"), node("Conv", "4", "d", "b", out="5", group=4, strides=[2, 1]),
        node("Add", "5", "k", out="6"), node("Clip", "6", "zero", "six", out="7"),
        node("Conv", "7", "v", "b", out="8", strides=[1, 1]), node("Concat", "7", "8", axis=1, out="9"),
        node("MaxPool", "9", kernel_shape=[2, 2], pads=[0, 1, 1, 0], out="10"),
        node("AveragePool", "10", kernel_shape=[2, 2], strides=[2, 2], out="11"),
    ],
    "layouts": [
        conv("in", "1"), node("Transpose", "1", perm=[0, 2, 3, 1], out="2"), node("Mul", "2", "s", out="3"),
        node("Transpose", "3", perm=[0, 3, 1, 2], out="4"), conv("4", "5"), node("Add", "5", "1", out="6"),
        node("GlobalAveragePool", "6", out="7"), node("Squeeze", "7", "both", out="8"),
        node("Unsqueeze", "8", "both", out="9"), node("Reshape", "9", "flat", out="10"),
        node("Gemm", "10", "g", out="11"),
    ],
    "front": [
        node("Mul", "in", "sixth", out="1"), node("Sub", "1", "three", out="2"), node("Relu", "2", out="3"),
        node("Add", "3", "2", out="4"), node("Transpose", "4", perm=[0, 2, 1, 3], out="5"),
        node("BatchNormalization", "5", "s6", "s6", "s6", "one6", out="6"),
        node("Conv", "6", "w6", out="7"), node("Transpose", "7", perm=[0, 1, 2, 3], out="8"),
        node("Mul", "8", "k", out="9"), node("Clip", "9", "zero", "six", out="10"), node("Relu", "10", out="11"),
    ],
}
BASE_CONSTANTS = CONV | BN | HALVES | {
    "p": np.array([0, 0, 1, 1, 0, 0, 1, 0]), "k": values(4, 1, 1), "zero": np.array(0, np.float32),
    "six": np.array(6, np.float32), "both": np.array([2, 3]), "flat": np.array([-1, 4]), "g": values(4, 5),
    "s6": values(6), "one6": np.ones(6, np.float32), "w6": values(4, 6, 3, 3),
}


def damage(model: onnx.ModelProto, rng: np.random.Generator) -> None:
    """Another attribute, input or operator somewhere."""
    nodes = model.graph.node
    one, other = nodes[rng.integers(len(nodes))], nodes[rng.integers(len(nodes))]
    kind = rng.integers(5)
    if kind == 0 and one.attribute:
        attribute = one.attribute[rng.integers(len(one.attribute))]
        if attribute.ints:
            attribute.ints[rng.integers(len(attribute.ints))] = int(rng.integers(-2, 5))
        else:
            attribute.i = int(rng.integers(-2, 5))
    elif kind == 1:
        one.input[rng.integers(len(one.input))] = other.output[0]
    elif kind == 2:
        one.op_type = other.op_type
    elif kind == 3 and one.attribute:
        del one.attribute[rng.integers(len(one.attribute))]
    else:
        one.input[rng.integers(len(one.input))] = str(rng.choice(list(BASE_CONSTANTS)))


@pytest.mark.parametrize("base", BASES)
def test_changed_models_are_refused_or_right(tmp_path: Path, rng: np.random.Generator, base: str) -> None:
    """Whatever is changed: one line, or what ONNX Runtime computes where it accepts the model."""
    path = write_model(tmp_path / "model.onnx", [*BASES[base], node("Identity", "11")], BASE_CONSTANTS, IMAGE)
    original, imported = onnx.load(path), 0
    expect_like_runtime(path, X)
    for _ in range(80):
        model = onnx.ModelProto()
        model.CopyFrom(original)
        damage(model, rng)
        path.write_bytes(model.SerializeToString())
        try:
            import_onnx(path)
        except ModelError as error:
            assert "\n" not in str(error)
            continue
        imported += 1
        try:
            runtime_outputs(path, X)
        except Exception:  # ONNX Runtime has no class of its own for models that it does not accept
            continue
        expect_like_runtime(path, X)
    assert imported
