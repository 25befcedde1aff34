"""The wires that a board's link is on: the pins, and the gateware between them and the link's byte streams."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, ClassVar

from amaranth.build import Attrs, Platform, Resource
from amaranth.hdl import Module
from amaranth.lib import io
from amaranth.lib.wiring import In, Out
from amaranth_boards.resources import SPIResource

from subbyte.boards.spi_device import SpiDevice
from subbyte.boards.uart import UartReceiver, UartTransmitter

_SPI = "spi_link"
"""Name of the resource."""

ICE40_PULLED_UP = Attrs(IO_STANDARD="SB_LVCMOS", PULLUP=1)
ECP5_PULLED_UP = Attrs(IO_TYPE="LVCMOS33", PULLMODE="UP")


def spi_pins(select: str, copi: str, cipo: str, sclk: str, conn: tuple[str, int], attrs: Attrs) -> Resource:
    """Pins of a connector for an SPI host, in the order of an SPI Pmod; `select` is active low.

    `attrs` pull up, so that nothing is selected while nothing is connected.
    """
    return SPIResource(_SPI, 0, cs_n=select, copi=copi, cipo=cipo, clk=sclk, conn=conn, attrs=attrs, role="peripheral")


class Wire(enum.Enum):
    """What the link is on."""

    UART = "uart"
    SPI = "spi"
    NONE = "none"  #: of a standalone board that says its classes on a UART and hears nothing


@dataclass(frozen=True)
class UartWires:
    """Two wires. `divisor`: clock cycles per bit."""

    divisor: int
    MEMBERS: ClassVar = {"rx": In(1, init=1), "tx": Out(1, init=1)}

    def streams(self, m: Module, ports: Any) -> tuple[Any, Any, list[Any]]:
        """(bytes from the host, bytes to the host, what joins them to `ports`, which has the members)."""
        m.submodules.receiver = receiver = UartReceiver(self.divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(self.divisor)
        return receiver.o, transmitter.i, [receiver.rx.eq(ports.rx), ports.tx.eq(transmitter.tx)]

    def pins(self, m: Module, platform: Platform, ports: Any) -> None:
        """Joins `ports` to the pins of the board."""
        uart = platform.request("uart", 0, dir="-")
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.d.comb += [ports.rx.eq(rx.i), tx.o.eq(ports.tx)]


@dataclass(frozen=True)
class SpiWires:
    """Four wires. `cipo` is driven while the host selects the board, which may share the other three."""

    MEMBERS: ClassVar = {"select": In(1), "sclk": In(1), "copi": In(1), "cipo": Out(1)}

    def streams(self, m: Module, ports: Any) -> tuple[Any, Any, list[Any]]:
        """(bytes from the host, bytes to the host, what joins them to `ports`, which has the members)."""
        m.submodules.device = device = SpiDevice()
        return device.o, device.i, [
            device.select.eq(ports.select), device.sclk.eq(ports.sclk), device.copi.eq(ports.copi),
            ports.cipo.eq(device.cipo),
        ]

    def pins(self, m: Module, platform: Platform, ports: Any) -> None:
        """Joins `ports` to the pins of the board."""
        spi = platform.request(_SPI, 0, dir="-")
        m.submodules.select = select = io.Buffer("i", spi.cs)
        m.submodules.sclk = sclk = io.Buffer("i", spi.clk)
        m.submodules.copi = copi = io.Buffer("i", spi.copi)
        m.submodules.cipo = cipo = io.Buffer("o", spi.cipo)
        m.d.comb += [
            ports.select.eq(select.i), ports.sclk.eq(sclk.i), ports.copi.eq(copi.i),
            cipo.o.eq(ports.cipo), cipo.oe.eq(select.i),
        ]


@dataclass(frozen=True)
class TextWire:
    """One wire, to the host. `divisor`: clock cycles per bit."""

    divisor: int
    MEMBERS: ClassVar = {"tx": Out(1, init=1)}

    def streams(self, m: Module, ports: Any) -> tuple[None, Any, list[Any]]:
        """(None, bytes to the host, what joins them to `ports`, which has the members)."""
        m.submodules.transmitter = transmitter = UartTransmitter(self.divisor)
        return None, transmitter.i, [ports.tx.eq(transmitter.tx)]

    def pins(self, m: Module, platform: Platform, ports: Any) -> None:
        """Joins `ports` to the pins of the board."""
        uart = platform.request("uart", 0, dir="-")
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.d.comb += tx.o.eq(ports.tx)


AnyWires = UartWires | SpiWires | TextWire


def wires(wire: Wire, clock_hz: int, baud: int) -> AnyWires:
    """Those of a board with this clock and, on a UART, so many bits per second."""
    if wire is Wire.SPI:
        return SpiWires()
    return (TextWire if wire is Wire.NONE else UartWires)(round(clock_hz / baud))
