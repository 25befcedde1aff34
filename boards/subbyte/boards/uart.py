"""UART, 8 data bits, no parity, 1 stop bit: byte streams on one side, two wires on the other."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out


def _check_divisor(divisor: int) -> None:
    if not isinstance(divisor, int):
        raise TypeError(f"UART divisor must be an integer, not {divisor!r}")
    if divisor < 4:
        raise ValueError(f"UART divisor must be at least 4 clock cycles per bit, not {divisor}")


class UartReceiver(wiring.Component):
    """Samples every bit in its middle; bytes with a broken stop bit are dropped.

    The link has no flow control: a byte that is not taken before the next one ends is lost.
    Tolerates a baud error of 4 % (half a bit over nine and a half bits, less the sampling grid).

    Parameters
    ----------
    divisor : int
        Clock cycles per bit, at least 4.

    Members
    -------
    rx : In(1, init=1)
    o : Out(stream.Signature(8))
    """

    def __init__(self, divisor: int) -> None:
        _check_divisor(divisor)
        self._divisor = divisor
        super().__init__({"rx": In(1, init=1), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        """Count to the middle of the start bit, then nine times one bit."""
        m = Module()
        rx = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, rx, init=1)
        timer = Signal(range(self._divisor))
        bits = Signal(range(11))
        data = Signal(9)

        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(bits == 0):
            with m.If(~rx):
                m.d.sync += [bits.eq(10), timer.eq(self._divisor // 2 - 1)]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Else():
            m.d.sync += [timer.eq(self._divisor - 1), bits.eq(bits - 1), data.eq(Cat(data[1:], rx))]
            with m.If((bits == 10) & rx):
                m.d.sync += bits.eq(0)
            with m.If((bits == 1) & rx):
                m.d.sync += [self.o.payload.eq(data[1:]), self.o.valid.eq(1)]
        return m


class UartTransmitter(wiring.Component):
    """Sends a byte in 10 * divisor cycles; ready again with the last cycle of the stop bit.

    Parameters
    ----------
    divisor : int
        Clock cycles per bit, at least 4.

    Members
    -------
    i : In(stream.Signature(8))
    tx : Out(1, init=1)
    """

    def __init__(self, divisor: int) -> None:
        _check_divisor(divisor)
        self._divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:
        """One shift register: start bit, data from bit 0, stop bit."""
        m = Module()
        timer = Signal(range(self._divisor))
        bits = Signal(range(11))
        data = Signal(10, init=0x3FF)

        m.d.comb += [self.tx.eq(data[0]), self.i.ready.eq((bits == 0) | ((bits == 1) & (timer == 0)))]
        with m.If(self.i.ready & self.i.valid):
            m.d.sync += [data.eq(Cat(0, self.i.payload, 1)), bits.eq(10), timer.eq(self._divisor - 1)]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(bits != 0):
            m.d.sync += [data.eq(Cat(data[1:], 1)), bits.eq(bits - 1), timer.eq(self._divisor - 1)]
        return m
