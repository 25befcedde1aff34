"""UART, 8 data bits, no parity, 1 stop bit: byte streams on one side, two wires on the other."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
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

    The link has no flow control: a byte that is not taken before the next one begins is lost.
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
        """One shift register. The start bit that has come through tells that the data is complete."""
        m = Module()
        rx = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, rx, init=1)
        timer = Signal(range(self._divisor))
        middle = timer == self._divisor // 2 - 1
        receiving, started = Signal(), Signal()
        data = Signal(9, reset_less=True)  # all ones until the start bit comes in

        m.d.comb += self.o.payload.eq(data[1:])
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        m.d.sync += timer.eq(timer + 1)
        with m.If(~receiving | (timer == self._divisor - 1)):
            m.d.sync += timer.eq(0)
        with m.If(~receiving):
            with m.If(~rx):
                m.d.sync += [receiving.eq(1), started.eq(0), data.eq(~0), self.o.valid.eq(0)]
        with m.Elif(middle):
            m.d.sync += started.eq(1)
            with m.If(data[0]):
                m.d.sync += [data.eq(Cat(data[1:], rx)), receiving.eq(started | ~rx)]
            with m.Else():
                m.d.sync += [receiving.eq(0), self.o.valid.eq(rx)]
        return m


class UartTransmitter(wiring.Component):
    """Sends a byte in 10 * divisor cycles; ready again with the last cycle of the stop bit, then once a bit.

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
        """One shift register: start bit, data from bit 0, stop bit, and zeros behind it tell that it is the last."""
        m = Module()
        timer = Signal(range(self._divisor))
        tick = timer == self._divisor - 1
        data = Signal(10, init=1)
        ready = Signal()  # at the tick behind the last bit

        m.d.comb += [self.tx.eq(data[0]), self.i.ready.eq(ready)]
        m.d.sync += [
            timer.eq(Mux(tick, 0, timer + 1)),
            ready.eq((timer == self._divisor - 2) & (data[1:] == 0)),
        ]
        with m.If(tick):
            with m.If(~ready):
                m.d.sync += data.eq(data >> 1)
            with m.Elif(self.i.valid):
                m.d.sync += data.eq(Cat(0, self.i.payload, 1))
        return m
