"""An SPI flash in Python: mode 0, deep power-down, READ, whatever else is told to it is kept and not done."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Elaboratable, Module, Signal

RELEASE_CYCLES = 4_000
"""From RELEASE to the first command that is heard: 40 us at 100 MHz."""
MINIMUM_CYCLES = 2
"""Shortest high or low time of the clock, and of the selection before and behind its edges."""


class Clocked(Elaboratable):
    """A component, and how many cycles have passed: the model looks at its pins when they change only."""

    def __init__(self, dut: Elaboratable) -> None:
        self.dut, self.cycles = dut, Signal(32)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.dut = self.dut
        m.d.sync += self.cycles.eq(self.cycles + 1)
        return m


class FlashModel:
    """What is on the pins of a `FlashPins`, in deep power-down at first. Bytes behind `content` are blank, 0xFF.

    `commands`: first bytes of all that it was told while it heard, with the bytes behind those of READ's address.
    `edges`: of the clock while it was not selected.
    """

    def __init__(self, content: bytes, address: int) -> None:
        self._content, self._address = content, address
        self.commands: list[bytes] = []
        self.edges = 0
        self._asleep, self._hears_at = True, 0

    def byte(self, address: int) -> int:
        """What is at an address; they wrap."""
        at = address % (1 << 24) - self._address
        return self._content[at] if 0 <= at < len(self._content) else 0xFF

    async def bench(self, ctx: Any, pins: Any, cycles: Signal) -> None:
        """For ever."""
        told, bits, out, before, selected, changed = b"", "", "", 0, 0, -MINIMUM_CYCLES
        hears, address = False, 0
        async for clock, select in ctx.changed(pins.clock, pins.select):
            cycle, copi = ctx.get(cycles), ctx.get(pins.copi)
            assert not (selected and cycle - changed < MINIMUM_CYCLES), "the clock is too fast"
            changed = cycle
            if select and not selected:
                assert not clock, "selected with the clock high"
                told, bits, out, hears = b"", "", "", cycle >= self._hears_at
            elif not select and selected:
                self._over(told, bits, hears, cycle)
            elif clock != before and not select:
                self.edges += clock
            elif clock > before:
                bits += str(copi)
                if len(bits) == 8:
                    told, bits = told + bytes([int(bits, 2)]), ""
                    if len(told) == 4 and told[0] == 0x03 and hears and not self._asleep:
                        self.commands.append(told)
                        address = int.from_bytes(told[1:], "big")
                        out = f"{self.byte(address):08b}"
            elif clock < before and out:
                ctx.set(pins.cipo, int(out[0]))
                out = out[1:]
                if not out:
                    address += 1
                    out = f"{self.byte(address):08b}"
            before, selected = clock, select

    def _over(self, told: bytes, bits: str, hears: bool, cycle: int) -> None:
        """Not selected any more: RELEASE happens now."""
        if told[:1] == b"\x03":
            return
        assert not bits, "half a command"
        self.commands.append(told)
        if told == b"\xab" and hears:
            self._asleep, self._hears_at = False, cycle + RELEASE_CYCLES
