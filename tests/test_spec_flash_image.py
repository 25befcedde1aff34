"""The image of a flash: what it holds, its parts and what the commands in it do."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from test_host_driver import FakeEngine, program

from subbyte.spec import frames, link
from subbyte.spec.flash_image import (
    CHECK_BYTES,
    HEADER_BYTES,
    MAGIC,
    VERSION,
    checksum,
    flash_image,
    identification,
)
from subbyte.spec.frames import Op, Space
from subbyte.spec.packing import pack_tensor
from subbyte.spec.program import Program, TensorLayout
from subbyte.spec.program_digest import program_digest, stored_digest

CLASSES = 5


def classifier(**fields: Any) -> Program:
    """A program whose output are scores, 3 channels behind the start of their pixel."""
    one = program()
    address = max(layout.address + 16 * layout.words for layout in one.layouts.values())
    scores = {"height": 1, "width": 1, "channels": CLASSES, "pitch": 8, "nibbles": 2, "first": 3, **fields}
    return dataclasses.replace(one, layouts={**one.layouts, one.output: TensorLayout(address=address, **scores)})


def inputs(one: Program, count: int) -> list[np.ndarray]:
    layout = one.layouts[one.input]
    rng = np.random.default_rng(count)
    return list(rng.integers(0, 16, size=(count, layout.height, layout.width, layout.channels)))


def test_header() -> None:
    one = classifier()
    image = flash_image(one, inputs(one, 2))
    head, commands = image[:HEADER_BYTES], image[HEADER_BYTES:-CHECK_BYTES]
    digest = one.engine.digest()
    assert head[:8] == identification(digest) == MAGIC + bytes([VERSION]) + frames.identity(digest)
    assert int.from_bytes(head[8:12], "big") == program_digest(one)
    assert head[12] == 2 and int.from_bytes(head[13:], "big") == len(commands)
    assert image[-CHECK_BYTES:] == checksum(image[:-CHECK_BYTES])


def test_commands_load_the_program() -> None:
    """Every unit of its image, and the digest at last."""
    one = classifier()
    *commands, last = link.commands(flash_image(one)[HEADER_BYTES:-CHECK_BYTES])
    assert all(command[4] & 3 == Op.WRITE for command in commands)
    engine = FakeEngine()
    engine.send(b"".join(commands))
    assert not engine.memory[Space.MAIN][:4].any()
    engine.send(last)
    assert stored_digest(engine.memory[Space.MAIN][:4]) == program_digest(one)
    wanted = FakeEngine()
    for part in one.image():
        wanted.send(frames.write(*part))
    assert all(np.array_equal(engine.memory[space][4:], wanted.memory[space][4:]) for space in Space)


def test_commands_of_the_inputs() -> None:
    one = classifier()
    codes = inputs(one, 3)
    loading, whole = flash_image(one), flash_image(one, codes)
    loading, whole = loading[HEADER_BYTES:-CHECK_BYTES], whole[HEADER_BYTES:-CHECK_BYTES]
    assert whole.startswith(loading)
    layout, scores = one.layouts[one.input], one.layouts[one.output]
    wanted = b"".join(
        frames.write(Space.MAIN, layout.address // 4, pack_tensor(layout, each)) + frames.run()
        + bytes([CLASSES - 1]) + (scores.address // 2 + 3).to_bytes(3, "little") + bytes([Op.READ])
        for each in codes
    )
    assert whole[len(loading) :] == wanted


def test_too_many_inputs() -> None:
    one = classifier()
    with pytest.raises(ValueError, match=r"^Inputs of a flash image must be at most 255, not 256$"):
        flash_image(one, inputs(one, 1) * 256)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"height": 2}, r"\(2, 1, 5\) codes"),
        ({"channels": 1}, r"\(1, 1, 1\) codes"),
        ({"channels": 101, "pitch": 104}, r"\(1, 1, 101\) codes"),
        ({"nibbles": 1}, r"\(1, 1, 5\) codes of another width"),
    ],
)
def test_networks_that_do_not_classify(fields: dict[str, int], told: str) -> None:
    """They may be loaded, but without inputs."""
    one = classifier(**fields)
    assert flash_image(one)
    message = rf"^Output of a network that a board classifies with must be 2\.\.100 codes of a byte each, not {told}$"
    with pytest.raises(ValueError, match=message):
        flash_image(one, inputs(one, 1))


def test_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subbyte.spec.flash_image.LENGTH_BITS", 6)
    with pytest.raises(ValueError, match=r"^Commands of a flash image must have less than 64 bytes, not \d+$"):
        flash_image(classifier())


def test_checksum_finds_single_bits() -> None:
    image = flash_image(classifier())
    for place in range(0, len(image) - CHECK_BYTES, 7):
        damaged = image[:place] + bytes([image[place] ^ 1 << place % 8]) + image[place + 1 :]
        assert checksum(damaged[:-CHECK_BYTES]) != damaged[-CHECK_BYTES:]
