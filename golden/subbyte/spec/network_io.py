"""A `Network` as one .npz file: the integer arrays, and everything else as JSON with a version number."""

from __future__ import annotations

import dataclasses
import enum
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from subbyte.spec.formats import Kind, TensorFormat
from subbyte.spec.network import (
    Add,
    AveragePool2d,
    Concat,
    Conv2d,
    Dense,
    Layer,
    Lookup,
    MaxPool2d,
    Network,
    Relu,
    Requantize,
    Tensor,
    Threshold,
)
from subbyte.spec.npz_file import load_arrays, save_arrays
from subbyte.spec.rounding import Rounding, TableRounding
from subbyte.spec.validate import validate
from subbyte.spec.weight_formats import (
    AnyWeightFormat,
    BinaryWeights,
    CodebookWeights,
    LinearWeights,
    LogWeights,
    OutlierWeights,
)
from subbyte.spec.weights import WeightFormat, WeightSet

VERSION = 2

_ARRAYS = ("weight", "bias", "multiplier", "shift", "thresholds", "sign", "table")
_TUPLES = ("kernel", "stride", "padding", "inputs")
_ENUMS = {"rounding": Rounding, "table_rounding": TableRounding}
_LAYERS: dict[str, type[Layer]] = {
    kind.op: kind
    for kind in (Conv2d, Dense, Relu, Requantize, Threshold, MaxPool2d, AveragePool2d, Concat, Add, Lookup)
}

_WEIGHT_FORMATS: dict[str, type[AnyWeightFormat]] = {
    "lanes": WeightFormat, "bin": BinaryWeights, "lin": LinearWeights, "codebook": CodebookWeights, "log": LogWeights,
    "outliers": OutlierWeights,
}


def save_network(network: Network, path: Path | str) -> None:
    """Write `network` to `path`, byte for byte the same for the same network. ValueError when it is not valid.

    Entry `network` is the JSON text; the arrays of layer i are entries `i.weight`, `i.bias`, and so on.
    """
    validate(network)
    arrays: dict[str, NDArray[Any]] = {}
    layers = []
    for index, layer in enumerate(network.layers):
        fields: dict[str, Any] = {f.name: getattr(layer, f.name) for f in dataclasses.fields(layer)}
        arrays |= {f"{index}.{name}": fields.pop(name) for name in _ARRAYS if name in fields}
        layers.append({"op": layer.op} | {name: _plain(value) for name, value in fields.items()})
    header: dict[str, Any] = {
        "version": VERSION,
        "name": network.name,
        "input": network.input,
        "output": network.output,
        "tensors": [
            {"name": t.name, "shape": t.shape, "format": _format(t.format)}
            for t in network.tensors.values()
        ],
        "layers": layers,
    }
    save_arrays(path, "network", header, arrays)


def load_network(path: Path | str) -> Network:
    """Inverse of `save_network`, exact. ValueError on another version, another file, or an invalid network."""
    header, entries = load_arrays(path, "network", VERSION)
    try:
        network = Network(
            name=header["name"],
            tensors={t["name"]: _tensor(t) for t in header["tensors"]},
            layers=tuple(_layer(index, values, entries) for index, values in enumerate(header["layers"])),
            input=header["input"],
            output=header["output"],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"Network file {path} is damaged: {error!r}") from None
    validate(network)
    return network


def _format(form: TensorFormat) -> dict[str, Any]:
    """Fields of a format; the number of records only where there are some."""
    fields = {name: value for name, value in vars(form).items() if name != "records" or value}
    return fields | {"kind": form.kind.value}


def _plain(value: Any) -> Any:
    if isinstance(value, AnyWeightFormat):
        fields = {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return next({"kind": kind} | fields for kind, cls in _WEIGHT_FORMATS.items() if type(value) is cls)
    return value.value if isinstance(value, enum.Enum) else value


def _weight_format(values: dict[str, Any]) -> AnyWeightFormat:
    fields = {key: value for key, value in values.items() if key != "kind"}
    if "set" in fields:
        fields["set"] = WeightSet(fields["set"])
    if "dense" in fields:
        fields["dense"] = _weight_format(fields["dense"])
    if "table" in fields:
        fields["table"] = tuple(fields["table"])
    return _WEIGHT_FORMATS[values["kind"]](**fields)


def _tensor(values: dict[str, Any]) -> Tensor:
    form = values["format"]
    return Tensor(
        values["name"],
        tuple(values["shape"]),
        TensorFormat(**{**form, "kind": Kind(form["kind"]), "table": tuple(form["table"])}),
    )


def _layer(index: int, values: dict[str, Any], entries: dict[str, NDArray[Any]]) -> Layer:
    kind = _LAYERS[values["op"]]
    arguments: dict[str, Any] = {}
    for name in (f.name for f in dataclasses.fields(kind)):
        if name in _ARRAYS:
            arguments[name] = entries[f"{index}.{name}"]
        elif name in _TUPLES:
            arguments[name] = tuple(values[name])
        elif name in _ENUMS:
            arguments[name] = _ENUMS[name](values[name])
        elif name == "weight_format":
            arguments[name] = _weight_format(values[name])
        else:
            arguments[name] = values[name]
    return kind(**arguments)
