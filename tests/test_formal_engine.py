# amaranth: UnusedElaboratable=no
"""Proofs of what keeps an engine going: the sequencer is never stuck, the weight buffer never overflows; for ever,
by induction. Each also with faults that must break it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Mux, Signal
from formal import Proof
from hw_bench import small_config

from subbyte.hw.ports import word_view
from subbyte.hw.sequencer import Sequencer
from subbyte.hw.weight_pump import WeightPump
from subbyte.spec.engine import Family
from subbyte.spec.program import HEADER_FIELDS

PATIENCE = 2
"""Cycles that main memory, the gather unit and the writer take at most, in the sequencer's proof."""
SEQUENCER_STATES = 9


def run_of(proof: Proof, condition: Any, most: int, name: str) -> Signal:
    """Cycles in a row before this one in which `condition` held; counts to most + 1."""
    count = Signal(range(most + 2), name=name)
    proof.m.d.sync += count.eq(Mux(condition, Mux(count > most, count, count + 1), 0))
    return count


@pytest.mark.parametrize("family", [Family.ICE40, Family.ECP5])
def test_the_sequencer_goes_on(family: Family, tmp_path: Path) -> None:
    """Main memory, gather unit and writer that make it wait PATIENCE cycles at most let a run access memory again, or
    end, within a bound; a program's closing zero ends it.

    The bound: a wait for one unit, one for memory, the words under way, the starts behind them.
    """
    proof = Proof()
    config = small_config(family=family)
    dut = proof.unit(Sequencer(config))
    state = proof.watch("fsm_state", SEQUENCER_STATES.bit_length())
    for condition, name in (
        (dut.memory.request & ~dut.memory.grant, "memory"),
        (~dut.fill_idle, "fill"),
        (~dut.drain_idle, "drain"),
    ):
        proof.assume(run_of(proof, condition, PATIENCE, f"{name}_waits") <= PATIENCE)
    for idle, start in ((dut.fill_idle, dut.start_fill), (dut.drain_idle, dut.start_drain)):
        proof.assume(idle | ~proof.past(idle) | proof.past(start))
    proof.assume(dut.memory.request | ~dut.memory.grant)
    bound = 2 * PATIENCE + config.read_cycles + 2
    proof.always(run_of(proof, dut.busy & ~dut.memory.grant, bound, "silent") <= bound)
    proof.always((state < SEQUENCER_STATES) & (dut.busy == (state != 0)))
    proof.check(tmp_path, 2 * bound, for_ever=True)


def test_the_weight_buffer_never_overflows(tmp_path: Path) -> None:
    """The pump never asks for a word of a row whose place still holds one, whatever it pumps and whenever rows are
    released.

    Assumed: a row is released when it was pumped, a run begins when the rows of the one before were, and rows that are
    pinned fit the buffer.
    """
    proof = Proof()
    config = small_config()
    dut = proof.unit(WeightPump(config))
    pumped = proof.watch("rows", len(dut.available))
    loaded = proof.watch("loaded")
    held, moved = Signal.like(dut.available), Signal.like(dut.available)
    proof.m.d.comb += [held.eq(pumped - dut.released), moved.eq(dut.released - proof.past(dut.released))]
    pinned = word_view(HEADER_FIELDS, dut.header.word).pinned & loaded
    begins, kept = proof.past(dut.header.here), proof.past(dut.header.here & pinned)
    asks = dut.memory.request
    proof.assume(~dut.header.here | (~asks & ~proof.past(asks) & (proof.past(held) < config.ring_rows)))
    proof.assume(Mux(begins, dut.released == 0, moved <= proof.past(held)))
    proof.assume(~kept | (pumped <= config.ring_rows))
    proof.assume(dut.memory.request | ~dut.memory.grant)
    proof.always(held <= config.ring_rows)
    proof.always(~dut.memory.grant | (held < config.ring_rows))
    proof.check(tmp_path, 3, for_ever=True, reach=config.ring_rows + 4)
