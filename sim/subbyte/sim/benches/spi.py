"""The host's end of a board's SPI, mode 0."""

from __future__ import annotations

from typing import Any

from cocotb.triggers import Timer

from subbyte.sim.benches.timing import PERIOD_NS


class Spi:
    """The host. Of the job: `sclk_cycles`, clock cycles of the board for one of the host.

    exchange : hexadecimal bytes, and how many of their bits are sent; `data`, the whole bytes that came meanwhile
    """

    def __init__(self, dut: Any, job: dict[str, Any]) -> None:
        self._dut = dut
        self._half = round(job["sclk_cycles"] * PERIOD_NS / 2)
        dut.select.value = 0
        dut.sclk.value = 0
        dut.copi.value = 0

    def start(self) -> None:
        """Nothing happens unasked."""

    async def do(self, what: str, value: Any) -> dict[str, object]:
        """What is asked for, and the answer: bits are sampled when the clock rises."""
        data, count = bytes.fromhex(value[0]), value[1]
        dut, bits = self._dut, ""
        dut.select.value = 1
        for position in range(count):
            dut.copi.value = data[position // 8] >> (7 - position % 8) & 1
            await Timer(self._half, unit="ns")
            bits += str(int(dut.cipo.value))
            dut.sclk.value = 1
            await Timer(self._half, unit="ns")
            dut.sclk.value = 0
        await Timer(self._half, unit="ns")
        dut.select.value = 0
        await Timer(2 * self._half, unit="ns")
        return {"data": bytes(int(bits[at : at + 8], 2) for at in range(0, count - 7, 8)).hex()}
