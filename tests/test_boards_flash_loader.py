# amaranth: UnusedElaboratable=no
"""The loader between a model of a flash and one of an engine: what is right is loaded, nothing of what is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import flash_model
import numpy as np
import pytest
from flash_model import Clocked, FlashModel
from hw_bench import simulate

from subbyte.boards import spi_flash
from subbyte.boards.flash_loader import FlashLoader
from subbyte.spec import frames
from subbyte.spec.flash_image import HEADER_BYTES, VERSION, checksum, identification
from subbyte.spec.frames import COUNTER_BYTES, Op, Space
from subbyte.spec.frames import HEADER_BYTES as COMMAND_BYTES

ADDRESS = 0x100000
ENGINE, OTHER = "0123456789abcdef", "0123446789abcdef"
SCORES = [[3, 200, 200, 1], [255, 0], [0, *range(12), 10, 7]]
CLASSES = [1, 0, 12]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spi_flash, "SETTLE_BYTES", 8)
    monkeypatch.setattr(flash_model, "RELEASE_CYCLES", 100)


def image(commands: bytes, head: bytes = identification(ENGINE)) -> bytes:
    """An image with a right checksum."""
    body = head + bytes.fromhex("deadbeef03") + len(commands).to_bytes(HEADER_BYTES - len(head) - 5, "big") + commands
    return body + checksum(body)


def commands(scores: list[list[int]] = SCORES) -> bytes:
    """Two WRITEs, and an inference for each list of scores."""
    rng = np.random.default_rng(3)
    parts = [frames.write(space, 7, rng.integers(1 << 16, size=3).astype(np.uint16)) for space in (Space.MAIN, 2)]
    for one in scores:
        data = rng.integers(1 << 16, size=1).astype(np.uint16)
        parts += [frames.write(Space.MAIN, 40, data), frames.run(), frames.read_bytes(81, len(one))]
    return b"".join(parts)


@dataclass
class Engine:
    """Takes commands when it likes, answers RUN with anything and READ with scores, slowly."""

    scores: list[list[int]]
    taken: bytearray = field(default_factory=bytearray)
    resets: int = 0

    async def bench(self, ctx: Any, dut: FlashLoader, rng: np.random.Generator) -> None:
        """For ever. It is ready all the time while it waits for a command, as the real one is."""
        header, left, scores = b"", 0, list(self.scores)
        while True:
            ready = int(not header or rng.integers(3) == 0)
            ctx.set(dut.commands.ready, ready)
            _, _, valid, byte, reset = await ctx.tick().sample(
                dut.commands.valid, dut.commands.payload, dut.engine_reset
            )
            if reset:
                assert not valid
                self.resets += 1
            if not (ready and valid):
                continue
            self.taken.append(byte)
            if left:
                left -= 1
                header = header if left else b""
                continue
            header += bytes([byte])
            if len(header) < COMMAND_BYTES:
                continue
            op, count = header[-1] & 3, header[0] + 1
            if op == Op.WRITE:
                left = count
                continue
            header = b""
            ctx.set(dut.commands.ready, 0)
            if op == Op.RUN:
                ctx.set(dut.busy, 1)
                await ctx.tick().repeat(30)
                ctx.set(dut.busy, 0)
            answer = rng.integers(256, size=COUNTER_BYTES).tolist() if op == Op.RUN else scores.pop(0)
            assert len(answer) == count
            for one in answer:
                ctx.set(dut.answers.payload, one)
                await ctx.tick().repeat(int(rng.integers(1, 9)))
                ctx.set(dut.answers.valid, 1)
                await ctx.tick()
                ctx.set(dut.answers.valid, 0)


def started(
    content: bytes, seed: int = 0, scores: list[list[int]] = SCORES, address: int = ADDRESS,
    change: Callable[[FlashModel], None] | None = None,
) -> tuple[Engine, str, bool, int, list[bytes]]:
    """(engine, text, loaded, digit, what the flash was told) once the loader is done; `change` between the readings."""
    rng = np.random.default_rng(seed)
    dut, flash, engine = FlashLoader(ADDRESS, ENGINE), FlashModel(content, address), Engine(scores)
    said, outcome, clocked = bytearray(), [], Clocked(dut)

    async def bench(ctx: Any) -> None:
        first = True
        while not ctx.get(dut.done):
            assert not ctx.get(dut.loaded)
            ready = int(rng.integers(2))
            ctx.set(dut.text.ready, ready)
            _, _, valid, byte, reset = await ctx.tick().sample(dut.text.valid, dut.text.payload, dut.engine_reset)
            if valid and ready:
                said.append(byte)
            if first and not reset and change:
                change(flash)
            first = bool(reset)
        await ctx.tick().repeat(50)
        assert ctx.get(dut.done) and not ctx.get(dut.pins.select) and not ctx.get(dut.commands.valid)
        outcome.extend([bool(ctx.get(dut.loaded)), ctx.get(dut.digit)])

    async def flashes(ctx: Any) -> None:
        await flash.bench(ctx, dut.pins, clocked.cycles)

    async def engines(ctx: Any) -> None:
        await engine.bench(ctx, dut, np.random.default_rng(seed + 1))

    simulate(clocked, bench, background=[flashes, engines])
    return engine, said.decode(), *outcome, flash.commands


READ = b"\x03" + ADDRESS.to_bytes(3, "big")


@pytest.mark.parametrize("seed", [0, 1])
def test_loads_and_classifies(seed: int) -> None:
    engine, text, loaded, digit, told = started(image(commands()), seed)
    assert bytes(engine.taken) == commands() and engine.resets > 0
    assert text == "".join(f"class {number}\r\n" for number in CLASSES) + "loaded\r\n"
    assert loaded and digit == CLASSES[-1] % 10
    assert told == 2 * [b"\xab", READ]


def test_loads_alone() -> None:
    """Without inputs nothing runs."""
    engine, text, loaded, digit, _ = started(image(commands([])), scores=[])
    assert (bytes(engine.taken), text, loaded, digit) == (commands([]), "loaded\r\n", True, 0)


PLACES = {
    "magic": 0, "version": 3, "engine": 4, "protocol": 7, "program": 9, "inputs": 12, "length": 15,
    "first command": HEADER_BYTES, "amid": HEADER_BYTES + 20, "last command": -5, "checksum": -4, "end": -1,
}


@pytest.mark.parametrize("place", PLACES)
def test_flipped_bits_are_refused(place: str) -> None:
    """Nothing reaches the engine."""
    damaged = bytearray(image(commands()))
    damaged[PLACES[place]] ^= 1 << (len(place) % 3)
    engine, text, loaded, _, _ = started(bytes(damaged))
    assert (bytes(engine.taken), text, loaded) == (b"", "refused\r\n", False)


@pytest.mark.parametrize(
    ("content", "address"),
    [
        (b"", ADDRESS),
        (bytes(40), ADDRESS),
        (image(commands(), identification(OTHER)), ADDRESS),
        (image(commands(), identification(ENGINE).replace(bytes([VERSION]), bytes([VERSION + 1]), 1)), ADDRESS),
        (image(commands())[:-30], ADDRESS),
        (image(commands()), ADDRESS + 1),
    ],
    ids=["blank", "zeros", "another engine", "another version", "cut short", "at another place"],
)
def test_what_is_no_image_is_refused(content: bytes, address: int) -> None:
    engine, text, loaded, _, told = started(content, address=address)
    assert (bytes(engine.taken), text, loaded) == (b"", "refused\r\n", False)
    assert told == [b"\xab", READ]


def test_damage_between_the_readings() -> None:
    """It reaches the engine, but what is there does not pass for the program."""

    def change(flash: FlashModel) -> None:
        flash._content = flash._content[:40] + b"\x55" + flash._content[41:]

    content = image(commands())
    assert content[40] != 0x55
    _, text, loaded, _, told = started(content, change=change)
    assert text.endswith("refused\r\n") and not loaded
    assert told == 2 * [b"\xab", READ]
