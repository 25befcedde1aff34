"""Which layers may write and read tensors with records (`TensorFormat.records`): the rest have no form for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from subbyte.spec.network import Conv2d, Dense, Layer, Requantize, Tensor


def end_problems(role: str, tensor: Tensor) -> Iterator[str]:
    """The host writes and reads codes: the network's `role`, input or output, has no records."""
    if tensor.format.records:
        yield f"Network {role} {tensor.name} must have codes alone, not {tensor.format.records} records a pixel"


def record_problems(layer: Layer, target: Tensor, sources: Sequence[Tensor]) -> Iterator[str]:
    """Sentences without the layer's name. Requantize writes records, Conv2d and Dense read them."""
    if target.format.records:
        if not isinstance(layer, Requantize):
            yield f"output {target.name} with records must be written by a requantize layer, not by {layer.op}"
        elif layer.skip:
            yield f"output {target.name} with records must not have skip {layer.skip} added"
        if target.format.records > target.shape[2]:
            yield (
                f"output {target.name} must have at most a record for each of its {target.shape[2]} channels, "
                f"not {target.format.records}"
            )
    if isinstance(layer, Conv2d | Dense):
        return
    for source in sources:
        if source.format.records:
            yield f"input {source.name} with records must be read by conv2d or dense layers, not by {layer.op}"
