"""Mutation run: faults put into the gateware one at a time, and which test notices each.

A fault replaces a piece of text that occurs exactly once in its file; entries that no longer do are an error, all of
them told at once. The tree is copied, so that nothing here changes. For each fault the tests of its file run until the
first failure, then those of whole engines; a fault also counts as caught when they do not end. The same tests must
pass without a fault. Exit status 1 below 95 % caught, when a fault called equivalent is caught after all, or when the
tests fail without a fault; 2 when entries do not apply.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
GATEWARE = Path("hw", "subbyte", "hw")
ROOTS = ("golden", "hw", "flow", "sim", "boards", "train")
COPIED = (*ROOTS, "tests", "docs", "pyproject.toml", "README.md")
BAR = 0.95
TIMEOUT = 600
"""Seconds after which tests count as stuck. The benches end by themselves long before, unless the machine is busy."""
GRACE = 20
"""Seconds in which interrupted tests end their own processes."""
PASSED, FAILED, INTERRUPTED = 0, 1, 2
"""Statuses of pytest. With several processes the others are interrupted by the first failure."""


@dataclass(frozen=True)
class Mutation:
    """One fault: `old`, which occurs once in `file` of the gateware, becomes `new`.

    tests : keys of TESTS, instead of the file's name
    equivalent : why no test can notice it; empty for a fault
    """

    name: str
    kind: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = ()
    equivalent: str = ""

    def apply(self, text: str) -> str:
        """`text` with the fault. ValueError unless `old` occurs once."""
        count = text.count(self.old)
        if count != 1:
            raise ValueError(f"{self.file} must hold {self.old!r} once, not {count} times")
        return text.replace(self.old, self.new)


@dataclass(frozen=True)
class Outcome:
    """`caught` by `test` with `error`, after `seconds`."""

    caught: bool
    test: str
    error: str
    seconds: float


CELLS = "test_hw_cells.py::test_"
ENGINE = ("test_hw_engine.py",)
TESTS: dict[str, tuple[str, ...]] = {
    "axi_lite": ("test_hw_buses.py",),
    "axi_stream": ("test_hw_buses.py",),
    "bus": ("test_sim_buses.py",),
    "code_table": ("test_hw_requantizer.py::test_code_table",),
    "delay": ("test_hw_pump.py",),
    "mailbox": ("test_hw_buses.py",),
    "wishbone": ("test_hw_buses.py",),
    "accumulator": ("test_hw_accumulator.py::test_accumulator",),
    "accumulator cells": (f"{CELLS}accumulator_twins",),
    "add_accumulator": ("test_hw_accumulator.py::test_add_accumulator",),
    "add_accumulator cells": (f"{CELLS}add_accumulator_twins",),
    "array": ("test_hw_array.py",),
    "column_position": ("test_hw_gather.py::test_column_passes",),
    "column_steps": ("test_hw_columns.py::test_steps",),
    "column_tile": ("test_hw_gather.py::test_column_passes",),
    "column writer": ("test_hw_columns.py::test_writer",),
    "command": ("test_hw_command.py",),
    "counter": (f"{CELLS}counter",),
    "counter cells": (f"{CELLS}counter_twins",),
    "decode": ("test_hw_gather.py",),
    "digit_column": ("test_hw_lanes.py",),
    "engine lines": ("test_sim_lines.py::test_separable",),
    "engine options": ("test_compiler_activation_records.py::test_gateware_refuses",),
    "exact_multiplier": ("test_hw_exact.py::test_multiplier",),
    "exact_multiplier cells": ("test_hw_exact.py::test_multiplier_twins",),
    "exact_shifter": ("test_hw_exact.py::test_shifter", "test_hw_exact.py::test_shifter_of_addresses"),
    "exact skip shifter": ("test_hw_exact.py::test_shifter_with_offsets",),
    "exact lane": ("test_hw_exact.py::test_lane", "test_hw_exact.py::test_lane_of_addresses"),
    "export": ("test_hw_export.py",),
    "fine_accumulator": ("test_hw_accumulator.py::test_fine_accumulator",),
    "fine_accumulator cells": (f"{CELLS}fine_accumulator_twins",),
    "gather": ("test_hw_gather.py",),
    "largest": (f"{CELLS}largest",),
    "largest cells": (f"{CELLS}largest_twins",),
    "line_steps": ("test_hw_steps.py::test_line_steps",),
    "log_column": ("test_hw_lanes.py",),
    "lut4": (f"{CELLS}selector_twins", f"{CELLS}counter_twins"),
    "main_memory": ("test_hw_main_memory.py::test_main_memory",),
    "main_memory cells": ("test_hw_main_memory.py::test_main_memory_twins",),
    "lane_column": ("test_cli_synth.py::test_columns_accumulate",),
    "mult18": (f"{CELLS}multiplier_twins",),
    "multiplier_column": ("test_cli_synth.py::test_columns_accumulate",),
    "multiplier": ("test_hw_requantizer.py::test_linear",),
    "multiplier cells": (f"{CELLS}multiplier_twins",),
    "outlier_multiplier": ("test_hw_outliers.py::test_multiplier",),
    "outlier_multiplier cells": ("test_hw_outliers.py::test_multiplier_twins",),
    "outlier_path": ("test_hw_outliers.py::test_array",),
    "param_loader": ("test_hw_param_loader.py",),
    "phase_accumulator": ("test_hw_accumulator.py::test_phase_accumulator",),
    "phase_accumulator cells": (f"{CELLS}phase_accumulator_twins",),
    "phase_scaler": ("test_hw_accumulator.py::test_phase_scaler",),
    "phase level": ("test_hw_engine.py::test_two_programs",),
    "piece": ("test_hw_piece.py",),
    "places": ("test_hw_writer.py",),
    "ports": ("test_hw_gather.py",),
    "requantizer": ("test_hw_requantizer.py",),
    "segments": ("test_hw_gather.py",),
    "selector": (f"{CELLS}selector",),
    "selector cells": (f"{CELLS}selector_twins",),
    "shadow": ("test_hw_shadow.py",),
    "shift_column": ("test_hw_lanes.py",),
    "shifter": (f"{CELLS}shifter",),
    "shifter cells": (f"{CELLS}shifter_twins",),
    "skip shifter": ("test_hw_skip_shifter.py::test_shifter",),
    "skip shifter cells": ("test_hw_skip_shifter.py::test_shifter_twins",),
    "skip_reader": ("test_hw_skip_reader.py",),
    "steps": ("test_hw_steps.py",),
    "tile": ("test_hw_gather.py",),
    "tile_position": ("test_hw_tile_position.py", "test_hw_gather.py"),
    "tree": ("test_hw_lanes.py::test_all_lanes",),
    "turn_counter": ("test_hw_turn_counter.py",),
    "weight_blocks": ("test_hw_weight_tables.py",),
    "weight_pump": ("test_hw_pump.py",),
    "weight_tables": ("test_hw_weight_tables.py",),
    "writer": ("test_hw_writer.py",),
    "xnor_column": ("test_hw_xnor.py",),
}
"""Fastest tests that know a file, or its twin of iCE40 cells. Files that are not here have only those of engines."""


def _in(file: str, *entries: tuple[str, str, str, str], tests: str = "", equivalent: str = "") -> Iterator[Mutation]:
    """Entries (name, kind, old, new) of one file."""
    for name, kind, old, new in entries:
        yield Mutation(f"{file} {name}", kind, f"{file}.py", old, new, (tests,) if tests else (), equivalent)


MUTATIONS: tuple[Mutation, ...] = (
    *_in(
        "accumulator",
        ("level 1 too low", "level", "term << 4", "term << 3"),
        ("level 2 is level 1", "level", "term << 8", "term << 4"),
        ("never begins anew", "reset", "self.acc & (~self.first).replicate(self._width)", "self.acc"),
        ("first without enable", "enable", "with m.If(self.enable):", "with m.If(self.enable | self.first):"),
    ),
    *_in(
        "accumulator",
        ("DSP drops carry of lower half", "carry", "p_TOPADDSUB_CARRYSELECT=2,", "p_TOPADDSUB_CARRYSELECT=0,"),
        ("DSP swaps levels", "level", "self.level == 1, C(0, 3), self.level == 2",
         "self.level == 2, C(0, 3), self.level == 1"),
        ("DSP unsigned", "sign", "p_A_SIGNED=int(self.term.shape().signed)", "p_A_SIGNED=0"),
        ("DSP loads upper half only", "reset", "i_OLOADBOT=self.first", "i_OLOADBOT=0"),
        ("DSP loads without sign", "sign", "i_C=start[16:]", "i_C=0"),
        ("DSP holds lower half only", "enable", "i_OHOLDTOP=~self.enable", "i_OHOLDTOP=0"),
        tests="accumulator cells",
    ),
    *_in("add_accumulator", ("adds twice", "level", "return self.term", "return self.term << 1")),
    *_in(
        "add_accumulator",
        ("DSP swaps halves", "swapped lanes", "return wide[16:], wide[:16]", "return wide[:16], wide[16:]"),
        tests="add_accumulator cells",
    ),
    *_in(
        "array",
        ("columns swapped", "swapped lanes", "weights.word_select(column, 4 * c.k)",
         "weights.word_select(c.m - 1 - column, 4 * c.k)"),
        ("operands of pixel 0", "wrong operand", "operands.word_select(p, c.k * c.operand_bits)",
         "operands.word_select(0, c.k * c.operand_bits)"),
        ("accumulators transposed", "swapped lanes", "word_select(p * c.m + column, c.acc_bits)",
         "word_select(p + c.p * column, c.acc_bits)"),
        ("step a cycle late", "stale", "stages[-2 - c.scale_cycles], stages[-2]",
         "stages[-1 - c.scale_cycles], stages[-1]"),
        ("level not delayed", "stale", "scaled(unscaled, scaling.level)", "scaled(unscaled, self.step.level)"),
    ),
    *_in(
        "axi_lite",
        ("read address for writes", "swapped operands", "Mux(writes, self.s_axi_awaddr, self.s_axi_araddr)",
         "Mux(writes, self.s_axi_araddr, self.s_axi_awaddr)"),
        ("errors are okay", "mask", "Mux(access.error, SLVERR, 0)", "0"),
        ("response not held", "stale", "with m.If(ready):", "with m.If(1):"),
    ),
    *_in(
        "axi_stream",
        ("last byte not marked", "last flag", "Mux(fresh, self.commands.ready, last)", "last"),
        ("answer overwritten", "stale", "self.answers.ready.eq(~self.m_axis_tvalid | self.m_axis_tready)",
         "self.answers.ready.eq(1)"),
    ),
    *_in(
        "bus",
        ("reset level upside down", "reset", "reset if wrapper.RESET_LEVEL else ~reset",
         "~reset if wrapper.RESET_LEVEL else reset"),
    ),
    *_in(
        "code_table",
        ("slot ignored", "address", "Cat(self.addresses.word_select(i, c.lut_bits), self.slot)",
         "self.addresses.word_select(i, c.lut_bits)"),
        ("second reader holds while written", "enable", "reader.addr.eq(self.load.address), reader.en.eq(0)",
         "reader.en.eq(0)"),
    ),
    *_in(
        "command",
        ("ends a byte early", "count", "last.eq(moves & (left == 0))", "last.eq(moves & (left == 1))"),
        ("bytes of a unit swapped", "swapped lanes", "port.data.eq(Cat(low, latest))",
         "port.data.eq(Cat(latest, low))"),
        ("spaces beyond the last alias", "mask", "(address[SPACE_BIT:] == space)",
         "(address[SPACE_BIT : SPACE_BIT + 2] == space)"),
        ("reads lower half of words", "address", "word_select(address[1:3], 16)", "word_select(address[1:2], 16)"),
        ("address counts down", "sign", "following.eq(address - (~shift)", "following.eq(address + (~shift)"),
        ("counts every cycle", "enable", "m.If(moves | (self.busy & self.count))", "m.If(moves | self.busy)"),
        ("word read a cycle early", "stale", '"unit", "byte", "read"]', '"byte", "read"]'),
        ("byte leaves with its unit", "enable", "pairs.eq(address[0])", "pairs.eq(0)"),
        ("long header", "count", "header_left.eq(HEADER_BYTES - 1)", "header_left.eq(HEADER_BYTES)"),
    ),
    *_in(
        "column_position",
        ("rows above have words", "count", "self.completes.eq(above == self.head)", "self.completes.eq(1)"),
        ("columns share a group", "last flag", "Mux(self.column, row_ends, self.last_pixel)", "self.last_pixel"),
    ),
    *_in(
        "column_steps",
        ("output columns an input column apart", "address", "next_column.eq(word_released + compute.hop)",
         "next_column.eq(word_released + compute.windows + 1)"),
        ("words of a result adjoin", "address", "Mux(kind, compute.windows, compute.planes) + 1",
         "compute.planes + 1"),
        ("last word not awaited", "stale", "reach.eq(self.word_available - lag - 1)",
         "reach.eq(self.word_available - 1)"),
        ("columns end a group early", "comparison", "last_first.eq(word_released + compute.windows - compute.planes)",
         "last_first.eq(word_released)"),
    ),
    *_in(
        "column_tile",
        ("rows move up", "swapped lanes", "Cat(words[plane][row:], self.data[:row])",
         "Cat(self.data[:row], words[plane][:-row])"),
        ("second word over the first", "address", "place.eq(word + 1)", "place.eq(word)"),
        ("second word where there is none", "enable", "(write & self.pair) << bank", "write << bank"),
    ),
    *_in(
        "writer",
        ("rows past a column's last written", "mask", "Mux(self.column, bands.last, groups.last)", "groups.last"),
        tests="column writer",
    ),
    *_in(
        "places",
        ("columns follow each other", "address", "Mux(column & columns.last, top, ring[-1])", "ring[-1]"),
        tests="column writer",
    ),
    *_in(
        "counter",
        ("load hidden from last", "last flag", "self.last.eq(self.load | self.count.all())",
         "self.last.eq(self.count.all())"),
        ("load needs a step", "enable", "with m.If(self.load | self.step):", "with m.If(self.step):"),
        ("counts by two", "count", "self.count + 1)", "self.count + 2)"),
    ),
    *_in(
        "counter",
        ("cells without carry in", "carry", "below = C(1, 1)", "below = C(0, 1)"),
        ("cells or the carry", "carry", "start if load else bit ^ below", "start if load else bit | below"),
        ("cells load complement", "sign", "start if load else bit ^ below", "1 - start if load else bit ^ below"),
        tests="counter cells",
    ),
    *_in(
        "decode",
        ("odd tables hold even ones", "address", "(address[4] == j % 2)", "(address[4] == 0)"),
        ("slots loaded in pairs", "address", "Cat(address[:4], address[5:])", "Cat(address[:4], address[6:])"),
        ("byte operands swapped", "swapped lanes", "double[j % half]", "double[j // 2]"),
        ("upper nibble ignored", "mask", "[low | high for", "[low for"),
    ),
    *_in(
        "delay",
        ("a cycle short", "stale", "range(cycles)", "range(1, cycles)"),
    ),
    *_in(
        "digit_column",
        ("high digit +2", "sign", "by_two = two if low else ~two", "by_two = two"),
        ("digit -1 is +1", "sign", "Mux(code[0], ~one, by_two)", "Mux(code[0], one, by_two)"),
        ("high digit weighs 2", "level", "(rows[1] << 2)", "(rows[1] << 1)"),
        ("digits swapped", "swapped lanes", "self.weights.bit_select(4 * lane + 2 * digit, 2)",
         "self.weights.bit_select(4 * lane + 2 * (1 - digit), 2)"),
    ),
    *_in(
        "engine",
        ("gateware without records", "mask", "if config.activation_records:", "if config.activation_records > 255:"),
        tests="engine options",
    ),
    *_in(
        "engine",
        ("steps of a missing row cut off", "stale", "writer.idle & steps.idle if c.depthwise", "writer.idle if 1"),
        tests="engine lines",
    ),
    *_in(
        "engine",
        ("gather granted with others", "arbiter", "gather.grant.eq(gather.request & free)",
         "gather.grant.eq(gather.request)"),
        ("pump granted with gather", "arbiter", "pump.request & free & ~gather.request", "pump.request & free"),
        ("sequencer granted with writer", "arbiter", "booked.eq(~taken & sequencer.request)",
         "booked.eq(sequencer.request)"),
        ("sequencer granted with skip reader", "arbiter", "writer.upcoming | skips.upcoming", "writer.upcoming"),
        ("skip reader starts behind the codes", "stale", "skips.lead - (array.latency + 1)", "0 * array.latency"),
        ("pinned rows never stale", "stale", "pump.stale.eq(command.main.enable & (command.main.address >> 2 == 0))",
         "pump.stale.eq(0)"),
        ("pixels past the last written", "mask", "writer.enable & writer.exists, host.enable",
         "writer.enable, host.enable"),
        ("host writes the wrong quarter", "mask", "<< (host.address[:2] << 2)", "<< (host.address[:1] << 2)"),
        ("group after one block", "count", "group_done = done & (block == c.p // c.r - 1)", "group_done = done"),
        ("parameters from entry 0", "address", "first.start.eq(drain.param[(c.m - 1).bit_length() :])",
         "first.start.eq(0)"),
        ("parameters not rewound", "reset", "(group_done & (group == drain.groups))", "(group_done & (group < 0))"),
        ("counts other causes", "comparison", "Value.cast(steps.stall) == command.counter",
         "Value.cast(steps.stall) != command.counter"),
    ),
    *_in(
        "exact_multiplier",
        ("no rounding of products by 31 bits", "rounding", "self.double & middle[WHOLE - X_CUT - 1]", "0"),
        ("bits below the cut ignored", "rounding", "delayed(m, sticky, 1) |", "0 |"),
        ("part of the lowest product sticky", "rounding", "low[:X_CUT].any()", "low[1:X_CUT].any()"),
    ),
    *_in(
        "exact_multiplier",
        ("DSP sum of lower products without sign", "sign", "sign.replicate(16)", "C(0, 16)"),
        ("DSP product a cycle early", "stale", "p_A_REG=int(stages > 1)", "p_A_REG=0"),
        ("DSP carry lost", "carry", "p_BOTADDSUB_CARRYSELECT=3,", "p_BOTADDSUB_CARRYSELECT=0,"),
        tests="exact_multiplier cells",
    ),
    *_in(
        "exact_shifter",
        ("ties to odd", "rounding", "Rounding.HALF_EVEN: t[1]", "Rounding.HALF_EVEN: ~t[1]"),
        ("ties towards zero", "rounding", "Rounding.HALF_AWAY: ~negative", "Rounding.HALF_AWAY: negative"),
        ("bits of the fine shift ignored", "rounding", "for place in range(7)", "for place in range(1, 7)"),
        ("bits of the coarse shift ignored", "rounding", "self.sticky | below.any()", "self.sticky"),
        ("every address sticky", "mask", "self.lut & self.mode[STICKY_BIT]", "self.lut"),
        ("far products wrap", "clamp", "far.eq((above ^", "far.eq(0 & (above ^"),
    ),
    *_in(
        "exact_shifter",
        ("ReLU of every section", "enable", "self.relu & self.product[-1] if", "self.product[-1] if"),
        ("far negative products behind ReLU", "clamp", "far & ~rectified", "far"),
        tests="exact skip shifter",
    ),
    *_in(
        "requantizer",
        ("products rounded twice with a table", "enable", "~self.lut & self.mode[DOUBLE_BIT]", "self.mode[DOUBLE_BIT]"),
        ("products never rounded twice", "enable", "~self.lut & self.mode[DOUBLE_BIT]", "0"),
        tests="exact lane",
    ),
    *_in("export", ("memories start with zeros", "reset", 'ZEROS.sub("", done.stdout)', "done.stdout")),
    *_in("fine_accumulator", ("levels of two bits", "level", "self.term << self.level", "self.term << self.level * 2")),
    *_in(
        "fine_accumulator",
        ("DSP highest level first", "level", "for level in FINE_LEVELS)", "for level in FINE_LEVELS[::-1])"),
        tests="fine_accumulator cells",
    ),
    *_in(
        "gather",
        ("tile overrun by a word", "level", "(more << 1) + 1)", "more)"),
        ("does not wait", "enable", "blocked.eq(used[-1] | self.hold)", "blocked.eq(used[-1])"),
        ("lane a code behind", "count", "lane + piece.count + 1)", "lane + piece.count)"),
        ("window stays open", "last flag", "close.eq(piece.word_ends | (ends & walker.window_ends))",
         "close.eq(piece.word_ends)"),
        ("bytes rotated as nibbles", "address", "Mux(fill.byte, lane << 1, lane)", "lane"),
        ("byte codes step as nibbles", "address", "Cat(C(0, 1), piece.count) + 2, piece.count + 1",
         "piece.count + 1, piece.count + 1"),
        ("mask a lane late", "mask", 'c.k) << look["lane"]', 'c.k) << (look["lane"] + 1)'),
        ("planes overwrite the chunk", "enable", 'fetch["valid"] & fetch["new"]', 'fetch["valid"]'),
        ("announced with bank 0", "stale", "(position.bank == c.p - 1)", "(position.bank == 0)"),
        ("lane kept over a reset", "reset", "m.d.sync += [plane.eq(0), lane.eq(0)]", "m.d.sync += plane.eq(0)"),
    ),
    *_in(
        "largest",
        ("keeps the smallest", "comparison", "(self.overwrite | ~margin[-1])", "(self.overwrite | margin[-1])"),
        ("difference overflows", "carry", "Signal(signed(self._width + 1))", "Signal(signed(self._width))"),
        ("first not forced", "enable", "with m.If(self.capture & (self.overwrite", "with m.If(self.capture & (0"),
    ),
    *_in(
        "largest",
        ("cells unsigned", "sign", "(below if value != held else not value)", "(below if value != held else value)"),
        ("cells swap the comparison", "comparison", "overwrite or (below if", "overwrite or (not below if"),
        ("cells ignore capture", "enable", "not value if capture else held", "not value"),
        tests="largest cells",
    ),
    *_in(
        "largest", ("cells take ties", "comparison", "below = C(0, 1)", "below = C(1, 1)"),
        tests="largest cells", equivalent="a tie is what is held already, so to take it changes nothing",
    ),
    *_in(
        "line_steps",
        ("columns begin where the line does", "address", "hopped.eq(column + self.compute.hop)",
         "hopped.eq(word_released + self.compute.hop)"),
        ("weights go on with the column", "enable", "whole.eq(~hops | last[\"groups\"])", "whole.eq(1)"),
        ("words freed by the first line", "stale", 'last["groups"] & last["lines"] & (', 'last["groups"] & ('),
        ("words of columns freed by the first line", "stale", 'with m.If(last["lines"]):', "with m.If(1):"),
        ("words of columns freed with the row", "stale", "word_released.eq(hopped)", "word_released.eq(word_released)"),
        ("words freed by the first column group", "stale", '(last["windows"] | ~self._hops)', "1"),
        ("missing line captured", "mask", 'return ends["words"] & ~missing,', 'return ends["words"],'),
        ("columns apart not watched", "stale", "(next_column & ~self.compute.apart)", "next_column"),
        ("column groups watched", "enable", "rewinds = again | (", "rewinds = ("),
        ("column groups go on with the words", "address", "m.d.sync += word.eq(column)",
         "m.d.sync += word.eq(following)"),
        ("column groups share weights", "address", '~last["windows"] & ~hops', '~last["windows"]'),
        ("weights of the last column group alone freed", "stale", '(last["windows"] | hops) & last["pixel_groups"]',
         'last["windows"] & last["pixel_groups"]'),
        ("column groups compared", "mask", "return turn.first | self._hops, turn.last | self._hops",
         "return turn.first, turn.last"),
        ("shadow drained after the last column group", "enable", '(last["windows"] | self._hops) & ~missing',
         'last["windows"] & ~missing'),
    ),
    *_in(
        "log_column",
        ("zero weights count", "mask", "nonzero & magnitude.any()", "nonzero"),
        ("zero operands count", "mask", "nonzero & magnitude.any()", "magnitude.any()"),
        ("sign of the next step", "stale", "== place & 3)) ^ sign", "== place & 3)) ^ negative"),
        ("exponents overflow", "carry", "added.eq(magnitude + exponent)", "added.eq((magnitude + exponent)[:3])"),
    ),
    *_in(
        "lut4",
        ("inputs reversed", "swapped lanes", "function(*bits[::-1])", "function(*bits)"),
        ("carry of one input", "carry", "i_I1=other", "i_I1=one"),
    ),
    *_in(
        "mailbox",
        ("one byte too many", "comparison", "room >= count", "room + 1 >= count"),
        ("reads what is not there", "comparison", "available >= WORD_BYTES", "available >= WORD_BYTES - 1"),
        ("lanes in reverse", "swapped lanes", "access.write_data.word_select(lane, 8)",
         "access.write_data.word_select(3 - lane, 8)"),
        ("interrupt lost while cleared", "stale", "with m.If(was_busy & ~self.busy):",
         "with m.If(was_busy & ~self.busy & ~write):"),
        ("given up too late", "stale", "moving.eq(access.request & ~last)", "moving.eq(~last)"),
    ),
    *_in(
        "main_memory",
        ("mask ignored", "mask", "self.mask & self.write.replicate(WORD_NIBBLES)",
         "self.write.replicate(WORD_NIBBLES)"),
    ),
    *_in(
        "main_memory",
        ("SPRAM lanes share a mask", "mask", "self.mask[quad]", "self.mask[:4]"),
        ("SPRAM drops the top address bit", "address", "Cat(self.address, C(0, 14))",
         "Cat(self.address[:-1], C(0, 14))"),
        ("SPRAM always writes", "enable", "i_WREN=self.write,", "i_WREN=1,"),
        ("SPRAM lanes swapped on reading", "swapped lanes", "o_DATAOUT=self.read_data[bits]",
         "o_DATAOUT=self.read_data[48 - 16 * lane : 64 - 16 * lane]"),
        tests="main_memory cells",
    ),
    *_in(
        "multiplier",
        ("lower product dropped", "carry", "high + low[16:]", "high"),
        ("unsigned upper half", "sign", "high, x[16:].as_signed(), factor", "high, x[16:], factor"),
    ),
    *_in(
        "multiplier",
        ("DSP drops carry of lower half", "carry", "p_TOPADDSUB_CARRYSELECT=2,", "p_TOPADDSUB_CARRYSELECT=0,"),
        ("DSP adds the wrong half", "address", "i_D=low[16:]", "i_D=low[:16]"),
        ("DSP without sign", "sign", "self.x[-1].replicate(4)", "C(0, 4)"),
        ("DSP factor not registered", "stale", "p_B_SIGNED=0, p_A_REG=1, p_B_REG=1,",
         "p_B_SIGNED=0, p_A_REG=1, p_B_REG=0,"),
        tests="multiplier cells",
    ),
    *_in(
        "mult18",
        ("factors are unsigned", "sign", "int(shape.signed)", "0"),
        ("product not registered", "stale", 'p_REG_OUTPUT_CLK="CLK0"', 'p_REG_OUTPUT_CLK="NONE"'),
        ("second factor short of a bit", "carry", "for i in range(FACTOR_BITS)} | {", "for i in range(15)} | {"),
    ),
    *_in(
        "multiplier_column",
        ("unsigned weights", "sign", ".as_signed() for port in (self.weights, self.operands))",
         " for port in (self.weights, self.operands))"),
        ("products keep the lower half", "carry", "product = Signal(signed(2 * BITS)", "product = Signal(signed(BITS)"),
    ),
    *_in(
        "lane_column",
        ("sum without its accumulator's term", "stale", "self._accumulator.term.eq(self._column.sum)",
         "self._accumulator.term.eq(self._column.sum >> 1)"),
    ),
    *_in(
        "param_loader",
        ("one entry too few", "count", "~word_view(FILL_FIELDS[-1], self.section.word).params",
         "-word_view(FILL_FIELDS[-1], self.section.word).params"),
        ("places kept over a run", "reset", "with m.If(self.reset):", "with m.If(C(0)):"),
        ("a place for each word granted", "stale", "with m.Elif(self.here):", "with m.Elif(self.granted):"),
    ),
    *_in(
        "sequencer",
        ("computes before the last entry", "last flag", "with m.If(self.memory.grant & loader.last):",
         "with m.If(self.memory.grant):"),
        ("counts before the section is there", "stale", "with m.If(loader.section.here):", "with m.If(1):"),
        tests="param_loader",
    ),
    *_in(
        "places",
        ("steps swapped", "address", "Mux(columns.last, drain.step_py, drain.step_px)",
         "Mux(columns.last, drain.step_px, drain.step_py)"),
        ("groups of bytes as nibbles", "address", "Mux(drain.byte, group << 1, group)", "group"),
        ("ring not turned while primed", "count", "turn = write | (priming != 0)", "turn = write"),
        ("column kept over a section", "reset", "columns.start.eq(start)", "columns.start.eq(0)"),
        ("packed groups as nibbles", "address", "Mux(drain.packed, group, offset << inside)", "offset << inside"),
    ),
    *_in(
        "outlier_multiplier",
        ("value too early", "stale", "delayed(m, self.value, before)", "self.value"),
        ("product a cycle late", "stale", "self._latency - 1 - before", "self._latency - before"),
    ),
    *_in(
        "outlier_multiplier",
        ("DSP without sign", "sign", "wide.eq(value)", "wide.eq(value[:8])"),
        ("DSP lacks a register", "stale", "p_PIPELINE_16x16_MULT_REG2=summed", "p_PIPELINE_16x16_MULT_REG2=0"),
        tests="outlier_multiplier cells",
    ),
    *_in(
        "outlier_path",
        ("operands of pixel 0", "wrong operand", "self.operands.word_select(p, c.k * c.operand_bits)",
         "self.operands.word_select(0, c.k * c.operand_bits)"),
        ("always column 0", "address", "chosen.eq(1 << column)", "chosen.eq(1)"),
        ("zero is a power", "mask", "nonzero & (exponent == e)", "exponent == e"),
        ("all slots at once", "stale", "self._latency + number - 1)\n            chosen",
         "self._latency - 1)\n            chosen"),
    ),
    *_in(
        "phase_accumulator",
        ("upper row weighs 8", "level", "Mux(level.upper, weighed << 4", "Mux(level.upper, weighed << 3"),
        ("phases swapped", "swapped operands", "Mux(level.odd, by_root(self.term), self.term << PHASE_BITS)",
         "Mux(level.odd, self.term << PHASE_BITS, by_root(self.term))"),
    ),
    *_in(
        "phase_accumulator",
        ("DSP begins unscaled", "level", "phased, self.term << PHASE_BITS, self.term)",
         "phased, self.term, self.term)"),
        tests="phase_accumulator cells",
    ),
    *_in(
        "phase_scaler",
        ("root is 180", "level", "rest.eq(((five << 2) + term)", "rest.eq(((five << 2))"),
        ("level a cycle early", "stale", "delayed(m, self.level, 1)", "self.level"),
    ),
    *_in(
        "phase_scaler",
        ("planes all even", "level", "compute.radix, plane[0])", "compute.radix, C(0, 1))"),
        tests="phase level",
    ),
    *_in(
        "piece",
        ("borrows swapped", "comparison", "self.borrows.eq(less_equal(segment, chunk)",
         "self.borrows.eq(less_equal(chunk, segment)"),
        ("long segments end", "last flag", "self.segment_ends.eq(~long & self.borrows)",
         "self.segment_ends.eq(self.borrows)"),
        ("last word taken for wide", "comparison", "wide = ~self.lane[f_bits:].all()",
         "wide = ~self.lane[f_bits:].any()"),
        ("less, not equal", "comparison", "result = C(1, 1)", "result = C(0, 1)"),
    ),
    *_in(
        "ports",
        ("slot a bit too narrow", "mask", "(config.table_slots - 1).bit_length()",
         "(config.table_slots - 1).bit_length() - 1"),
        ("steps a bit too narrow", "mask", "address = config.nibble_address_bits",
         "address = config.nibble_address_bits - 1"),
        ("fields a bit up", "address", "layout(word[: layout.size])", "layout(word[1 : layout.size + 1])"),
    ),
    *_in(
        "requantizer",
        ("bias subtracted", "sign", "self.acc + self.param.bias.as_signed()", "self.acc - self.param.bias.as_signed()"),
        ("hidden bit lost", "mask", "Cat(self.param.fraction, C(1, 1))", "Cat(self.param.fraction, C(0, 1))"),
        ("shift a cycle early", "stale", "for stage in range(mul.LATENCY):", "for stage in range(mul.LATENCY - 1):"),
        ("parameters written whole", "mask", "self.params.enable << self.params.address[:2]",
         "self.params.enable.replicate(3)"),
        ("table shows through", "mask", "Mux(self.lut, self.entry, 0)", "self.entry"),
        ("lanes share an address", "swapped lanes", "addresses.word_select(r % per_table, c.lut_bits)",
         "addresses.word_select(0, c.lut_bits)"),
        ("valid a cycle early", "stale", "self.codes_valid.eq(under_way[-1])", "self.codes_valid.eq(under_way[-2])"),
    ),
    *_in(
        "segments",
        ("chunk not advanced", "address", "chunk.eq(chunk + 1)", "chunk.eq(chunk)"),
        ("long a chunk more", "level", "long.eq(many != 1)", "long.eq(many != 0)"),
        ("pixel ends each window row", "last flag", 'window_ends & last["wx"] & last["wy"]',
         'window_ends & last["wx"]'),
        ("ends with the first pixel of a row", "last flag", "more.eq(~(pixel_ends & last_pixel))",
         "more.eq(~last_pixel)"),
        ("last row is the last pixel", "last flag", 'last["px"] & last["py"]', 'last["py"]'),
        ("room of bytes as nibbles", "count", "Mux(fill.byte, ~offset >> 1, ~offset)", "~offset"),
        ("loaded while counters move", "stale", "load.eq(more & ~loaded & (~self.valid | ends))",
         "load.eq(more & (~self.valid | ends))"),
        ("inner step for outer loops", "address", "reversed(loops[:-1])", "loops[:-1]"),
        ("counters wait after a single piece", "stale", "load & ~fill.single", "load"),
        ("single pieces end by themselves", "enable", "(~self.valid | self.advance)))", "~self.valid))"),
        ("single pieces move without a grant", "enable", "fill.single & more) & self.advance))",
         "fill.single & more)))"),
    ),
    *_in("selector", ("not inverted", "sign", "~word if self._invert else word", "word")),
    *_in(
        "selector",
        ("cells swap the lower words", "swapped lanes", "(b if odd else a), *words[:2]",
         "(a if odd else b), *words[:2]"),
        ("cells never invert", "sign", ") ^ self._invert", ") ^ 0"),
        tests="selector cells",
    ),
    *_in(
        "sequencer",
        ("second run goes on", "reset", "[self.busy.eq(1), word.eq(0)]", "self.busy.eq(1)"),
        ("fill replaced while at work", "stale", "self.fill_idle & ~self.start_fill if i == 0 else 1", "1"),
        ("drain replaced while at work", "stale", 'after, self.drain_idle & ~self.start_drain)',
         "after)"),
        ("fill does not wait", "enable", "self.hold_fill.eq(self.start_fill | (holding", "self.hold_fill.eq((holding"),
        ("busy ends with the fill", "last flag", "with m.If(self.drain_idle):", "with m.If(self.fill_idle):"),
        ("closing zero missed", "last flag", 'arrived["fill0"] & ~section_valid', 'arrived["fill1"] & ~section_valid'),
        ("garbage behind the closing zero starts", "last flag", "- 1}\"] & valid),\n            self.start_compute",
         "- 1}\"]),\n            self.start_compute"),
        ("fill starts two words early", "stale", 'arrived[f"fill{len(FILL_FIELDS) - 1}"]', 'arrived["fill0"]'),
    ),
    *_in(
        "shadow",
        ("capture without enable", "enable", "self.done.enable & self.done.last", "self.done.last"),
        ("pixels interleaved", "swapped lanes", "pixel = (i // c.m) * c.r + lane",
         "pixel = i // c.m + lane * (c.p // c.r)"),
        ("drains after each position", "last flag", "with m.If(capture & self.done.window_last):",
         "with m.If(capture):"),
        ("overwrites with the last", "reset", "shadow.overwrite.eq(self.done.window_first)",
         "shadow.overwrite.eq(self.done.window_last)"),
        ("one result more", "count", "with m.Elif(self.valid):", "with m.Elif(self.valid & ~turn.all()):"),
    ),
    *_in(
        "shift_column",
        ("unsigned weights", "sign", "(weight & nonzero.replicate(4)).as_signed()", "(weight & nonzero.replicate(4))"),
        ("zero operand counts", "mask", "(weight & nonzero.replicate(4)).as_signed()", "weight.as_signed()"),
        ("exponent too high", "level", "product.eq(gated << exponent)", "product.eq(gated << (exponent + 1))"),
    ),
    *_in(
        "shifter",
        ("no rounding bit", "rounding", "Cat(~self.lut, self.zero_point)", "Cat(C(0, 1), self.zero_point)"),
        ("codes clamped too late", "clamp", "value[9:-1].any()", "value[10:-1].any()"),
        ("largest code 254", "clamp", "self.result.eq(-1)", "self.result.eq(-2)"),
        ("negative values wrap", "clamp", "with m.If(value[-1]):", "with m.If(0):"),
        ("limit of the wrong sign", "sign", "(~coarse[-1]).replicate(bits - 1), coarse[-1]",
         "coarse[-1].replicate(bits - 1), ~coarse[-1]"),
    ),
    *_in(
        "shifter",
        ("DSP no rounding bit", "rounding", "i_D=Cat(C(0, 15), offset[0])", "i_D=0"),
        ("DSP shifts one less", "level", "Cat(C(0, 8), 1 << ~self.shift[:3])", "Cat(C(0, 9), 1 << ~self.shift[:3])"),
        ("DSP extra bit for shift 6", "level", "        seven = self.shift[:3] == 7\n        above",
         "        seven = self.shift[:3] == 6\n        above"),
        ("DSP window without sign", "sign", "sign.replicate(12)", "C(0, 12)"),
        ("DSP middle bits ignored", "clamp", "m.d.comb += far.eq(upper | middle)", "m.d.comb += far.eq(upper)"),
        ("DSP drops carry of lower half", "carry", "p_TOPADDSUB_CARRYSELECT=2,", "p_TOPADDSUB_CARRYSELECT=0,"),
        ("DSP keeps product beyond codes", "clamp", "i_OLOADTOP=alone,", "i_OLOADTOP=0,"),
        tests="shifter cells",
    ),
    *_in(
        "shifter",
        ("offset limits too near", "clamp", "max(9 + self._highway, self._lut_bits)", "max(9, self._lut_bits)"),
        ("ReLU of every section", "enable", "Mux(self.relu & self.product[-1], 0, value)",
         "Mux(self.product[-1], 0, value)"),
        tests="skip shifter",
    ),
    *_in(
        "shifter",
        ("DSP offset without its upper bits", "carry", "excess.eq(high + moved)", "excess.eq(moved)"),
        ("DSP bit behind the window weighs one for shift 6", "level", "Mux(six, lacking << 1,", "Mux(six, lacking,"),
        ("DSP far bits ignored beside offsets", "clamp", "beyond.eq(far | (six", "beyond.eq((six"),
        tests="skip shifter cells",
    ),
    *_in(
        "skip_reader",
        ("a read too few", "count", "m.d.sync += left.eq(c.r)", "m.d.sync += left.eq(c.r - 1)"),
        ("reads beside the writer", "enable", "self.upcoming.eq((left != 0) & ~self.blocked)",
         "self.upcoming.eq(left != 0)"),
        ("reads what is written", "address", "(place >> inside) + drain.skip", "place >> inside"),
        ("part of the next read", "stale", "delayed(m, part, c.read_cycles)", "part"),
        ("pixel kept over a section", "reset", "m.d.sync += pixel.eq(0)", "m.d.sync += pixel.eq(pixel)"),
        ("codes a cycle late", "stale", "self.LATENCY - 2)", "self.LATENCY - 1)"),
        ("zero points all positive", "sign", "Cat(drain.zero_point, drain.below).as_signed()", "drain.zero_point"),
        ("last code stays", "stale", "Mux(take, held[r], codes[8:])", "Mux(take, held[r], Cat(codes[8:], codes[-8:]))"),
    ),
    *_in(
        "steps",
        ("planes always weigh", "level", '(turns["planes"].count & self.compute.radix)', 'turns["planes"].count'),
        ("last with every row", "last flag", 'return ends["words"], ends["windows"]',
         'return ends["rows"], ends["windows"]'),
        ("drained a cycle early", "count", "if added else 2", "if added else 3"),
        ("drained before the skips are read", "count", "max(self.drain_cycles, self._config.skip_cycles)",
         "self.drain_cycles"),
        ("word of one plane", "address", "following.eq(word + self.compute.planes + 1)", "following.eq(word + 1)"),
        ("rows freed in every window", "stale", 'm.If(last["windows"] & last["pixel_groups"])',
         'm.If(last["pixel_groups"])'),
        ("window begins at the pass", "address", "row.eq(group_row)", "row.eq(row_released)"),
        ("rewound pointer waits", "enable", "going.eq(~rewinds & Mux", "going.eq(Mux"),
        ("first with every row", "reset", 'turns["planes"].first & turns["rows"].first &', 'turns["planes"].first &'),
    ),
    *_in(
        "steps",
        ("last without a step", "stale", "self.step.last.eq(go & window_ends)", "self.step.last.eq(window_ends)"),
        equivalent="the shadow takes `last` with `enable` only",
    ),
    *_in(
        "steps",
        ("planes weigh as digits", "level", "(plane << 2)", "(plane << 1)"),
        ("unused lanes of every word", "mask", "(unused & last_word.replicate(k))", "unused"),
        ("a lane too few unused", "mask", "compute.unused > k - 1 - lane", "compute.unused > k - lane"),
        tests="xnor_column",
    ),
    *_in(
        "tile",
        ("all banks written", "enable", "chosen = self.enable & (self.bank == p)", "chosen = self.enable"),
        ("mask ignored", "mask", "self.mask & chosen.replicate(len(self.mask))", "chosen.replicate(len(self.mask))"),
        ("assembled mask ignored", "mask", "(self.plane == plane) & self.mask[lane]", "(self.plane == plane)"),
        ("assembled word early", "stale", "WRITE_DELAY = 1", "WRITE_DELAY = 0"),
        ("assembled plane 0", "address", "writer.data.eq(words[plane])", "writer.data.eq(words[0])"),
        ("assembled in every bank", "enable", "writer.en.eq(write & (bank == p))", "writer.en.eq(write)"),
    ),
    *_in(
        "tile_position",
        ("planes overlap", "address", "self.following.eq(word + self.planes + 1)", "self.following.eq(word + 1)"),
        ("open group goes on", "last flag", "(bank == last_bank) | self.last_pixel", "bank == last_bank"),
        ("banks not aligned", "address", "[bank.eq(bank + 1), word.eq(group)]", "bank.eq(bank + 1)"),
        ("bank kept over a reset", "reset", "[word.eq(0), bank.eq(0), group.eq(0)]", "[word.eq(0), group.eq(0)]"),
    ),
    *_in(
        "tree",
        ("even terms twice", "swapped lanes", "zip(terms[0::2], terms[1::2], strict=True)",
         "zip(terms[0::2], terms[0::2], strict=True)"),
        ("signed sums overflow", "carry", "signed(shape.width + 1)", "signed(shape.width)"),
        ("unsigned sums overflow", "carry", "width = shape.width + 1", "width = shape.width"),
    ),
    *_in(
        "turn_counter",
        ("a turn more", "count", "following == self.limit)", "count == self.limit)"),
        ("single turns not last", "last flag", "Mux(begin, self.limit == 0,", "Mux(begin, 0,"),
        ("follows itself", "count", "Mux(begin, 1, following + 1)", "Mux(begin, 0, following + 1)"),
    ),
    *_in(
        "weight_blocks",
        ("head under way kept over a run", "reset", "under_way.eq(arrives & ~self.restart)", "under_way.eq(arrives)"),
        ("a row less", "count", "left.eq(head.rows)", "left.eq(head.rows - 1)"),
        ("back by a word less", "address", "Mux(self.half, 1 - c.code_words // 2, 1 - c.code_words)",
         "Mux(self.half, 1 - c.code_words // 2, 2 - c.code_words)"),
        ("tables change places early", "stale", "delayed(m, self.completes, c.pump_cycles) & twice",
         "delayed(m, self.completes, c.read_cycles) & twice"),
        ("odd words never written", "enable", "Cat(here, here & self.half)", "Cat(here, 0)"),
        ("whole rows end early", "last flag", "(self.segment | self.half).all()", "(self.segment | 1).all()"),
        ("asks while a head comes", "stale", "self.asks.eq(coming != _Next.NONE)", "self.asks.eq(1)"),
    ),
    *_in(
        "weight_tables",
        ("halves swapped", "swapped lanes", "(self.data[:32], self.data[32:])", "(self.data[32:], self.data[:32])"),
        ("raw rows through the last table", "stale", "with m.If(self.plain):", "with m.If(0):"),
        ("tables never change places", "stale", "with m.If(self.load | self.swap):", "with m.If(self.load):"),
        ("upper bits kept in halves", "mask", "Mux(self.half, 0, nibble[2:])", "nibble[2:]"),
    ),
    *_in(
        "weight_pump",
        ("ends in the first turn", "last flag", "last & ~blocks.again if blocks else last", "last"),
        tests="weight_tables",
    ),
    *_in(
        "weight_pump",
        ("ring overrun", "level", "full.eq(Mux(completes, following == end, available == end))",
         "full.eq(available == end)"),
        ("reloads what is not pinned once", "stale", "~(header.pinned & loaded)", "~loaded"),
        ("header written, rows kept", "stale", "m.d.sync += loaded.eq(0)", "m.d.sync += loaded.eq(loaded)"),
        ("parts of a row swapped", "swapped lanes", "<< delayed(m, segment, c.read_cycles)",
         "<< segment"),
        ("row written one behind", "address", "delayed(m, available[:-1], c.pump_cycles)",
         "delayed(m, following[:-1], c.pump_cycles)"),
        ("segment kept over a run", "reset", "available.eq(0),\n                segment.eq(0),", "available.eq(0),"),
        ("goes on at word 0", "last flag", "last = word.all() if", "last = word == 0 if"),
    ),
    *_in(
        "weight_pump",
        ("slots of the codes", "stale", "with m.If(enable[0]):", "with m.If(enable[1]):"),
        ("slots not counted", "count", "m.d.sync += segment.eq(0)  #", "pass  #"),
    ),
    *_in(
        "wishbone",
        ("errors acknowledged", "mask", "access.done & ~access.error", "access.done"),
        ("answers without strobe", "mask", "self.wb_cyc_i & self.wb_stb_i", "self.wb_cyc_i"),
    ),
    *_in(
        "writer",
        ("bytes in reverse", "swapped lanes", "chunk.eq(Cat(chunk[8:], code))", "chunk.eq(Cat(code, chunk[8:]))"),
        ("last pixel not written", "comparison", "(pixel <= others)", "(pixel < others)"),
        ("masks swapped", "mask", "Mux(drain.byte, wide, narrow)", "Mux(drain.byte, narrow, wide)"),
        ("idle after the first group", "last flag", "groups.step & groups.last", "write & groups.last"),
        ("packed codes in reverse", "swapped lanes", "Cat(chunk[1:4], code[0])", "Cat(code[0], chunk[:3])"),
        ("packed nibble everywhere", "mask", "(nibble_place[: self._unit] == nibble % c.m)", "1"),
    ),
    *_in(
        "xnor_column",
        ("zero weights count", "mask", "(weight[0] | ~single)", "(weight[0] | 1)"),
        ("bit 0 keeps its own sign", "sign", "Mux(single, weight[1], weight[0])", "weight[0]"),
        ("four of four is none", "carry", "two & others)", "two & others & one)"),
        ("positions all alike", "level", "Mux(self.positional, low, low << 1)", "low << 1"),
        ("upper half once", "level", "low + Mux(self.positional, high << 2, high)", "low + high"),
    ),
)


def source(mutation: Mutation, root: Path = REPOSITORY) -> Path:
    """The file that a fault is put into."""
    return root / GATEWARE / mutation.file


def problems(mutations: Iterable[Mutation]) -> list[str]:
    """What keeps entries from being applied: texts that are not there once, names used twice, no Python any more."""
    found, names = [], set()
    for mutation in mutations:
        if mutation.name in names:
            found.append(f"{mutation.name}: two entries have this name")
        names.add(mutation.name)
        try:
            text = source(mutation).read_text()
            if mutation.apply(text) == text:
                found.append(f"{mutation.name}: changes nothing")
            ast.parse(mutation.apply(text))
        except (OSError, ValueError, SyntaxError) as error:
            found.append(f"{mutation.name}: {error}")
    return found


def tests_of(mutation: Mutation) -> tuple[str, ...]:
    """Arguments for pytest: the tests of the file, then those of whole engines."""
    keys = mutation.tests or (Path(mutation.file).stem,)
    own = [test for key in keys for test in TESTS.get(key, ())]
    return tuple(f"tests/{test}" for test in (*own, *ENGINE))


class Copies:
    """Copies of the tree, one for each job, and a cache for the simulators of faulty designs."""

    def __init__(self, folder: Path, count: int) -> None:
        self._variables = {"SUBBYTE_CACHE": str(folder / "cache")}
        self._count = count
        self._free: queue.Queue[Path] = queue.Queue()
        for index in range(count):
            copy = folder / f"copy{index}"
            copy.mkdir()
            for name in COPIED:
                if (REPOSITORY / name).is_dir():
                    shutil.copytree(REPOSITORY / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(REPOSITORY / name, copy / name)
            self._free.put(copy)

    @contextmanager
    def _taken(self) -> Iterator[Path]:
        copy = self._free.get()
        try:
            yield copy
        finally:
            self._free.put(copy)

    def run(self, mutation: Mutation) -> Outcome:
        """Tests with the fault."""
        with self._taken() as copy:
            path = source(mutation, copy)
            text = path.read_text()
            path.write_text(mutation.apply(text))
            try:
                return self._outcome(copy, tests_of(mutation), self._variables)
            finally:
                path.write_text(text)

    def run_without(self, mutations: Iterable[Mutation]) -> Outcome:
        """All tests of these faults, without any."""
        tests = dict.fromkeys(test for mutation in mutations for test in tests_of(mutation))
        with self._taken() as copy:
            arguments = ("-n", str(self._count), *tests)
            return self._outcome(copy, arguments, {}, 20 * TIMEOUT, (FAILED, INTERRUPTED))

    def _outcome(
        self, copy: Path, tests: Sequence[str], variables: Mapping[str, str], timeout: float = TIMEOUT,
        failed: tuple[int, ...] = (FAILED,),
    ) -> Outcome:
        # Bytecode is told apart by size and second of its source, which is not enough here.
        environment = os.environ | variables | {
            "PYTHONPATH": os.pathsep.join(str(copy / root) for root in ROOTS), "PYTHONDONTWRITEBYTECODE": "1",
            "COLUMNS": "250",
        }
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=no", *tests]
        start = time.monotonic()
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(
                command, cwd=copy, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = process.wait(timeout)
            except subprocess.TimeoutExpired:
                return Outcome(True, "", f"no end in {timeout} s", time.monotonic() - start)
            finally:
                _end(process)
            log.seek(0)
            text = log.read()
        seconds = time.monotonic() - start
        if status == PASSED:
            return Outcome(False, "", "", seconds)
        told = re.search(r"^(?:FAILED|ERROR) tests/(.+?)(?: - (.*))?$", text, re.MULTILINE)
        if status not in failed or told is None:
            raise RuntimeError(f"pytest ended with {status}:\n{text}")
        return Outcome(True, told[1], told[2] or "", seconds)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt pytest, which then ends the simulators that it started, and make sure that all are gone."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            for pid in _tree(process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()


def _tree(root: int) -> list[int]:
    """A process and all below it, whatever their group or session: simulators have one of their own."""
    parents = dict[int, int]()
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # gone since
            # The name, in brackets, may hold anything; behind it are the state and the parent.
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def _verdict(mutation: Mutation, outcome: Outcome) -> str:
    if outcome.caught:
        return "caught" if not mutation.equivalent else "CAUGHT, but said to be equivalent"
    return f"equivalent: {mutation.equivalent}" if mutation.equivalent else "SURVIVED"


def _row(mutation: Mutation, outcome: Outcome) -> dict[str, object]:
    return {
        "mutation": mutation.name, "kind": mutation.kind, "verdict": _verdict(mutation, outcome),
        "test": outcome.test, "error": outcome.error, "seconds": round(outcome.seconds, 1),
    }


def _line(row: dict[str, object]) -> str:
    how = f"{row['test'] or '-'}: {row['error']}" if row["verdict"] == "caught" else str(row["verdict"])
    return f"{row['mutation']:50}  {row['kind']:13}  {row['seconds']:6.1f} s  {how[:130]}"


def chosen(only: str | None, limit: int | None) -> tuple[Mutation, ...]:
    """Entries whose name matches the expression `only`, the first `limit` of every n-th so that all files count."""
    found = [mutation for mutation in MUTATIONS if only is None or re.search(only, mutation.name)]
    if limit is not None and limit < len(found):
        found = [found[index * len(found) // limit] for index in range(limit)]
    return tuple(found)


def measure(mutations: Sequence[Mutation], jobs: int, report: Callable[[str], None]) -> list[dict[str, object]]:
    """A row for each fault, in order. RuntimeError when the tests fail without one."""
    with tempfile.TemporaryDirectory(prefix="subbyte-") as folder:
        copies = Copies(Path(folder), jobs)
        without = copies.run_without(mutations)
        report(f"without a fault: {without.seconds:.1f} s")
        if without.caught:
            raise RuntimeError(f"Tests fail without a fault: {without.test} - {without.error}")
        rows = []
        pool = ThreadPoolExecutor(jobs)
        try:
            for mutation, outcome in zip(mutations, pool.map(copies.run, mutations), strict=True):
                rows.append(_row(mutation, outcome))
                report(_line(rows[-1]))
        finally:
            pool.shutdown(cancel_futures=True)
        return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="REGEX", help="entries whose name matches, such as '^shifter'")
    parser.add_argument("--limit", type=int, metavar="N", help="so many entries, spread over all")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="so many at once (default 1)")
    parser.add_argument("--list", action="store_true", help="show the entries, run nothing")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    stale = problems(MUTATIONS)
    if stale:
        print("\n".join(stale), file=sys.stderr)
        return 2
    mutations = chosen(arguments.only, arguments.limit)
    if not mutations or arguments.jobs < 1:
        print(f"No entry matches {arguments.only!r}" if not mutations else "Jobs must be 1 or more", file=sys.stderr)
        return 2
    if arguments.list:
        for mutation in mutations:
            print(f"{mutation.name:50}  {mutation.kind:13}  {' '.join(tests_of(mutation))}")
        return 0

    def report(line: str) -> None:
        print(line, file=sys.stderr if arguments.json else sys.stdout, flush=True)

    try:
        rows = measure(mutations, arguments.jobs, report)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    faults = [row for row in rows if not str(row["verdict"]).startswith("equivalent")]
    caught = sum(row["verdict"] == "caught" for row in faults)
    wrong = [row for row in rows if str(row["verdict"]).startswith("CAUGHT")]
    share = caught / len(faults) if faults else 1.0
    if arguments.json:
        print(json.dumps({"caught": caught, "faults": len(faults), "share": share, "rows": rows}, indent=1))
    report(f"{caught} of {len(faults)} faults caught, {100 * share:.1f} %; {len(rows) - len(faults)} equivalent")
    return int(share < BAR or bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
