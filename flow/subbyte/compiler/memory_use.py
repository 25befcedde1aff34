"""What main memory is filled with: descriptors, tensors, records, weights. Tensors share words only where they must."""

from __future__ import annotations

from dataclasses import dataclass

from subbyte.compiler.activation_records import record_layouts
from subbyte.compiler.layout import Placement, placements
from subbyte.compiler.operation import Operation
from subbyte.spec.engine import EngineConfig
from subbyte.spec.network import Network
from subbyte.spec.records import RecordLayout


@dataclass(frozen=True)
class MemoryUse:
    """Words of main memory, in their order.

    descriptors : of these, with `param_stream` of parameters too
    placement : of the tensors
    records : tensor name -> its block
    weights : of these, with their outlier slots
    """

    descriptors: int
    placement: Placement
    records: dict[str, RecordLayout]
    weights: int

    @property
    def record_words(self) -> int:
        """Of all blocks of records."""
        return sum(block.words for block in self.records.values())

    @property
    def words(self) -> int:
        """All of them."""
        return self.descriptors + self.placement.words + self.record_words + self.weights

    def __str__(self) -> str:
        place = self.placement
        records = f", {self.record_words} for activation records" if self.records else ""
        return (
            f"{self.weights} for weights, {self.descriptors} for descriptors and parameters, {place.words} for "
            f"tensors{records}; layer {place.at} needs {place.most} words of tensors at a time, no other more"
        )


def memory_use(
    operations: list[Operation], network: Network, engine: EngineConfig, descriptors: int, weights: int
) -> MemoryUse:
    """With the first placement of the tensors that leaves room for all else, or the smallest one."""
    tried: list[MemoryUse] = []
    for placement in placements(operations, network, engine, descriptors):
        records = record_layouts(network, placement.layouts, descriptors + placement.words)
        tried.append(MemoryUse(descriptors, placement, records, weights))
        if tried[-1].words <= engine.memory_words:
            return tried[-1]
    return min(tried, key=lambda use: use.words)
