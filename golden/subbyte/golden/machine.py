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
        self.memory = _loaded(program, 1)
        self.saturated: dict[str, NDArray[np.int64]] = {}

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
        programs = self.program.prefixes() if taps else [(self.program, names)]
        step = max(1, BATCH_NIBBLES // self.memory.main.shape[1])
        # An empty batch runs once, so that it has the shapes of the others.
        pieces = [self._run(codes[start : start + step], programs) for start in range(0, max(1, len(codes)), step)]
        values = {name: np.concatenate([piece[name] for piece, _ in pieces]) for name in names}
        counts = {name: [count for _, piece in pieces for count in piece[name]] for name in self.program.records}
        self.saturated = {name: np.array(count, dtype=np.int64) for name, count in counts.items()}
        return values if taps else values[self.program.output]

    def _run(
        self, codes: NDArray[Any], programs: list[tuple[Program, list[str]]]
    ) -> tuple[dict[str, NDArray[np.int64]], dict[str, list[int]]]:
        """Codes of the tensors with each of the programs; what the last one's counters of tensors with records say."""
        source = self.program.layouts[self.program.input]
        shape = (source.height, source.width, source.channels)
        if codes.ndim != 4 or codes.shape[1:] != shape:
            raise ValueError(f"Codes must have shape (n, *{shape}), not {codes.shape}")
        values: dict[str, NDArray[np.int64]] = {}
        for program, names in programs:
            device = _loaded(program, len(codes))
            if len(codes):
                units = np.stack([pack_tensor(source, code.astype(np.int64)) for code in codes])
                device.write_main(source.address // 4, units)
                device.run_program()
            values |= {name: self._codes(device, name) for name in names}
        counts = {
            name: [unpack_count(units) for units in device.read_main(4 * block.word, 4 * block.words)]
            for name, block in self.program.records.items()
        }
        return values, counts

    def _codes(self, device: Device, name: str) -> NDArray[np.int64]:
        """Codes of a tensor in the device's memory, int64 (batch, height, width, channels), records in their places."""
        layout, block = self.program.layouts[name], self.program.records.get(name)
        read = device.read_main(layout.address // 4, 4 * layout.words)
        codes = np.empty((len(read), layout.height, layout.width, layout.channels), dtype=np.int64)
        for index, units in enumerate(read):
            codes[index] = unpack_tensor(layout, units)
        if block is not None:
            for index, units in enumerate(device.read_main(4 * block.word, 4 * block.words)):
                codes[index] += unpack_records(block, units, layout.channels)
        return codes


def _loaded(program: Program, batch: int) -> Device:
    """A device with the program's image in its memories."""
    device = Device(program.engine, batch)
    for space, address, units in program.image():
        device.write(space, address, units)
    return device
