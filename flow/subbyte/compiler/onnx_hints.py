"""What to do about ONNX operators that are not supported."""

from __future__ import annotations

ACTIVATION = "train with Relu or HardSwish"
SLOPE = "train with Relu, its negative slope must be 0"
FLOAT = "quantized models cannot be imported yet, export the float model"
ORDER = "leave it out at the end of a model, the order of outputs is the same; elsewhere use "
FOLDED = "train with BatchNormalization, which is folded into the layer in front"
SEQUENCE = "use Conv, pools and dense layers over a window of samples"
CHOICE = "the same nodes must be computed for every input"
COMPUTED = "compute it before the model is fed, or leave it out"
SIZE = "only Conv and pools may change height and width"
WHOLE = "tensors are read as a whole: use strides or pools for fewer rows and columns, two Conv for channels"

HINTS = {
    "Abs": ACTIVATION,
    "ArgMin": "use Neg and ArgMax",
    "Attention": SEQUENCE,
    "Celu": ACTIVATION,
    "ConvInteger": FLOAT,
    "ConvTranspose": SIZE + ", and only to fewer",
    "DepthToSpace": SIZE,
    "DequantizeLinear": FLOAT,
    "DynamicQuantizeLinear": FLOAT,
    "Einsum": "write it as MatMul with a constant",
    "Elu": ACTIVATION,
    "Equal": CHOICE,
    "Exp": COMPUTED,
    "Expand": "a tensor cannot be repeated: Add and Concat need tensors of one height and width",
    "FloatQuant": "train with integers, that is with Quant",
    "GRU": SEQUENCE,
    "Gather": "tensors are read as a whole: put the selection into the weights behind, or compute it before",
    "Gelu": ACTIVATION,
    "GlobalLpPool": "use GlobalAveragePool or GlobalMaxPool",
    "Greater": CHOICE,
    "GreaterOrEqual": CHOICE,
    "GroupNormalization": FOLDED,
    "If": CHOICE,
    "InstanceNormalization": FOLDED,
    "LRN": FOLDED,
    "LSTM": SEQUENCE,
    "LayerNormalization": FOLDED,
    "LeakyRelu": SLOPE,
    "Less": CHOICE,
    "LessOrEqual": CHOICE,
    "Log": COMPUTED,
    "Loop": CHOICE,
    "LpNormalization": FOLDED,
    "LpPool": "use AveragePool or MaxPool",
    "MatMulInteger": FLOAT,
    "Mish": ACTIVATION,
    "PRelu": SLOPE,
    "Pow": COMPUTED,
    "QLinearConv": FLOAT,
    "QLinearMatMul": FLOAT,
    "QuantizeLinear": FLOAT,
    "RNN": SEQUENCE,
    "ReduceL2": "use ReduceMean over height and width",
    "ReduceMax": "over height and width use GlobalMaxPool, over the features at the end leave it out",
    "ReduceMin": "use ReduceMean or GlobalMaxPool over height and width",
    "ReduceSum": "use ReduceMean over height and width, with the factor in the weights behind",
    "Resize": SIZE,
    "Scan": CHOICE,
    "Selu": ACTIVATION,
    "Sigmoid": ORDER + "Relu or HardSwish",
    "Slice": WHOLE,
    "Softplus": ACTIVATION,
    "Softsign": ACTIVATION,
    "SpaceToDepth": "use a Conv whose stride is its kernel",
    "Split": WHOLE,
    "Sqrt": COMPUTED,
    "Swish": ACTIVATION,
    "Tanh": ORDER + "Relu",
    "ThresholdedRelu": "train with Relu",
    "Tile": "a tensor cannot be repeated: Add and Concat need tensors of one height and width",
    "TopK": "leave it out at the end of a model, or use ArgMax",
    "Upsample": SIZE,
    "Where": CHOICE,
}
"""Operator, without its domain -> hint."""


def unknown(op: str) -> str:
    """Why an operator that no importer knows is refused, with a hint if there is one."""
    hint = HINTS.get(str(op).rpartition(".")[2], "")
    return f"operator not supported: {hint}" if hint else "operator not supported"
