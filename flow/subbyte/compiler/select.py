"""Choice of operations for a network: which max pools are fused into the convolution before them, which lookups into
the decode tables of what reads them."""

from __future__ import annotations

import dataclasses
from itertools import chain

from subbyte.compiler.activation_records import record_problems
from subbyte.compiler.capacity import capacity_problems
from subbyte.compiler.concat import concat_problems, home
from subbyte.compiler.fusion import Chain, Group, group_layers, readers
from subbyte.compiler.grouped import forms, rough_cycles
from subbyte.compiler.layout import pad_codes
from subbyte.compiler.linear_layer import channel_groups
from subbyte.compiler.lookup import lookup_operation
from subbyte.compiler.operation import Operation, chain_operation, fusable, pool_operation
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.compiler.sums import sum_operation
from subbyte.compiler.tables import decode_slots
from subbyte.compiler.upper_outliers import spread_outliers
from subbyte.spec.engine import EngineConfig
from subbyte.spec.network import Add, Lookup, MaxPool2d, Network


def select_operations(network: Network, engine: EngineConfig) -> list[Operation]:
    """Operations in execution order. ScheduleError lists the problems of all layers."""
    chosen: list[list[Operation]] = []
    problems = [*concat_problems(network, engine), *record_problems(network, engine)]
    try:
        groups = group_layers(network)
    except ScheduleError as error:
        raise ScheduleError(*problems, *error.problems) from None
    for group in groups:
        try:
            chosen.append(_operations(network, group, engine))
        except ScheduleError as error:
            problems += error.problems
    if problems:
        raise ScheduleError(*problems)
    return list(chain.from_iterable(_without_copies(network, groups, chosen, engine)))


def _without_copies(
    network: Network, groups: list[Group], chosen: list[list[Operation]], engine: EngineConfig
) -> list[list[Operation]]:
    """The operations `chosen` for the groups, without those of lookups through which all readers can read as fast."""
    for place, group in enumerate(groups):
        if not isinstance(group, Lookup):
            continue
        through = _reading_through(network, groups, group, engine)
        shorter = [through.get(index, form) for index, form in enumerate(chosen)]
        shorter[place] = []
        before, after = (list(chain.from_iterable(forms)) for forms in (chosen, shorter))
        pads = pad_codes(network, after, home(network, group.input)[0])
        has_room = decode_slots(after) <= max(engine.table_slots, decode_slots(before))
        if through and len(pads) <= 1 and has_room and rough_cycles(after) <= rough_cycles(before):
            chosen = shorter
    return chosen


def _reading_through(
    network: Network, groups: list[Group], lookup: Lookup, engine: EngineConfig
) -> dict[int, list[Operation]]:
    """Operations of the chains, by their place among the groups, that read what `lookup` reads through its table.

    Empty unless chains are all that read what it writes, and all of them can.
    """
    heads = {group.linear.name: index for index, group in enumerate(groups) if isinstance(group, Chain)}
    places = [heads.get(layer.name) for layer in readers(network, lookup.output)]
    found = {}
    for index in places:
        group = None if index is None or lookup.output == network.output else groups[index]
        if index is None or not isinstance(group, Chain):
            return {}
        try:
            found[index] = _operations(network, dataclasses.replace(group, lookup=lookup), engine)
        except ScheduleError:
            return {}
    return found


def _operations(network: Network, group: Group, engine: EngineConfig) -> list[Operation]:
    """The cheapest form of one group that fits the engine."""
    if isinstance(group, Lookup):
        return _checked([lookup_operation(network, group, engine)])
    if isinstance(group, Add):
        return _checked([sum_operation(network, group, engine)])
    if isinstance(group, MaxPool2d):
        return _checked([pool_operation(network, group, engine)])
    groups = channel_groups(network, group.linear)
    behind = [] if group.pool is None else [pool_operation(network, group.pool, engine)]
    fused = group.pool is not None and fusable(network, group.pool)
    # A convolution does not slide for a pool that can be fused: what it writes would take memory of its own.
    choice = [[*form, *behind] for form in forms(chain_operation(network, group, None, engine), groups, not fused)]
    if fused:
        choice = [*forms(chain_operation(network, group, group.pool, engine), groups), *choice]
    choice = [[spread_outliers(part) for part in form] for form in choice]
    fitting = [form for form in choice if not any(problem for part in form for problem in capacity_problems(part))]
    if not fitting:
        return _checked(choice[-1])
    return min(fitting, key=rough_cycles)


def _checked(operations: list[Operation]) -> list[Operation]:
    problems = [problem for operation in operations for problem in capacity_problems(operation)]
    if problems:
        raise ScheduleError(*problems)
    return operations
