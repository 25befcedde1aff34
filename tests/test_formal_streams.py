# amaranth: UnusedElaboratable=no
"""Proofs of what moves bytes: stream rules, the mailbox's buffers, responses of the buses; for ever, by induction.

Each also with faults that must break it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Mux, Signal
from formal import Proof
from hw_bench import small_config

from subbyte.hw.axi_lite import AxiLite
from subbyte.hw.axi_stream import AxiStream
from subbyte.hw.command import CommandUnit
from subbyte.hw.mailbox import Mailbox, Register
from subbyte.hw.wishbone import Wishbone

DEPTH = 4
"""Of the mailboxes."""
LONGEST = 8
"""Cycles over which the inductions go: longer than any access."""


def holds_until_ready(proof: Proof, valid: Any, ready: Any, payload: Any) -> Any:
    """What was offered and not taken is still offered, the same."""
    return ~proof.past(valid & ~ready) | (valid & (payload == proof.past(payload)))


def lawful(proof: Proof, dut: Mailbox) -> None:
    """Assume of an access that it holds until it is done."""
    access = dut.access
    for signal in (access.request, access.write, access.address, access.select, access.write_data):
        proof.assume(~proof.past(access.request & ~access.done) | (signal == proof.past(signal)))


def memory_waits(proof: Proof, dut: CommandUnit, cycles: int) -> None:
    """Assume of main memory that it answers the same, `cycles` later, to the same address, unless it was written."""
    same = proof.past(dut.main.address, cycles) == proof.past(dut.main.address, cycles + 1)
    again = same & ~proof.past(dut.main.enable, cycles)
    proof.assume(~again | (dut.read_data == proof.past(dut.read_data)))


def runs_end(proof: Proof, dut: CommandUnit) -> None:
    """Assume of the sequencer that it is busy only from the cycle after `run` on."""
    proof.assume(~dut.busy | proof.past(dut.busy | dut.run))
    # Else the induction could begin in the middle of an answer with a run under way.
    proof.always(~(dut.busy & (dut.o.valid | dut.i.ready)))


def test_answers_hold_until_taken(tmp_path: Path) -> None:
    """`CommandUnit.o`: valid stays until ready, the payload with it."""
    proof = Proof()
    config = small_config()
    dut = proof.unit(CommandUnit(config))
    memory_waits(proof, dut, config.read_cycles)
    runs_end(proof, dut)
    proof.always(holds_until_ready(proof, dut.o.valid, dut.o.ready, dut.o.payload))
    proof.check(tmp_path, 6 + 2 * config.read_cycles, for_ever=True)


def test_ready_tells_the_end_of_an_answer(tmp_path: Path) -> None:
    """What `AxiStream` relies on: after an answer's byte the unit is ready for a command if it was the last one."""
    proof = Proof()
    dut = proof.unit(CommandUnit(small_config()))
    left = proof.watch("left", 8)
    moved = proof.past(dut.o.valid & dut.o.ready)
    proof.always(~moved | (dut.i.ready == proof.past(left == 0)))
    proof.check(tmp_path, 3, for_ever=True, wire="last", reach=10)


def test_axi_stream_holds_until_taken(tmp_path: Path) -> None:
    """Data and TLAST, whatever the engine does."""
    proof = Proof()
    dut = proof.unit(AxiStream())
    offered = dut.m_axis_tdata | dut.m_axis_tlast << 8
    proof.always(holds_until_ready(proof, dut.m_axis_tvalid, dut.m_axis_tready, offered))
    proof.check(tmp_path, 3, for_ever=True)


def test_mailbox_never_overflows(tmp_path: Path) -> None:
    """No byte is written to a full buffer or taken from an empty one, and none holds more than it can."""
    proof = Proof()
    dut = proof.unit(Mailbox(DEPTH))
    lawful(proof, dut)
    for buffer in ("sent", "answered"):
        level = proof.watch(f"{buffer}.level", 3)
        proof.always(level <= DEPTH)
    proof.always(~proof.watch("sent.w_en") | proof.watch("sent.w_rdy"))
    proof.always(~proof.watch("answered.r_en") | proof.watch("answered.r_rdy"))
    proof.check(tmp_path, LONGEST, for_ever=True, wire="moving")


def test_mailbox_loses_nothing(tmp_path: Path) -> None:
    """The buffer holds what the bus has sent, less what the engine has taken; an error moves nothing."""
    proof = Proof()
    dut = proof.unit(Mailbox(DEPTH))
    lawful(proof, dut)
    access = dut.access
    level, moving, lane = proof.watch("sent.level", 3), proof.watch("moving"), proof.watch("lane", 2)
    sent = access.done & ~access.error & access.write & (access.address == Register.DATA)
    owed = Signal(5)  # of accesses that have ended
    proof.m.d.sync += owed.eq(owed + Mux(sent, sum(access.select), 0) - (dut.commands.valid & dut.commands.ready))
    moved = sum(Mux(sent | (moving & access.write & (lane > i)), access.select[i], 0) for i in range(4))
    proof.always((owed + moved)[:5] == level)
    proof.always(level <= DEPTH)
    proof.check(tmp_path, LONGEST, for_ever=True, wire="lane")


def test_an_access_ends_within_five_cycles(tmp_path: Path) -> None:
    """Whatever the engine does."""
    proof = Proof()
    dut = proof.unit(Mailbox(DEPTH))
    lawful(proof, dut)
    waited = Signal(3)
    with proof.m.If(dut.access.request & ~dut.access.done):
        proof.m.d.sync += waited.eq(waited + 1)
    with proof.m.Else():
        proof.m.d.sync += waited.eq(0)
    proof.always(waited <= 5)
    proof.check(tmp_path, LONGEST, for_ever=True, wire="moving")


def test_wishbone_terminates_requests_only(tmp_path: Path) -> None:
    """One of ACK_O and ERR_O, with CYC_I and STB_I, for one cycle."""
    proof = Proof()
    dut = proof.unit(Wishbone(DEPTH))
    ended = dut.wb_ack_o | dut.wb_err_o
    proof.always(~(dut.wb_ack_o & dut.wb_err_o))
    proof.always(~ended | (dut.wb_cyc_i & dut.wb_stb_i))
    proof.always(~ended | ~proof.past(ended))
    proof.check(tmp_path, 3, for_ever=True)


@pytest.mark.parametrize("channel", ["b", "r"])
def test_axi_lite_responses_hold_until_taken(channel: str, tmp_path: Path) -> None:
    """Valid, response and data."""
    proof = Proof()
    dut = proof.unit(AxiLite(DEPTH))
    for sent, names in {"aw": ["awaddr"], "w": ["wdata", "wstrb"], "ar": ["araddr"]}.items():
        valid, ready = (getattr(dut, f"s_axi_{sent}{end}") for end in ("valid", "ready"))
        for name in names:
            proof.assume(holds_until_ready(proof, valid, ready, getattr(dut, f"s_axi_{name}")))
    valid, ready = (getattr(dut, f"s_axi_{channel}{end}") for end in ("valid", "ready"))
    offered = dut.s_axi_bresp if channel == "b" else dut.s_axi_rdata ^ (dut.s_axi_rresp << 32)
    proof.always(holds_until_ready(proof, valid, ready, offered))
    proof.check(tmp_path, LONGEST, for_ever=True, wire=f"s_axi_{channel}valid")
