"""Behind an unsupported node: every other one is found, none is accused falsely, what nobody can know is told so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx_models import node, write_model
from qonnx_models import DOMAIN, Maker

from subbyte.compiler.importers import inspect_model
from subbyte.compiler.onnx_import import import_onnx

RNG = np.random.default_rng(17)
FEED = (4, 6, 8)
CONSTANTS = {
    "w": RNG.normal(size=(4, 4, 3, 3)).astype(np.float32), "low": np.float32(-1), "zero": np.float32(0),
    "one": np.float32(1), "six": np.float32(6),
    "two": np.array([1, 2, 2, 1], np.float32), "g": RNG.normal(size=(4, 5)).astype(np.float32),
    "row": np.array([0]), "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]), "less": np.array([0, 0, -1, 0, 0, 0, 0, 0]),
    "s": np.ones(4, np.float32), "nil": np.zeros(4, np.float32), "starts": np.array([0, 1]), "ends": np.array([4, 5]),
    "axes": np.array([1, 2]), "flat": np.array([-1, 4]),
}
SAME = {"pads": [1, 1, 1, 1]}
FIRST, LAST = [0, 3, 1, 2], [0, 2, 3, 1]


def reasons(path: Path, nodes: list[Any], feed: tuple[int, ...] = FEED) -> dict[str, str | None]:
    """Node -> reason, by `inspect_model`."""
    found = inspect_model(write_model(path / "m.onnx", nodes, CONSTANTS, feed, opset=17))
    return {name: reason for name, _, reason in found.nodes}


WRONG = {
    "clip": node("Clip", "x", "low", "one"),
    "dilated convolution": node("Conv", "x", "w", dilations=[2, 2]),
    "strange padding": node("Conv", "x", "w", auto_pad="ODD"),
    "border of an average": node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    "pool of one axis": node("MaxPool", "x", kernel_shape=[2]),
    "mean of all": node("ReduceMean", "x"),
    "last but over the batch": node("ArgMax", "x", axis=0),
    "flattened batch": node("Flatten", "x", axis=0),
    "turned batch": node("Transpose", "x", perm=[1, 0, 2, 3]),
    "turned matrix": node("Gemm", "x", "g", transA=1),
    "hard sigmoid": node("HardSigmoid", "x"),
    "integers": node("Cast", "x", to=6),
    "reflection": node("Pad", "x", "pads", mode="reflect"),
    "cut": node("Pad", "x", "less"),
    "training": node("BatchNormalization", "x", "s", "nil", "nil", "s", training_mode=1),
    "no variance": node("BatchNormalization", "x", "s", "nil", "nil", "nil", epsilon=0.0),
    "division by zero": node("Div", "x", "nil"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_attributes_are_judged_without_a_shape(tmp_path: Path, wrong: Any) -> None:
    """The same words as of a node whose input is known, and of the node behind nothing is said."""
    known = node(wrong.op_type, "in", *wrong.input[1:], out="y", name="wrong")
    unknown = node(wrong.op_type, "x", *wrong.input[1:], out="y", name="wrong")
    for one in (known, unknown):
        one.attribute.extend(wrong.attribute)
    expected = reasons(tmp_path, [known, node("Relu", "y")])["wrong"]
    told = reasons(tmp_path, [node("Foo", "in", out="x", domain="mine"), unknown, node("Relu", "y", name="behind")])
    assert expected and told == {"Foo_x": "operator not supported", "wrong": expected, "behind": None}


def test_shape_that_nobody_knows(tmp_path: Path) -> None:
    nodes = [
        node("Foo", "in", out="x", domain="mine"), node("Conv", "x", "w", out="1"), node("MaxPool", "1", out="2",
        kernel_shape=[2, 2]), node("Add", "2", "1", out="3"), node("Softmax", "3", axis=2, out="4"), node("Sin", "4"),
    ]
    told = reasons(tmp_path, nodes)
    assert list(told.values()) == ["operator not supported", None, None, None, None, "operator not supported"]


def test_shape_goes_on_behind_functions_of_one_number(tmp_path: Path) -> None:
    """Also the order of the axes: nothing is wrong with the convolutions."""
    nodes = [
        node("Sin", "in", out="0"), node("Transpose", "0", out="1", perm=FIRST),
        node("Conv", "1", "w", out="2", **SAME),
        node("Transpose", "2", out="3", perm=LAST), node("LeakyRelu", "3", out="4"), node("Add", "4", "3", out="5"),
        node("Transpose", "5", out="6", perm=FIRST), node("Conv", "6", "w", out="7"), node("Conv", "6", "g"),
    ]
    told = reasons(tmp_path, nodes, (6, 8, 4))
    assert told.pop("Conv_out", "").startswith("input and weight must have 4 axes")
    assert [name for name, reason in told.items() if reason] == ["Sin_0", "LeakyRelu_4"] and None not in told.values()


@pytest.mark.parametrize("op", [
    ("Resize", "", "two"), ("Slice", "starts", "ends", "axes"), ("Conv", "w"), ("AveragePool",),
])
def test_shape_that_onnx_infers(tmp_path: Path, op: tuple[str, ...]) -> None:
    """The axes keep their places, channels last here; behind Conv and pools they are channels first."""
    last = op[0] in ("Resize", "Slice")
    attributes = {
        "Conv": {"dilations": [2, 2]}, "AveragePool": {"kernel_shape": [3, 3], "ceil_mode": 1, "strides": [2, 2]}
    }
    nodes = [
        node("Transpose", "in", out="1", perm=FIRST), node("Conv", "1", "w", out="2", **SAME),
        *([node("Transpose", "2", out="3", perm=LAST)] if last else [node("Identity", "2", out="3")]),
        node(op[0], "3", *op[1:], out="4", name="bad", **attributes.get(op[0], {})),
        *([node("Transpose", "4", out="5", perm=FIRST)] if last else [node("Identity", "4", out="5")]),
        node("Conv", "5", "w", out="6", auto_pad="SAME_LOWER"), node("Sin", "6"),
    ]
    told = reasons(tmp_path, nodes, (6, 8, 4))
    assert [name for name, reason in told.items() if reason] == ["bad", "Sin_out"] and None not in told.values()


def test_refused_convolution_names_the_axes_of_the_input(tmp_path: Path) -> None:
    nodes = [
        node("Transpose", "in", out="1", perm=FIRST), node("Conv", "1", "w", out="2", name="bad", dilations=[2, 2]),
        node("Conv", "2", "w", out="3", auto_pad="SAME_UPPER"), node("Conv", "1", "w", out="4", auto_pad="SAME_UPPER"),
        node("GlobalAveragePool", "4", out="5"), node("GlobalAveragePool", "3", out="6"), node("Add", "5", "6"),
    ]
    assert [name for name, reason in reasons(tmp_path, nodes, (6, 8, 4)).items() if reason != ""] == ["bad"]


CAUSES = {
    "product with a gate": [node("Sigmoid", "in", out="x"), node("Mul", "x", "in", name="behind")],
    "product with a part of a gate": [
        node("Sin", "in", out="x"), node("Clip", "x", "zero", "six", out="1"), node("Mul", "1", "in", name="behind"),
    ],
    "pool of zeros": [
        node("LeakyRelu", "in", out="x"), node("Pad", "x", "pads", out="1"),
        node("MaxPool", "1", kernel_shape=[2, 2], name="behind"),
    ],
    "larger constant": [node("Mul", "in", "w", out="x"), node("Conv", "x", "w", name="behind")],
    "weights": [node("Sin", "in", out="x"), node("Sin", "w", "w", out="v"), node("Conv", "in", "v", name="behind")],
}


@pytest.mark.parametrize("nodes", CAUSES.values(), ids=CAUSES.keys())
def test_nothing_is_accused_of_what_is_in_front(tmp_path: Path, nodes: list[Any]) -> None:
    assert reasons(tmp_path, nodes)["behind"] is None


def spoilt(one: Any, kind: str) -> bool:
    """Make a node unsupported; False if it is not one that can be made so."""
    if kind == "operator":
        one.op_type, one.domain = "Foo", "mine"
        return True
    if kind == "function" and one.op_type in ("Relu", "Clip"):
        one.op_type = "LeakyRelu"
        del one.input[1:], one.attribute[:]
        return True
    if kind == "attribute" and one.op_type in ("Conv", "MaxPool", "AveragePool"):
        kept = [attribute for attribute in one.attribute if attribute.name != "dilations"]
        del one.attribute[:]
        one.attribute.extend([*kept, helper.make_attribute("dilations", [1, 1, 1])])
        return True
    return False


@pytest.mark.parametrize("name", ["ic_resnet8", "variants/kws_tf2onnx_nhwc"])
@pytest.mark.parametrize("kind", ["operator", "function", "attribute"])
def test_one_unsupported_node_is_the_only_one(shared_data: Path, tmp_path: Path, name: str, kind: str) -> None:
    original = onnx.load(shared_data / "models" / f"{name}.onnx")
    original.opset_import.append(helper.make_opsetid("mine", 1))
    for position in range(len(original.graph.node)):
        model = onnx.ModelProto()
        model.CopyFrom(original)
        one = model.graph.node[position]
        one.name = "bad"
        if one.op_type == "Constant" or not spoilt(one, kind):
            continue
        onnx.save(model, tmp_path / "m.onnx")
        nodes = inspect_model(tmp_path / "m.onnx").nodes
        assert [other for other, _, reason in nodes if reason] == ["bad"]


def told(maker: Maker, path: Path) -> list[str]:
    """Reasons of a QONNX model's nodes, none missing."""
    found = [reason for _, _, reason in inspect_model(maker.write(path / "q.onnx")).nodes]
    assert None not in found
    return [reason for reason in found if reason]


