"""A `torch.nn.Sequential` of Conv2d, ReLU, MaxPool2d, Flatten and Linear as a small ONNX model."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import nn

OPSET = 18
IR_VERSION = 10


def to_onnx(model: nn.Sequential, shape: tuple[int, ...], name: str) -> onnx.ModelProto:
    """ONNX model of `model`: input `input` of shape ('N', *shape), output `output`, both float32.

    Layers are named after their kind, counted from 1 (conv1, relu1, pool1); initializers are
    <layer>.weight and <layer>.bias. Paddings are symmetric. TypeError names a module of another kind.
    """
    nodes: list[onnx.NodeProto] = []
    initializers: list[onnx.TensorProto] = []
    counts: dict[str, int] = {}
    tensor = "input"
    for index, module in enumerate(model):
        op, prefix, attributes = _operator(module)
        counts[prefix] = counts.get(prefix, 0) + 1
        layer = f"{prefix}{counts[prefix]}"
        inputs = [tensor]
        for key, value in module.named_parameters():
            inputs.append(f"{layer}.{key}")
            initializers.append(numpy_helper.from_array(value.detach().numpy(), inputs[-1]))
        tensor = "output" if index == len(model) - 1 else f"{layer}.out"
        nodes.append(helper.make_node(op, inputs, [tensor], name=layer, **attributes))
    classes = initializers[-1].dims[0]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["N", classes])],
        initializers,
    )
    result = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="subbyte")
    result.ir_version = IR_VERSION
    onnx.checker.check_model(result, full_check=True)
    return result


def _operator(module: nn.Module) -> tuple[str, str, dict[str, object]]:
    """ONNX operator, layer name and attributes of one module."""
    if isinstance(module, nn.Conv2d):
        pads, strides = list(module.padding) * 2, list(module.stride)
        return "Conv", "conv", {"kernel_shape": list(module.kernel_size), "strides": strides, "pads": pads}
    if isinstance(module, nn.MaxPool2d):
        return "MaxPool", "pool", {"kernel_shape": [module.kernel_size] * 2, "strides": [module.stride] * 2}
    if isinstance(module, nn.ReLU):
        return "Relu", "relu", {}
    if isinstance(module, nn.Flatten):
        return "Flatten", "flatten", {"axis": 1}
    if isinstance(module, nn.Linear):
        return "Gemm", "dense", {"transB": 1}
    raise TypeError(f"Module must be Conv2d, ReLU, MaxPool2d, Flatten or Linear, not {type(module).__name__}")
