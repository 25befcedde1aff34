"""`Machine`: a `Program` executed from its own words, without the network it came from."""

from __future__ import annotations

from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from subbyte.golden.device import Device
from subbyte.spec.packing import pack_tensor, unpack_tensor
from subbyte.spec.program import Program
from subbyte.spec.records import unpack_count, unpack_records

BATCH_NIBBLES = 1 << 25
"""Main memory that one piece of a batch may have, in bytes."""


class Machine:
    """Runs a program on batches; every run starts from the program's image.

    Parameters
    ----------
    program : Program

    Members
    -------
    memory : Device, one engine with the program's image loaded, for hosts that write, run and read by themselves
    saturated : int64 (n,) of each tensor with records, values that found no room in the last `run`
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.memory = self._loaded(1)
        self.saturated: dict[str, NDArray[np.int64]] = {}

    def _loaded(self, batch: int) -> Device:
        """A device with the image in its memories."""
        device = Device(self.program.engine, batch)
        for space, address, units in self.program.image():
            device.write(space, address, units)
        return device

    @overload
    def run(self, codes: NDArray[Any], taps: Literal[False] = False) -> NDArray[np.int64]: ...
    @overload
    def run(self, codes: NDArray[Any], taps: Literal[True]) -> dict[str, NDArray[np.int64]]: ...
    def run(self, codes: NDArray[Any], taps: bool = False) -> NDArray[np.int64] | dict[str, NDArray[np.int64]]:
        """Output codes, or with `taps` the codes of every tensor of the program by name.

        Parameters
        ----------
        codes : integer array (n, height, width, channels), codes of the program's input

        Returns
        -------
        int64, shape (n, height, width, channels) of each tensor, whole values of those with records. ValueError on a
        wrong shape or code.
        """
        names = list(self.program.layouts) if taps else [self.program.output]
        step = max(1, BATCH_NIBBLES // self.memory.main.shape[1])
        # An empty batch runs once, so that it has the shapes of the others.
        pieces = [self._run(codes[start : start + step], names) for start in range(0, max(1, len(codes)), step)]
        values = {name: np.concatenate([piece[name] for piece, _ in pieces]) for name in names}
        counts = {name: [count for _, piece in pieces for count in piece[name]] for name in self.program.records}
        self.saturated = {name: np.array(count, dtype=np.int64) for name, count in counts.items()}
        return values if taps else values[self.program.output]

    def _run(
        self, codes: NDArray[Any], names: list[str]
    ) -> tuple[dict[str, NDArray[np.int64]], dict[str, list[int]]]:
        """Codes of the tensors `names`, and what the counters of all tensors with records say."""
        source = self.program.layouts[self.program.input]
        shape = (source.height, source.width, source.channels)
        if codes.ndim != 4 or codes.shape[1:] != shape:
            raise ValueError(f"Codes must have shape (n, *{shape}), not {codes.shape}")
        device = self._loaded(len(codes))
        if len(codes):
            units = np.stack([pack_tensor(source, code.astype(np.int64)) for code in codes])
            device.write_main(source.address // 4, units)
            device.run_program()
        values = {}
        for name in names:
            layout = self.program.layouts[name]
            read = device.read_main(layout.address // 4, 4 * layout.words)
            empty = np.empty((0, layout.height, layout.width, layout.channels), dtype=np.int64)
            values[name] = np.stack([unpack_tensor(layout, units) for units in read]) if len(read) else empty
        counts = {}
        for name, block in self.program.records.items():
            read = device.read_main(4 * block.word, 4 * block.words)
            counts[name] = [unpack_count(units) for units in read]
            if name in values and len(read):
                channels = self.program.layouts[name].channels
                values[name] += np.stack([unpack_records(block, units, channels) for units in read])
        return values, counts
