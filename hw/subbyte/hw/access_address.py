"""Address that main memory sees: that of the unit whose cycle it is."""

from amaranth import *

from subbyte.hw.early import early
from subbyte.spec.engine import Family

__all__ = ["connect_address"]


def connect_address(m, family, domain, target, free, gather, pump, booked):
    """Connects the address of this cycle's access to `target`, in the module `m`.

    Parameters
    ----------
    domain : of the assignment, "comb" or "sync"
    free : nobody of `booked` has the cycle, of engines with SPRAM not even the host; from a register
    gather, pump : ReadPort, of units that take a free cycle, the first before the second
    booked : (the cycle is its own, address) of host and other units; one of these at most
    """
    if family is Family.ICE40:
        m.d[domain] += target.eq(_gated(m, free, gather, pump, booked))
        return
    # A choice after the other, the gather unit's last: its grant comes late.
    other = early(Signal.like(target))
    m.d[domain] += target.eq(Mux(gather.grant, gather.address, other))
    (own, address), *following = booked
    with m.If(own):
        m.d.comb += other.eq(address)
    for own, address in following:
        with m.Elif(own):
            m.d.comb += other.eq(address)
    with m.Else():
        m.d.comb += other.eq(pump.address)


def _gated(m, free, gather, pump, booked):
    """Two logic cells deep: SPRAM lies in two corners of the device, so the way to it takes half of the cycle."""
    total = early(Signal.like(pump.address))
    m.d.comb += total.eq(Mux(gather.request, gather.address, pump.address) & free.replicate(len(total)))
    gated = [address & own.replicate(len(total)) for own, address in booked]
    for one, other in zip(gated[0::2], gated[1::2], strict=False):
        pair = early(Signal.like(pump.address))
        m.d.comb += pair.eq(one | other)
        total |= pair
    return total | gated[-1] if len(gated) % 2 else total
