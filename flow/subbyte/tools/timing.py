"""Longest path of a mapped netlist, by the tables of its cells: static timing analysis without wires.

Delay and transition of every arc are looked up at the input's transition and the load, which is that of the input pins
on the net alone. Rising and falling edges are followed apart; of several inputs the latest arrival and the slowest
transition go on (so the sum is an upper bound). Paths begin at the inputs, at time 0, and at the flip-flops, with the
clock's edge; they end at the outputs and, with their setup time, at the flip-flops. The clock arrives everywhere at
once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from subbyte.tools.errors import ToolError
from subbyte.tools.liberty import EDGES, Arc, Cell, Library

FANOUT = 4
"""Inverters that an output drives, and whose edge an input has."""
ROUNDS = 20
"""Of an inverter chain until its transition is settled."""

Net = int | str
Event = tuple[Net, str]
"""A net, by its number in the netlist, and an edge."""

_SENSES = {"positive_unate": ("rise", "fall"), "negative_unate": ("fall", "rise")}


@dataclass(frozen=True)
class Corner:
    """What surrounds the netlist: the transition of all inputs and of the clock, ps, and the load of outputs, fF.

    fo4 : delay of an inverter that drives four of its kind, ps: a measure of the process
    """

    transition: float
    load: float
    fo4: float

    @classmethod
    def of(cls, library: Library) -> Corner:
        """By the library's smallest inverter, in a chain of which each drives four."""
        cell = library.smallest("!A")
        arcs = [arc for arc in cell.outputs[0].arcs if arc.transition] if cell else []
        if cell is None or not arcs:
            raise ToolError(f"Library {library.name} must have an inverter, function !A, with delays and transitions")
        load, transition, delay = FANOUT * cell.inputs[0].capacitance, 0.0, 0.0
        for _ in range(ROUNDS):
            delay = max(table(transition, load) for table in arcs[0].delay.values())
            transition = max(table(transition, load) for table in arcs[0].transition.values())
        return cls(transition, load, delay)


@dataclass
class _Graph:
    """Arcs of the netlist. `into` : event -> (event before, arc, edge) for every way to it."""

    into: dict[Event, list[tuple[Event | None, Arc, str]]] = field(default_factory=lambda: defaultdict(list))
    ends: list[tuple[Net, Arc | None]] = field(default_factory=list)
    load: dict[Net, float] = field(default_factory=lambda: defaultdict(float))


def _before(arc: Arc, edge: str) -> tuple[str, ...]:
    """Edges of the source that may cause an edge of the output."""
    if arc.sense in _SENSES:
        return (edge if arc.sense == "positive_unate" else ("fall" if edge == "rise" else "rise"),)
    return EDGES


def _cell(graph: _Graph, cell: Cell, nets: dict[str, Net]) -> None:
    """Add a cell's arcs, loads and ends; `nets` by pin."""
    for pin in cell.pins.values():
        net = nets.get(pin.name)
        if net is None:
            continue
        if pin.direction == "input":
            graph.load[net] += pin.capacitance
            setups = [arc for arc in pin.arcs if arc.kind.startswith("setup")]
            graph.ends += [(net, arc) for arc in setups] or ([(net, None)] if cell.sequential else [])
            continue
        for arc in pin.arcs:
            clocked = arc.kind in ("rising_edge", "falling_edge")
            source = nets.get(arc.source)
            if not clocked and (arc.kind != "combinational" or source is None):
                continue
            for edge in arc.delay:
                starts: Iterator[Event | None] = iter([None]) if clocked else (
                    (source, before) for before in _before(arc, edge) if source is not None
                )
                graph.into[net, edge] += [(start, arc, edge) for start in starts]


def longest_path(module: dict[str, Any], library: Library, corner: Corner) -> float:
    """Delay of the longest path in ps: the shortest clock period without wires.

    module : of a netlist that Yosys writes with write_json, all cells of which are of `library`. ToolError names a cell
    that is not, or says that there is a loop.
    """
    graph = _Graph()
    for instance in module["cells"].values():
        cell = library.cells.get(instance["type"])
        if cell is None:
            raise ToolError(f"Library {library.name} must have a cell for {instance['type']}: it was not mapped")
        _cell(graph, cell, {name: bits[0] for name, bits in instance["connections"].items() if bits})
    for port in module["ports"].values():
        if port["direction"] == "output":
            for net in port["bits"]:
                graph.load[net] += corner.load
                graph.ends.append((net, None))
    times = _times(graph, corner)
    return max((_end(times, net, setup, corner) for net, setup in graph.ends), default=0.0)


def _times(graph: _Graph, corner: Corner) -> dict[Event, tuple[float, float]]:
    """(arrival, transition) of every event that something causes, in an order in which causes come first."""
    times: dict[Event, tuple[float, float]] = {}
    start = (0.0, corner.transition)
    for event in _ordered(graph):
        found = []
        for cause, arc, edge in graph.into[event]:
            arrival, transition = times.get(cause, start) if cause else start
            at = transition, graph.load[event[0]]
            slope = arc.transition[edge](*at) if edge in arc.transition else transition
            found.append((arrival + arc.delay[edge](*at), slope))
        times[event] = max(arrival for arrival, _ in found), max(slope for _, slope in found)
    return times


def _ordered(graph: _Graph) -> list[Event]:
    """Events with causes, each behind its causes. ToolError when there is a loop."""
    waiting = {
        event: sum(cause in graph.into for cause, _, _ in causes if cause) for event, causes in graph.into.items()
    }
    effects: dict[Event, list[Event]] = defaultdict(list)
    for event, causes in graph.into.items():
        for cause, _, _ in causes:
            if cause in waiting:
                effects[cause].append(event)
    ready = [event for event, count in waiting.items() if not count]
    for event in ready:
        for effect in effects[event]:
            waiting[effect] -= 1
            if not waiting[effect]:
                ready.append(effect)
    if len(ready) < len(waiting):
        raise ToolError("The netlist must have no loop of gates")
    return ready


def _end(times: dict[Event, tuple[float, float]], net: Net, setup: Arc | None, corner: Corner) -> float:
    """Time at an end, with the setup time if it has one."""
    worst = 0.0
    for edge in EDGES:
        arrival, transition = times.get((net, edge), (0.0, corner.transition))
        needed = setup.delay[edge](corner.transition, transition) if setup and edge in setup.delay else 0.0
        worst = max(worst, arrival + needed)
    return worst
