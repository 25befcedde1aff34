"""Bench of a board's UART: does what the other end of a socket asks for, while simulated time stands still between.

Parameters come in the JSON file that SUBBYTE_BENCH names: `socket`, its path; `divisor`, clock cycles per bit.
A request is a line of JSON, and so is its answer:

write : hexadecimal bytes to send; answered at once, the bytes follow those before
read : at most this many clock cycles pass until a byte is there, and no other one follows; `data`, what has come
reset : so many clock cycles of reset
now : clock cycles so far
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Event, FallingEdge, First, Timer
from cocotb.utils import get_sim_time

PERIOD_NS = 10


class Uart:
    """Both directions of the wire, as a host's adapter sees them. `silence`: cycles for a byte that follows at once."""

    def __init__(self, dut: Any, divisor: int) -> None:
        self._dut, self._bit = dut, divisor * PERIOD_NS
        self.silence = 15 * divisor
        self._queue = bytearray()
        self._filled = Event()
        self.received = bytearray()
        self.came = Event()

    def write(self, data: bytes) -> None:
        """Bytes to send."""
        self._queue += data
        self._filled.set()

    async def send(self) -> None:
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

    async def receive(self) -> None:
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
                self.received.append(byte & 0xFF)
                self.came.set()
            else:
                await Timer(self._bit, unit="ns")


def _cycles() -> int:
    return int(get_sim_time("ns")) // PERIOD_NS


async def _reset(dut: Any, cycles: int) -> None:
    await FallingEdge(dut.clk)
    dut.rst.value = 1
    await ClockCycles(dut.clk, cycles)
    await FallingEdge(dut.clk)
    dut.rst.value = 0


async def _read(uart: Uart, cycles: int) -> str:
    """What came until the wire was silent again, as from a USB adapter; `cycles` at most."""
    end = _cycles() + cycles
    wait = 0 if uart.received else cycles
    while wait > 0:
        uart.came.clear()
        before = len(uart.received)
        await First(uart.came.wait(), Timer(wait * PERIOD_NS, unit="ns"))
        wait = min(uart.silence, end - _cycles()) if len(uart.received) > before else 0
    data, uart.received = bytes(uart.received), bytearray()
    return data.hex()


@cocotb.test()  # type: ignore[untyped-decorator]
async def serve(dut: Any) -> None:
    """Reset, then requests until the socket is closed."""
    job = json.loads(Path(os.environ["SUBBYTE_BENCH"]).read_text())
    dut.rx.value = 1
    dut.rst.value = 1
    Clock(dut.clk, PERIOD_NS, unit="ns").start()
    await _reset(dut, 3)
    uart = Uart(dut, job["divisor"])
    cocotb.start_soon(uart.send())
    cocotb.start_soon(uart.receive())
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(job["socket"])
        with link.makefile("rw") as stream:
            for line in stream:
                ((what, value),) = json.loads(line).items()
                told: dict[str, object] = {}
                if what == "write":
                    uart.write(bytes.fromhex(value))
                elif what == "read":
                    told = {"data": await _read(uart, value)}
                elif what == "reset":
                    await _reset(dut, value)
                print(json.dumps({**told, "now": _cycles()}), file=stream, flush=True)
