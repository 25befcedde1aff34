"""The host's end of a board's UART."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import Event, FallingEdge, First, Timer

from subbyte.sim.benches.timing import PERIOD_NS, cycles


class Uart:
    """Both directions of the wire, as a host's adapter sees them. Of the job: `divisor`, clock cycles per bit.

    write : hexadecimal bytes to send; done at once, the bytes follow those before
    read : at most this many clock cycles pass until a byte is there, and no other one follows; `data`, what has come
    """

    def __init__(self, dut: Any, job: dict[str, Any]) -> None:
        divisor = job["divisor"]
        self._dut, self._bit = dut, divisor * PERIOD_NS
        self._silence = 15 * divisor  # cycles in which a byte that follows at once comes
        self._queue = bytearray()
        self._filled = Event()
        self._received = bytearray()
        self._came = Event()
        dut.rx.value = 1

    def start(self) -> None:
        """Once the board is there."""
        cocotb.start_soon(self._send())
        cocotb.start_soon(self._receive())

    async def do(self, what: str, value: Any) -> dict[str, object]:
        """What is asked for, and the answer."""
        if what == "read":
            return {"data": await self._read(value)}
        self._queue += bytes.fromhex(value)
        self._filled.set()
        return {}

    async def _read(self, most: int) -> str:
        """What came until the wire was silent again, as from a USB adapter; `most` cycles at most."""
        end = cycles() + most
        wait = 0 if self._received else most
        while wait > 0:
            self._came.clear()
            before = len(self._received)
            await First(self._came.wait(), Timer(wait * PERIOD_NS, unit="ns"))
            wait = min(self._silence, end - cycles()) if len(self._received) > before else 0
        data, self._received = bytes(self._received), bytearray()
        return data.hex()

    async def _send(self) -> None:
        """For ever: bytes out of the queue, 8N1, one behind the other."""
        while True:
            while not self._queue:
                self._filled.clear()
                await self._filled.wait()
            byte = self._queue.pop(0)
            bits = byte << 1 | 1 << 9  # start bit, data from bit 0, stop bit
            position = 0
            while position < 10:  # a wait for each run of equal bits
                level, start = bits >> position & 1, position
                while position < 10 and bits >> position & 1 == level:
                    position += 1
                self._dut.rx.value = level
                await Timer((position - start) * self._bit, unit="ns")

    async def _receive(self) -> None:
        """For ever: bits sampled in their middle. A byte without its stop bit is dropped."""
        tx, half = self._dut.tx, self._bit // 2
        while True:
            if int(tx.value):
                await FallingEdge(tx)
            await Timer(half, unit="ns")
            byte = 0
            for bit in range(9):
                await Timer(self._bit, unit="ns")
                byte |= int(tx.value) << bit
            if byte >> 8:
                self._received.append(byte & 0xFF)
                self._came.set()
            else:
                await Timer(self._bit, unit="ns")