def test_shapes_go_on_behind_quantizers(tmp_path: Path) -> None:
    maker = Maker((4,)).quant(0.5, 9).weighted("MatMul", np.eye(4), 2).quant(0.5, 16).weighted("MatMul", np.eye(5), 2)
    bits = "bit width must be in 1..8, not {}: train with fewer bits"
    assert told(maker, tmp_path) == [bits.format(9), bits.format(16), "weight must have 4 input features, not 5"]


def test_shapes_go_on_behind_sums_and_trunc(tmp_path: Path) -> None:
    maker = Maker((4,)).quant(0.5, 4)
    for _ in range(3):
        before = maker.last
        maker.weighted("MatMul", np.eye(4), 2).quant(0.5, 4)
        after, maker.last = maker.last, f"sum{len(maker.nodes)}"
        maker.nodes.append(node("Add", before, after, out=maker.last))
        maker.add("Trunc", 1.0, 0.0, 8.0, 4.0, domain=DOMAIN)
    found = told(maker.weighted("MatMul", np.eye(4), 2), tmp_path)
    assert [reason.split()[0] for reason in found] == ["one", "Trunc"] * 3


def test_shapes_go_on_behind_refused_layers(tmp_path: Path) -> None:
    """Convolutions of refused weights, and refused convolutions of quantized ones, whose shape ONNX infers."""
    maker = Maker((2, 9, 9)).quant(0.5, 4).weighted("Conv", np.ones((3, 2, 3, 3)), 40)
    maker.quant(0.5, 4).weighted("Conv", np.ones((3, 3, 3, 3)), 4, dilations=[2, 2]).quant(0.5, 4)
    found = told(maker.weighted("Conv", np.ones((2, 2, 1, 1)), 2), tmp_path)
    assert [reason[:24] for reason in found] == [
        "bit width must be in 1..", "dilations must be 1, not", "weight must have 3 input",
    ]


def test_nodes_that_are_not_judged_are_counted(tmp_path: Path) -> None:
    nodes = [node("Foo", "in", out="x", domain="mine"), node("Relu", "x", out="y"), node("Conv", "y", "w")]
    path = write_model(tmp_path / "m.onnx", nodes, CONSTANTS, FEED)
    with pytest.raises(ValueError, match=r"node Foo_x \(mine.Foo\): operator not supported; 2 nodes behind not judged"):
        import_onnx(path)
