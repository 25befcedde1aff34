"""Places of the chunks of a drain section, in the order in which its codes come."""

from amaranth import *

from subbyte.hw.ports import word_view
from subbyte.hw.turn_counter import TurnCounter
from subbyte.spec.program import DRAIN_FIELDS

__all__ = ["chunk_places"]


def chunk_places(m, config, drain, first, start, write, packs=False, column=None):
    """Adds the address generator of a drain section to the module `m`.

    A ring of the addresses of P pixels turns with every write: the pixels of a group come in the same order
    for each column group. With the last column group a later pixel, found from the latest one, takes the
    place of each.

    Parameters
    ----------
    drain : the section, static from `start` on
    first : WordArrival, its word 0, before `start`
    start : pulse; the first place is there P - 1 cycles after it
    write : the place of this cycle is used, on to the next
    packs : codes may be packed, M to a nibble; places are then in units of one nibble
    column : flag, static: it is a column pass, whose `step_py` begins at the first pixel of a turn of px. None: never

    Returns
    -------
    (place of the chunk in units of M nibbles or of one, its pixel in the group of P, last column group,
    the chunk is the last of its group of P pixels)
    """
    c = config
    inside = (c.m - 1).bit_length()
    unit = 0 if packs else inside
    ring = [Signal(c.nibble_address_bits - unit, name=f"place{p}", reset_less=True) for p in range(c.p)]
    priming = Signal(range(c.p))
    pixel = Signal(range(c.p))
    group = Signal.like(drain.groups, reset_less=True)
    turn = write | (priming != 0)
    group_last = group == drain.groups
    enter = turn & (group_last | (priming != 0))
    m.submodules.columns = columns = TurnCounter(len(drain.px))
    m.d.comb += [columns.limit.eq(drain.px), columns.start.eq(start), columns.advance.eq(enter)]
    pixel_last = pixel == c.p - 1

    with m.If(turn):
        m.d.sync += [old.eq(new) for old, new in zip(ring, ring[1:] + ring[:1], strict=True)]
    origin = ring[-1]
    if column is not None:
        top = Signal.like(ring[-1], name="top", reset_less=True)
        origin = Mux(column & columns.last, top, ring[-1])
        with m.If(enter & columns.last):
            m.d.sync += top.eq(top + drain.step_py[unit:])
        with m.If(first.here):
            m.d.sync += top.eq(word_view(DRAIN_FIELDS[0], first.word).address[unit:])
    with m.If(enter):
        m.d.sync += ring[-1].eq(origin + Mux(columns.last, drain.step_py, drain.step_px)[unit:])
    with m.If(first.here):
        m.d.sync += ring[-1].eq(word_view(DRAIN_FIELDS[0], first.word).address[unit:])
    with m.If(start):
        m.d.sync += priming.eq(c.p - 1)
    with m.Elif(priming != 0):
        m.d.sync += priming.eq(priming - 1)
    with m.If(write):
        m.d.sync += pixel.eq(pixel + 1)
    with m.If(start | (write & pixel_last & group_last)):
        m.d.sync += group.eq(0)
    with m.Elif(write & pixel_last):
        m.d.sync += group.eq(group + 1)
    offset = Mux(drain.byte, group << 1, group)
    if packs:
        offset = Mux(drain.packed, group, offset << inside)
    return ring[0] + offset, pixel, group_last, pixel_last
