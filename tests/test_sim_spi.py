"""The simulated board behind SPI: the same driver as on a serial port, and what a cut exchange leaves behind."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from networks import random_codes, random_network

from subbyte.boards.spi_device import SpiDevice
from subbyte.boards.wires import SpiWires
from subbyte.cli.ports import linked_design
from subbyte.compiler.schedule import schedule
from subbyte.golden import reference
from subbyte.host.driver import Driver
from subbyte.host.link_transport import LinkTransport
from subbyte.host.spi_line import SpiLine
from subbyte.sim.simulated_spi import SimulatedSpi
from subbyte.spec import frames, link
from subbyte.spec.engine import EngineConfig, Family, Lane

pytestmark = pytest.mark.cocotb

ENGINE = EngineConfig(
    name="spi", family=Family.ECP5, lane=Lane.DIGIT, k=4, m=1, p=1, r=1, operand_bits=6, fill_nibbles=4,
    memory_words=256, ring_rows=16, tile_words=16, param_entries=16, table_slots=8, lut_slots=4, lut_bits=8,
)
SCLK_CYCLES = SpiDevice.SCLK_CYCLES + 0.2
"""As fast as a host may be; no multiple of the board's clock, so that all phases come."""
CUTS = [(0, 3), (0, 8 * 7), (1, 8 * 4 + 5), (1, 8 * 5), (2, 8 * 9 + 1), (4, 8 * 13 + 7), (6, 4), (7, 20)]
"""Exchange, and bits of it."""


class CuttingBus:
    """A simulated bus on which one exchange may be cut: the board is no longer selected, and the host reads zeros."""

    def __init__(self, bus: SimulatedSpi) -> None:
        self._bus = bus
        self.byte_seconds = bus.byte_seconds
        self.turn: int | None = None  # so many exchanges from now
        self.bits = 0

    def now(self) -> float:
        return self._bus.now()

    def exchange(self, data: bytes) -> bytes:
        turn, self.turn = self.turn, None if not self.turn else self.turn - 1
        if turn != 0:
            return self._bus.exchange(data)
        return self._bus.cut(data, min(self.bits, 8 * len(data) - 1)).ljust(len(data), b"\0")


@pytest.fixture(scope="module")
def bus() -> Iterator[SimulatedSpi]:
    with SimulatedSpi(linked_design(ENGINE, SpiWires()), SCLK_CYCLES) as bus:
        yield bus


def test_driver_equals_reference(bus: SimulatedSpi, rng: np.random.Generator) -> None:
    """Nothing disturbs the wires: what must be tried again is wrong."""
    network = random_network(rng, ENGINE)
    program, codes = schedule(network, ENGINE), random_codes(rng, network, 2)
    driver = Driver(LinkTransport(SpiLine(bus), 1e-4, 1e-2, attempts=1), program, attempts=1)
    assert (driver.batch(codes) == reference.run(network, codes)).all()
    assert driver.cycles > 0 and driver.identify().link == link.VERSION


def test_cuts(bus: SimulatedSpi, rng: np.random.Generator) -> None:
    """Of a request or of a poll, amid a byte or between two: the inference is right, and so is the next one."""
    network = random_network(rng, ENGINE, 1)
    program, codes = schedule(network, ENGINE), random_codes(rng, network, 2)
    expected = reference.run(network, codes)
    cutting = CuttingBus(bus)
    driver = Driver(LinkTransport(SpiLine(cutting), 1e-4, 1e-2), program)
    for turn, bits in CUTS:
        cutting.turn, cutting.bits = turn, bits
        assert (driver.infer(codes[0]) == expected[0]).all(), (turn, bits)
        assert cutting.turn is None
        assert (driver.infer(codes[1]) == expected[1]).all(), (turn, bits)


def test_reset(bus: SimulatedSpi) -> None:
    """The board's own: what it was about to say is forgotten."""
    driver = Driver(LinkTransport(SpiLine(bus), 1e-4, 1e-2, attempts=1))
    expected = driver.identify()
    bus.exchange(bytes([link.END]) + link.request(200, frames.identify()) + bytes([link.END]))
    bus.reset_board()
    assert bus.exchange(bytes(4)) == 2 * link.PAUSE
    assert driver.identify().engine == expected.engine
