"""Bench of the engine's byte streams: sends a file of bytes, writes the answer to another.

Parameters come in the JSON file that SUBBYTE_BENCH names:

send, receive : paths of the bytes to send and of the answer to write
expected : number of answer bytes
patience : clock cycles without a byte either way after which the bench fails
idle : [send, receive], probability of a cycle without valid, without ready
seed : of the idle cycles
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge, Timer

PERIOD_NS = 10


class Traffic:
    """Bytes moved so far, for the watchdog."""

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0

    def __str__(self) -> str:
        return f"{self.sent} bytes sent, {self.received} received"


def _idle_cycles(probability: float, seed: int) -> Iterator[int]:
    """Endless idle times before each byte, geometrically distributed."""
    source = random.Random(seed)
    while True:
        count = 0
        while source.random() < probability:
            count += 1
        yield count


async def _send(dut: Any, data: bytes, idle: Iterator[int] | None, traffic: Traffic) -> None:
    """One byte a cycle while the engine is ready; sleeps on `ready` when it is not."""
    edge, wake = RisingEdge(dut.clk), RisingEdge(dut.i__ready)
    payload, valid, ready = dut.i__payload, dut.i__valid, dut.i__ready
    valid.value = 1
    for byte in data:
        if idle and (count := next(idle)):
            valid.value = 0
            await ClockCycles(dut.clk, count)
            valid.value = 1
        payload.value = byte
        await edge
        while not ready.value:
            await wake
            await edge
        traffic.sent += 1
    valid.value = 0


async def _receive(dut: Any, file: BinaryIO, count: int, idle: Iterator[int] | None, traffic: Traffic) -> None:
    """`count` bytes into `file`, flushed whenever the engine has nothing to say."""
    edge, wake = RisingEdge(dut.clk), RisingEdge(dut.o__valid)
    payload, valid, ready = dut.o__payload, dut.o__valid, dut.o__ready
    ready.value = 1
    while traffic.received < count:
        if idle and (pause := next(idle)):
            ready.value = 0
            await ClockCycles(dut.clk, pause)
            ready.value = 1
        await edge
        while not valid.value:
            file.flush()
            await wake
            await edge
        file.write(bytes((payload.value.to_unsigned(),)))
        traffic.received += 1
    ready.value = 0


async def _watch(traffic: Traffic, patience: int) -> None:
    """Fails when no byte moves for `patience` cycles."""
    while True:
        before = str(traffic)
        await Timer(patience * PERIOD_NS, unit="ns")
        if str(traffic) == before:
            raise TimeoutError(f"No byte moved for {patience} cycles: {before}")


@cocotb.test()
async def stream(dut: Any) -> None:
    """Reset, then both directions at once until the answer is complete."""
    job = json.loads(Path(os.environ["SUBBYTE_BENCH"]).read_text())
    data = Path(job["send"]).read_bytes()
    idle = [_idle_cycles(p, job["seed"] + i) if p else None for i, p in enumerate(job["idle"])]
    traffic = Traffic()
    for port in (dut.i__payload, dut.i__valid, dut.o__ready):
        port.value = 0
    dut.rst.value = 1
    Clock(dut.clk, PERIOD_NS, unit="ns").start()
    await ClockCycles(dut.clk, 3)
    await FallingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
    with Path(job["receive"]).open("wb") as file:
        tasks = [
            cocotb.start_soon(_send(dut, data, idle[0], traffic)),
            cocotb.start_soon(_receive(dut, file, job["expected"], idle[1], traffic)),
        ]
        cocotb.start_soon(_watch(traffic, job["patience"]))
        for task in tasks:
            await task
