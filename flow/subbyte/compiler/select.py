"""Choice of operations for a network: which max pools are fused into the convolution before them."""

from __future__ import annotations

from subbyte.compiler.capacity import capacity_problems
from subbyte.compiler.concat import concat_problems
from subbyte.compiler.fusion import Chain, group_layers
from subbyte.compiler.operation import Operation, chain_operation, fusable, pool_operation
from subbyte.compiler.schedule_error import ScheduleError
from subbyte.spec.engine import EngineConfig
from subbyte.spec.network import MaxPool2d, Network


def select_operations(network: Network, engine: EngineConfig) -> list[Operation]:
    """Operations in execution order. ScheduleError lists the problems of all layers."""
    operations: list[Operation] = []
    problems = list(concat_problems(network, engine))
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


def _operations(network: Network, group: Chain | MaxPool2d, engine: EngineConfig) -> list[Operation]:
    """The cheapest form of one group that fits the engine."""
    if isinstance(group, MaxPool2d):
        return _checked([pool_operation(network, group, engine)])
    if group.pool is None:
        return _checked([chain_operation(network, group, None, engine)])
    forms = [[chain_operation(network, group, None, engine), pool_operation(network, group.pool, engine)]]
    if fusable(network, group.pool):
        forms.insert(0, [chain_operation(network, group, group.pool, engine)])
    fitting = [form for form in forms if not any(problem for part in form for problem in capacity_problems(part))]
    if not fitting:
        return _checked(forms[-1])
    return min(fitting, key=lambda form: sum(part.rough_cycles() for part in form))


def _checked(operations: list[Operation]) -> list[Operation]:
    problems = [problem for operation in operations for problem in capacity_problems(operation)]
    if problems:
        raise ScheduleError(*problems)
    return operations
