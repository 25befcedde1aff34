"""`Driver`: loads a program into an engine and runs inferences, over any transport."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from subbyte.spec import frames
from subbyte.spec.engine import EngineConfig
from subbyte.spec.frames import Counter, Space
from subbyte.spec.packing import pack_tensor, unpack_tensor
from subbyte.spec.program import Program
from subbyte.spec.records import unpack_records
from subbyte.spec.transport import Transport


class DriverError(Exception):
    """The engine at the other end is not the one that the program is for, or answers nonsense."""


class Driver:
    """Talks to one engine.

    Parameters
    ----------
    transport : Transport
    program : Program or None
        Loaded at once when given, see `load`.
    """

    def __init__(self, transport: Transport, program: Program | None = None) -> None:
        self._transport = transport
        self._program: Program | None = None
        self._cycles: int | None = None
        if program is not None:
            self.load(program)

    @property
    def program(self) -> Program:
        """The program in the engine. DriverError before `load`."""
        if self._program is None:
            raise DriverError("No program is loaded; call load(program) first")
        return self._program

    @property
    def cycles(self) -> int:
        """Clock cycles that the last run counted, by default all. DriverError before the first run."""
        if self._cycles is None:
            raise DriverError("Nothing has run yet")
        return self._cycles

    def identify(self) -> str:
        """First six hexadecimal digits of the engine's digest. DriverError on a foreign answer."""
        self._transport.send(frames.identify())
        answer = self._transport.receive(frames.IDENTITY_BYTES)
        magic, version = divmod(answer[-1], 16)
        if magic != frames.MAGIC:
            raise DriverError(f"No Subbyte engine answers: expected magic {frames.MAGIC:x}, got {magic:x}")
        if version != frames.PROTOCOL_VERSION:
            raise DriverError(f"Engine speaks protocol version {version}, this driver {frames.PROTOCOL_VERSION}")
        return answer[: frames.DIGEST_BYTES].hex()

    def check(self, engine: EngineConfig) -> None:
        """DriverError unless the engine at the other end has this configuration."""
        found, wanted = self.identify(), engine.digest()[: 2 * frames.DIGEST_BYTES]
        if found != wanted:
            raise DriverError(
                f"The program is for engine {engine.name} ({wanted}), the device holds another engine ({found}); "
                f"build and flash {engine.name}, or compile for the engine of the device"
            )

    def load(self, program: Program) -> None:
        """Check the engine, then write descriptors, weights, tables and borders."""
        self.check(program.engine)
        for space, address, units in program.image():
            self._transport.send(frames.write(space, address, units))
        self._program, self._cycles = program, None

    def write_input(self, codes: NDArray[np.int64]) -> None:
        """Write input codes (height, width, channels). ValueError on a wrong shape or range."""
        layout = self.program.layouts[self.program.input]
        self._transport.send(frames.write(Space.MAIN, layout.address // 4, pack_tensor(layout, codes)))

    def run(self, counter: Counter = Counter.CYCLES) -> int:
        """Run the program on the input that is in memory, once: it may be overwritten. The clock cycles that `counter`
        counts."""
        if self._program is None:
            raise DriverError("No program is loaded; call load(program) first")
        self._transport.send(frames.run(counter))
        self._cycles = frames.parse_count(self._transport.receive(frames.COUNTER_BYTES))
        return self._cycles

    def read_tensor(self, name: str) -> NDArray[np.int64]:
        """Codes (height, width, channels) of a tensor of the program, records in their places."""
        layouts = self.program.layouts
        if name not in layouts:
            raise DriverError(f"Tensor must be one of {', '.join(layouts)}, not {name!r}")
        layout, block = layouts[name], self.program.records.get(name)
        codes = unpack_tensor(layout, self._read(layout.address // 4, 4 * layout.words))
        if block is not None:
            codes += unpack_records(block, self._read(4 * block.word, 4 * block.words), layout.channels)
        return codes

    def infer(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Input codes -> output codes, both (height, width, channels)."""
        self.write_input(codes)
        self.run()
        return self.read_tensor(self.program.output)

    def infer_taps(self, codes: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """Like `infer`, but every tensor of the program by name, in the order of the layouts.

        Where tensors share words, parts of the program are loaded and run first, which stop while they are there.
        """
        found: dict[str, NDArray[np.int64]] = {}
        parts = self.program.prefixes()
        for part, names in parts:
            if len(parts) > 1:
                self.load(part)
            self.write_input(codes)
            self.run()
            found |= {name: self.read_tensor(name) for name in names}
        return {name: found[name] for name in self.program.layouts}

    def _read(self, first: int, count: int) -> NDArray[np.uint16]:
        data = b""
        for address, units in frames.bursts(first, count):
            self._transport.send(frames.read(address, units))
            data += self._transport.receive(frames.UNIT_BYTES * units)
        return np.frombuffer(data, dtype="<u2").astype(np.uint16)
