"""Programs whose tensors share words, although there may be room for all, and what hardware may do in another order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pytest
from numpy.typing import NDArray

from subbyte.compiler import layout, memory_use
from subbyte.golden.device import Device
from subbyte.golden.execute import run_pass
from subbyte.golden.machine import Machine
from subbyte.golden.weight_stream import WeightStream
from subbyte.spec.engine import WORD_NIBBLES
from subbyte.spec.frames import Space
from subbyte.spec.packing import pack_tensor, unpack_tensor
from subbyte.spec.program import Pass, Program

SHARED, WIDENED = 1, 2
"""Choices of `placements` in which words are shared."""


@contextmanager
def always(choice: int) -> Iterator[None]:
    """Let `schedule` take this one of its placements, whether those before it fit or not."""
    def chosen(*arguments: object) -> Iterator[object]:
        return islice(layout.placements(*arguments), choice, choice + 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory_use, "placements", chosen)
        yield


def answers(program: Program, codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """What one device gives for one input after the other, its image loaded once, (n, height, width, channels)."""
    device = Machine(program).memory
    source, target = program.layouts[program.input], program.layouts[program.output]
    found = []
    for code in codes:
        device.write(Space.MAIN, source.address // 4, pack_tensor(source, code))
        device.run_program()
        found.append(unpack_tensor(target, device.read(target.address // 4, 4 * target.words)))
    return np.stack(found)


@dataclass(frozen=True)
class Step:
    """A pass on the memory that it finds, uint8 (1, nibbles), its weights from `word` on."""

    program: Program
    device: Device
    one: Pass
    main: NDArray[np.uint8]
    word: int

    def after(self, flipped: NDArray[np.bool_] | bool = False) -> tuple[NDArray[np.uint8], int]:
        """(memory behind the pass if nibbles held the complement before it, word of the weights of the next one)."""
        main = self.main ^ (15 * np.asarray(flipped)).astype(np.uint8)
        loaded = self.device.params, self.device.tables, self.device.luts
        engine = self.program.engine
        run_pass(engine, self.one.encode(), main, WeightStream(engine, main[0], self.word), *loaded)
        return main, self.word + self.one.weight_rows * engine.row_words

    def written(self) -> NDArray[np.bool_]:
        """Nibbles that the pass writes: they change, whether they held this or the complement."""
        tensor = self.program.layouts[self.one.tensor]
        place = np.arange(self.main.shape[1]) // WORD_NIBBLES
        target = (place >= tensor.word) & (place < tensor.word + tensor.words)
        changed = self.after()[0] != self.main
        again = self.after(target)[0] != self.main ^ (15 * target).astype(np.uint8)
        found: NDArray[np.bool_] = (changed | again)[0]
        return found

    def same(self, flipped: NDArray[np.bool_], own: NDArray[np.bool_]) -> bool:
        """The pass writes the same if nibbles held the complement before it; `own`: as `written`."""
        return np.array_equal(self.after(flipped)[0][0, own], self.after()[0][0, own])


def check_order(program: Program, code: NDArray[np.int64]) -> None:
    """Passes give the same when they meet memory in any state in which the gateware may find it.

    Early: all that a pass writes is there before it reads, but for the skips that it adds in place. Late: what the pass
    before writes is not there, unless it waits; the skips that it adds are. For engines without `param_stream`
    and `weight_tables`.
    """
    device = Machine(program).memory
    source = program.layouts[program.input]
    device.write(Space.MAIN, source.address // 4, pack_tensor(source, code))
    main, word, late = device.main, program.weight_word, np.zeros(device.main.size, dtype=bool)
    for one in program.passes:
        step = Step(program, device, one, main, word)
        own = step.written()
        words = own.reshape(-1, WORD_NIBBLES).any(axis=1)  # a sum may be the skip in some nibbles, whatever it was
        skips = np.roll(words, one.drain.skip).repeat(WORD_NIBBLES) & bool(one.drain.add)
        assert step.same(own & ~skips, own), f"{one.layer} writes {one.tensor} over what it reads"
        assert one.fill.wait or step.same(late & ~skips, own), f"{one.layer} reads before {one.tensor} is there"
        (main, word), late = step.after(), own
