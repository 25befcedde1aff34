"""Choice of operations for a network: which max pools are fused into the convolution before them."""

from __future__ import annotations

from subbyte.compiler.activation_records import record_problems
from subbyte.compiler.capacity import capacity_problems
from subbyte.compiler.concat import concat_problems
from subbyte.compiler.fusion import Chain, group_layers
from subbyte.compiler.grouped import forms, rough_cycles
from subbyte.compiler.linear_layer import channel_groups
from subbyte.compiler.lookup import lookup_operation
from subbyte.compiler.operation import Operation, chain_operation, fusable, pool_operation
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.compiler.upper_outliers import spread_outliers
from subbyte.spec.engine import EngineConfig
from subbyte.spec.network import Lookup, MaxPool2d, Network


def select_operations(network: Network, engine: EngineConfig) -> list[Operation]:
    """Operations in execution order. ScheduleError lists the problems of all layers."""
    operations: list[Operation] = []
    problems = [*concat_problems(network, engine), *record_problems(network, engine)]
    try:
        groups = group_layers(network)
    except ScheduleError as error:
        raise ScheduleError(*problems, *error.problems) from None
    for group in groups:
        try:
            operations += _operations(network, group, engine)
        except ScheduleError as error:
            problems += error.problems
    if problems:
        raise ScheduleError(*problems)
    return operations


def _operations(network: Network, group: Chain | MaxPool2d | Lookup, engine: EngineConfig) -> list[Operation]:
    """The cheapest form of one group that fits the engine."""
    if isinstance(group, Lookup):
        return _checked([lookup_operation(network, group, engine)])
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
