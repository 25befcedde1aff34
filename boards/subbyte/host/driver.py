"""`Driver`: loads a program into an engine and runs inferences, over any transport."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from subbyte.host.errors import DriverError, LinkError, ProgramLostError
from subbyte.spec import frames
from subbyte.spec.engine import EngineConfig
from subbyte.spec.frames import Counter, Space
from subbyte.spec.packing import pack_tensor, unpack_tensor
from subbyte.spec.program import Program
from subbyte.spec.program_digest import program_digest, stored_digest, word_zero
from subbyte.spec.records import unpack_records
from subbyte.spec.transport import ResettingTransport, Transport

WORD_UNITS = 4
T = TypeVar("T")


@dataclass(frozen=True)
class Identity:
    """What is at the other end.

    engine : first six hexadecimal digits of the configuration's digest
    program : eight hexadecimal digits of the digest of the program in memory; None when none is there as a whole
    link : version of the framed link; None without one
    """

    engine: str
    program: str | None
    link: int | None


class Driver:
    """Talks to one engine.

    A transport that can reset the engine (a board's link) is taken to be one that fails at times: what fails there is
    done again, at most `attempts` times, after a reset and, if the board has lost it, a load.

    Parameters
    ----------
    transport : Transport
    program : Program or None
        Loaded at once when given, see `load`.
    attempts : int
        How often an inference is tried over a transport that can reset the engine.

    DriverError, of which LinkError is one, when the engine is not the right one or does not answer. It leaves neither
    a wrong answer nor half a program that would be taken for a whole one.
    """

    def __init__(self, transport: Transport, program: Program | None = None, attempts: int = 3) -> None:
        self._transport = transport
        self._link = transport if isinstance(transport, ResettingTransport) else None
        self._attempts = attempts if self._link else 1
        self._program: Program | None = None
        self._digest = 0
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

    def identify(self) -> Identity:
        """Engine and program at the other end. DriverError on a foreign answer."""
        self._transport.send(frames.identify())
        answer = self._transport.receive(frames.IDENTITY_BYTES)
        magic, version = divmod(answer[-1], 16)
        if magic != frames.MAGIC:
            raise DriverError(f"No Subbyte engine answers: expected magic {frames.MAGIC:x}, got {magic:x}")
        if version != frames.PROTOCOL_VERSION:
            raise DriverError(f"Engine speaks protocol version {version}, this driver {frames.PROTOCOL_VERSION}")
        found = 0 if self._lost() else stored_digest(self._read(0, WORD_UNITS))
        return Identity(
            answer[: frames.DIGEST_BYTES].hex(), _digits(found) if found else None,
            None if self._link is None else self._link.version,
        )

    def check(self, engine: EngineConfig) -> None:
        """DriverError unless the engine at the other end has this configuration."""
        found, wanted = self.identify().engine, engine.digest()[: 2 * frames.DIGEST_BYTES]
        if found != wanted:
            raise DriverError(
                f"The program is for engine {engine.name} ({wanted}), the device holds another engine ({found}); "
                f"build and flash {engine.name}, or compile for the engine of the device"
            )

    def attach(self, program: Program) -> None:
        """Use a program that is in the engine already. DriverError when another one is there, or none."""
        self.check(program.engine)
        digest = program_digest(program)
        self._confirm(digest)
        self._program, self._digest, self._cycles = program, digest, None

    def load(self, program: Program) -> None:
        """Check the engine, then write descriptors, weights, tables and borders."""
        self.check(program.engine)
        self._write_image(program, program.image())

    def reload(self, program: Program) -> None:
        """Load a program, but of its image only what differs from the one that is loaded: other weights, as a rule."""
        if program.engine != self.program.engine:
            raise DriverError(f"Program must be for engine {self.program.engine.name}, not {program.engine.name}")
        self._confirm(self._digest)
        start = (Space.MAIN, 0)
        there = {(space, address): units for space, address, units in self.program.image()}
        self._write_image(program, [
            (space, address, units) for space, address, units in program.image()
            if (space, address) not in there or (space, address) == start
            or not np.array_equal(there[space, address], units)
        ])

    def reset(self) -> None:
        """Reset the engine, which ends a run; all memories stay. DriverError when the transport cannot."""
        if self._link is None:
            raise DriverError("This transport cannot reset the engine; use the reset of its bus")
        self._link.reset()

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
        codes = unpack_tensor(layout, self._read(layout.address // 4, WORD_UNITS * layout.words))
        if block is not None:
            codes += unpack_records(
                block, self._read(WORD_UNITS * block.word, WORD_UNITS * block.words), layout.channels
            )
        return codes

    def infer(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Input codes -> output codes, both (height, width, channels)."""
        name = self.program.output
        return self._inference(codes, lambda: self.read_tensor(name))

    def infer_taps(self, codes: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """Like `infer`, but every tensor of the program by name, in the order of the layouts."""
        return {name: values[0] for name, values in self.batch_taps(codes[None]).items()}

    def batch(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """`infer` for each of the inputs (n, height, width, channels), n >= 1."""
        return np.stack([self.infer(code) for code in codes])

    def batch_taps(self, codes: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """`infer_taps` for each of the inputs (n, height, width, channels), n >= 1.

        Where tensors share words, parts of the program are loaded and run first, which stop while they are there.
        """
        program, found = self.program, dict[str, NDArray[np.int64]]()
        parts = program.prefixes()
        try:
            for part, names in parts:
                if len(parts) > 1:
                    self.load(part)
                taps = [self._inference(code, partial(self._tensors, names)) for code in codes]
                found |= {name: np.stack(values) for name, values in zip(names, zip(*taps, strict=True), strict=True)}
        except BaseException:
            if self._program is not program:
                self._program = None  # a part must not pass for the whole
            raise
        return {name: found[name] for name in program.layouts}

    def _tensors(self, names: list[str]) -> list[NDArray[np.int64]]:
        return [self.read_tensor(name) for name in names]

    def counters(self, codes: NDArray[np.int64]) -> dict[Counter, int]:
        """All counters of one inference: as many runs of the same input."""
        return {counter: self._inference(codes, lambda: self.cycles, counter) for counter in Counter}

    def _inference(
        self, codes: NDArray[np.int64], result: Callable[[], T], counter: Counter = Counter.CYCLES
    ) -> T:
        """`result` after a run on an input. Both must go well, else all is done again."""
        program, failed = self.program, LinkError("No attempt was made")
        for attempt in range(self._attempts):
            try:
                if attempt:
                    self._recover(program)
                self._confirm(self._digest)
                self.write_input(codes)
                self.run(counter)
                answer = result()
                self._keep()
                return answer
            except LinkError as error:
                failed = error
        raise failed

    def _recover(self, program: Program) -> None:
        """After a failure: end what runs; load again what a board that was reset has lost, or never got as a whole."""
        self.reset()
        if self._lost() or stored_digest(self._read(0, WORD_UNITS)) == 0:
            try:
                self.load(program)
            finally:
                self._program = program

    def _lost(self) -> bool:
        """Whether the last answer came from a board that was reset since the load, or never loaded."""
        return self._link is not None and not self._link.marked

    def _keep(self) -> None:
        """ProgramLostError when the board was reset."""
        if self._lost():
            raise ProgramLostError("The board was reset, its program is lost; load it again")

    def _confirm(self, digest: int) -> None:
        """DriverError unless the program with this digest is in memory as a whole."""
        found = stored_digest(self._read(0, WORD_UNITS))
        self._keep()
        if found != digest:
            held = f"program {_digits(found)}" if found else "no whole program"
            raise DriverError(f"The device holds {held}, not program {_digits(digest)}; load it again")

    def _write_image(self, program: Program, parts: list[tuple[Space, int, NDArray[np.uint16]]]) -> None:
        """Word 0 is cleared before and written last. The first part begins with it."""
        self._program, self._cycles = None, None
        digest = program_digest(program)
        (_, _, descriptors), *others = parts
        self._transport.send(frames.write(Space.MAIN, 0, np.zeros(WORD_UNITS, dtype=np.uint16)))
        if self._link:
            self._link.reset(mark=True)
        self._transport.send(frames.write(Space.MAIN, WORD_UNITS, descriptors[WORD_UNITS:]))
        for space, address, units in others:
            self._transport.send(frames.write(space, address, units))
        self._keep()
        self._transport.send(frames.write(Space.MAIN, 0, word_zero(descriptors[:WORD_UNITS], digest)))
        self._program, self._digest = program, digest

    def _read(self, first: int, count: int) -> NDArray[np.uint16]:
        data = b""
        for address, units in frames.bursts(first, count):
            self._transport.send(frames.read(address, units))
            data += self._transport.receive(frames.UNIT_BYTES * units)
        return np.frombuffer(data, dtype="<u2").astype(np.uint16)


def _digits(digest: int) -> str:
    """A program's digest, hexadecimal."""
    return f"{digest:08x}"
