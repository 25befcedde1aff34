"""What a board reads from its SPI flash when it starts: a program, and inputs to run it on, as the engine's commands.

=========  ==========================================================================================================
header     `HEADER_BYTES`: MAGIC, VERSION, what the engine answers to IDENTIFY, the program's digest (4), how many
           inputs there are (1), how many bytes of commands (3)
commands   WRITE of everything that the program's memories hold, word 0 of main memory last; then for each input
           WRITE of the input, RUN, and READ of the output codes
checksum   `checksum` of header and commands
=========  ==========================================================================================================

Numbers outside of commands are big endian: that is the order in which the bits leave the flash.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from subbyte.spec import frames
from subbyte.spec.engine import WORD_BITS
from subbyte.spec.frames import Space
from subbyte.spec.packing import pack_tensor
from subbyte.spec.program import Program
from subbyte.spec.program_digest import program_digest, word_zero

MAGIC = b"SBY"
VERSION = 1
HEADER_BYTES = 16
LENGTH_BITS = 20
"""Of the bytes of commands."""
CHECK_BYTES = 4
MAX_INPUTS = 255
MAX_CLASSES = 100
"""A board says two decimal digits."""

_WORD_UNITS = WORD_BITS // (8 * frames.UNIT_BYTES)
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def checksum(data: bytes) -> bytes:
    """CRC-32/MPEG-2: that of zlib for bits that come high first, without the final inversion; 0 with itself behind."""
    reflected = zlib.crc32(data.translate(_REVERSED)) ^ 0xFFFFFFFF
    return reflected.to_bytes(CHECK_BYTES, "little").translate(_REVERSED)


def identification(engine_digest: str) -> bytes:
    """First bytes of an image for the engine with this digest: magic, version and the engine's identity."""
    return MAGIC + bytes([VERSION]) + frames.identity(engine_digest)


def flash_image(program: Program, inputs: Iterable[NDArray[np.int64]] = ()) -> bytes:
    """The image of a program, and of input codes (height, width, channels) that the board classifies when it starts.

    ValueError when it is too long, there are more than `MAX_INPUTS` inputs, or the network is no classifier.
    """
    (_, _, descriptors), *others = program.image()
    digest, codes = program_digest(program), list(inputs)
    parts = [frames.write(Space.MAIN, _WORD_UNITS, descriptors[_WORD_UNITS:])]
    parts += [frames.write(*part) for part in others]
    parts.append(frames.write(Space.MAIN, 0, word_zero(descriptors[:_WORD_UNITS], digest)))
    if len(codes) > MAX_INPUTS:
        raise ValueError(f"Inputs of a flash image must be at most {MAX_INPUTS}, not {len(codes)}")
    if codes:
        layout, scores = program.layouts[program.input], _read_scores(program)
        parts += [
            frames.write(Space.MAIN, layout.address // 4, pack_tensor(layout, one)) + frames.run() + scores
            for one in codes
        ]
    commands = b"".join(parts)
    if len(commands) >> LENGTH_BITS:
        raise ValueError(f"Commands of a flash image must have less than {1 << LENGTH_BITS} bytes, not {len(commands)}")
    head = identification(program.engine.digest()) + digest.to_bytes(4, "big") + bytes([len(codes)])
    body = head + len(commands).to_bytes(HEADER_BYTES - len(head), "big") + commands
    return body + checksum(body)


def _read_scores(program: Program) -> bytes:
    """READ of the output's codes, a byte each. ValueError unless they are what the largest can be looked for in."""
    layout = program.layouts[program.output]
    shape = (layout.height, layout.width, layout.channels)
    plain = layout.nibbles == 2 and not layout.packed and program.output not in program.records
    if not (shape[:2] == (1, 1) and 2 <= layout.channels <= MAX_CLASSES and plain):
        raise ValueError(
            f"Output of a network that a board classifies with must be 2..{MAX_CLASSES} codes of a byte each, "
            f"not {shape} codes{'' if plain else ' of another width'}"
        )
    return frames.read_bytes(layout.origin // 2, layout.channels)
