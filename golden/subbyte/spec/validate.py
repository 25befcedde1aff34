"""Checks of a `Network`: names, shapes, the order of reading and writing, and those of every layer."""

from __future__ import annotations

from collections.abc import Iterator

from subbyte.spec.formats import Kind
from subbyte.spec.layer_checks import CHECKS
from subbyte.spec.network import Layer, Network
from subbyte.spec.record_checks import end_problems, record_problems


def validate(network: Network) -> None:
    """Check that `network` has an exact meaning. ValueError lists every problem, joined by '; '.

    Types are not checked: a field of the wrong Python type raises whatever it raises.
    """
    problems = list(_problems(network))
    if problems:
        raise ValueError("; ".join(problems))


def _problems(network: Network) -> Iterator[str]:
    for key, tensor in network.tensors.items():
        if tensor.name != key:
            yield f"Tensor {key} is named {tensor.name!r} inside"
        if len(tensor.shape) != 3 or min(tensor.shape) < 1:
            yield f"Tensor {key}: shape must be three positive sizes, not {tensor.shape}"
    for role, name in (("input", network.input), ("output", network.output)):
        if name not in network.tensors:
            yield f"Network {role} {name} is not a tensor"
        elif network.tensors[name].format.kind is Kind.ACC:
            yield f"Network {role} {name} must be a code tensor, not an accumulator"
        else:
            yield from end_problems(role, network.tensors[name])
    names = [layer.name for layer in network.layers]
    for repeated in sorted({name for name in names if names.count(name) > 1}):
        yield f"Layer name {repeated} is used {names.count(repeated)} times"
    written = {network.input}
    for layer in network.layers:
        for problem in _layer_problems(network, layer, written):
            yield f"Layer {layer.name}: {problem}"
        written.add(layer.output)
    if network.output not in written:
        yield f"Network output {network.output} is never written"


def _layer_problems(network: Network, layer: Layer, written: set[str]) -> Iterator[str]:
    missing = [name for name in (*layer.inputs, layer.output) if name not in network.tensors]
    for name in missing:
        yield f"tensor {name} does not exist"
    for name in layer.inputs:
        if name not in written:
            yield f"input {name} is read before it is written"
    if layer.output in written:
        yield f"output {layer.output} is written twice"
    if not missing:
        target, sources = network.tensors[layer.output], [network.tensors[name] for name in layer.inputs]
        yield from CHECKS[type(layer)](layer, target, *sources)
        yield from record_problems(layer, target, sources)
