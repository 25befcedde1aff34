"""Segment walker: the five nested loops of a fill section, one segment ahead of its use."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from subbyte.hw.ports import fill_layout

__all__ = ["SegmentWalker"]


class SegmentWalker(wiring.Component):
    """Position inside the current segment, and the address of the next one computed while it is used.

    A segment of one cycle is followed by one idle cycle, longer ones are not.

    Members
    -------
    start : In(1), pulse: `fill` holds a new section
    fill : In(fill_layout)
    active : Out(1), segments are left
    valid : Out(1), `address` and `left` are those of the current segment
    address : Out, nibble address of the next code
    left : Out(14), codes left in the segment, this one included
    advance : In(1), move by `codes` codes, `nibbles` nibbles
    ends : In(1), with advance: it is the end of the segment
    window_ends, pixel_ends, last_pixel : Out(1), the current segment is the last of its window
        position, of its pixel; belongs to the last pixel
    """

    def __init__(self, config):
        self._config = config
        super().__init__({
            "start": In(1),
            "fill": In(fill_layout()),
            "active": Out(1),
            "valid": Out(1),
            "address": Out(config.nibble_address_bits),
            "left": Out(14),
            "advance": In(1),
            "codes": In(range(config.fill_nibbles + 1)),
            "nibbles": In(range(config.fill_nibbles + 1)),
            "ends": In(1),
            "window_ends": Out(1),
            "pixel_ends": Out(1),
            "last_pixel": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        fill = self.fill
        loops = ["ky", "wx", "wy", "px", "py"]  # innermost first
        counters = {name: Signal.like(fill[name], name=name) for name in loops}
        last = {name: Signal(name=f"{name}_last") for name in loops}
        for name in loops:
            m.d.comb += last[name].eq(counters[name] == fill[name])
        all_last = Signal()
        m.d.comb += [
            self.window_ends.eq(last["ky"]),
            self.pixel_ends.eq(last["ky"] & last["wx"] & last["wy"]),
            self.last_pixel.eq(last["px"] & last["py"]),
            all_last.eq(self.pixel_ends & self.last_pixel),
        ]

        segment = Signal.like(self.address)
        following = Signal.like(self.address)
        ready = Signal()  # `following` is known
        step = Signal.like(self.address)
        m.d.comb += step.eq(fill.step_py)
        for name in reversed(loops[:-1]):
            with m.If(~last[name]):
                m.d.comb += step.eq(fill[f"step_{name}"])
        m.d.sync += [following.eq(segment + step), ready.eq(self.active)]

        load = Signal()
        m.d.comb += load.eq(self.active & ready & (~self.valid | (self.advance & self.ends)) & ~all_last)
        with m.If(self.advance):
            m.d.sync += [self.address.eq(self.address + self.nibbles), self.left.eq(self.left - self.codes)]
            with m.If(self.ends):
                m.d.sync += self.valid.eq(0)
                with m.If(all_last):
                    m.d.sync += self.active.eq(0)
        with m.If(load):
            m.d.sync += [
                segment.eq(following),
                self.address.eq(following),
                self.left.eq(fill.segment),
                self.valid.eq(1),
                ready.eq(0),
            ]
            inner_last = C(1)
            for name in loops:
                with m.If(inner_last):
                    m.d.sync += counters[name].eq(Mux(last[name], 0, counters[name] + 1))
                inner_last = inner_last & last[name]
        with m.If(self.start):
            m.d.sync += [
                segment.eq(fill.address),
                self.address.eq(fill.address),
                self.left.eq(fill.segment),
                self.active.eq(1),
                self.valid.eq(1),
                ready.eq(0),
            ]
            m.d.sync += [counters[name].eq(0) for name in loops]
        return m
