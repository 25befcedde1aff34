"""Liberty files, as far as area and delay of mapped cells need them.

The syntax is groups `name (arguments) { ... }`, attributes `name : value ;` and `name (values) ;`. Delays are those of
the table model (NLDM): tables over input transition and output load.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

from subbyte.tools.errors import ToolError

_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|\\\r?\n|\s+|"((?:[^"\\]|\\.)*)"|([{}();:,])|([^\s{}();:,"]+)', re.DOTALL)
_TIME_PS = {"ns": 1e3, "ps": 1.0, "fs": 1e-3}
_LOAD_FF = {"pf": 1e3, "ff": 1.0}
_END = "\0"
"""Behind the last token."""
EDGES = ("rise", "fall")
_STORAGE = ("ff", "latch", "ff_bank", "latch_bank", "statetable")


class LibertyError(ToolError):
    """A file that is no Liberty file, or not one of the table model."""


@dataclass
class Group:
    """A group: its attributes (the last of a name) and the groups in it."""

    kind: str
    arguments: tuple[str, ...]
    attributes: dict[str, str] = field(default_factory=dict)
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)

    def all(self, kind: str) -> list[Group]:
        """The groups of a kind in it."""
        return [group for group in self.groups if group.kind == kind]


@dataclass(frozen=True)
class Table:
    """Values at (first, second) index, between them interpolated, beyond them extrapolated, both linearly."""

    first: tuple[float, ...]
    second: tuple[float, ...]
    rows: tuple[tuple[float, ...], ...]

    def __call__(self, first: float, second: float) -> float:
        """The value at a point."""
        return _between(self.first, [_between(self.second, row, second) for row in self.rows], first)


@dataclass(frozen=True)
class Arc:
    """Delay from pin `source` to the pin that has it, ps; in a constraint, the time that data must be there before.

    delay, transition : edge of the output -> table over (input transition in ps, load in fF). Of a constraint
        `delay` is over (clock transition, data transition), `transition` is empty
    sense : timing_sense, "non_unate" where none is told
    kind : timing_type, "combinational" where none is told
    """

    source: str
    sense: str
    kind: str
    delay: dict[str, Table] = field(repr=False)
    transition: dict[str, Table] = field(repr=False)


@dataclass(frozen=True)
class Pin:
    """capacitance in fF; `function` empty where there is none."""

    name: str
    direction: str
    capacitance: float
    function: str
    arcs: tuple[Arc, ...] = field(repr=False)


@dataclass(frozen=True)
class Cell:
    """A cell. area in the library's unit, usually square micrometres.

    sequential : flip-flop, latch or other storage; flip_flop : one with an edge
    """

    name: str
    area: float
    sequential: bool
    pins: dict[str, Pin] = field(repr=False)
    flip_flop: bool = False

    @property
    def inputs(self) -> list[Pin]:
        """Input pins."""
        return [pin for pin in self.pins.values() if pin.direction == "input"]

    @property
    def outputs(self) -> list[Pin]:
        """Output pins."""
        return [pin for pin in self.pins.values() if pin.direction == "output"]


@dataclass(frozen=True)
class Library:
    """The cells of a file."""

    name: str
    cells: dict[str, Cell] = field(repr=False)

    def smallest(self, function: str) -> Cell | None:
        """The smallest cell of one input, called A in `function`, and one output; functions are `A` and `!A`."""
        found = [
            cell for cell in self.cells.values()
            if len(cell.inputs) == len(cell.outputs) == 1 and not cell.sequential
            and _plain(cell.outputs[0].function) == function.replace("A", cell.inputs[0].name)
        ]
        return min(found, key=lambda cell: cell.area, default=None)


def _plain(function: str) -> str:
    """A function of one pin without blanks and parentheses, its complement with ! in front."""
    text = re.sub(r"[\s()]", "", function)
    return f"!{text[:-1]}" if text.endswith("'") else text


def _between(index: tuple[float, ...], values: list[float] | tuple[float, ...], at: float) -> float:
    """Linear interpolation; a single value holds everywhere."""
    if len(index) == 1:
        return values[0]
    place = min(max(bisect_right(index, at), 1), len(index) - 1)
    low, high = index[place - 1], index[place]
    return values[place - 1] + (values[place] - values[place - 1]) * (at - low) / (high - low)


def _tokens(text: str) -> Iterator[str]:
    """Words and marks, without comments; strings with their first quote, which tells them from marks."""
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            line = text.count("\n", 0, position) + 1
            raise LibertyError(f"a string without end in line {line}")
        position = match.end()
        if match[1] is not None:
            yield '"' + match[1].replace("\\\n", " ")
        elif mark := match[2] or match[3]:
            yield mark


def parse(text: str) -> Group:
    """The outermost group of a Liberty text. LibertyError when there is none, it has no end, or more comes behind."""
    tokens = [*_tokens(text), _END, _END]
    if tokens[:2] != ["library", "("]:
        raise LibertyError("it does not begin with library (NAME)")
    arguments, position = _arguments(tokens, 1)
    library, end = _group(tokens, Group("library", arguments), position + 1)
    if tokens[end] not in (";", _END):
        raise LibertyError(f"behind the end of library ({', '.join(arguments)}) there is {tokens[end]!r}")
    return library


def _arguments(tokens: list[str], position: int) -> tuple[tuple[str, ...], int]:
    """What is between the parentheses, and the position behind them."""
    try:
        end = tokens.index(")", position)
    except ValueError:
        raise LibertyError(f"no ) behind {tokens[position - 1]} (") from None
    return tuple(token.removeprefix('"') for token in tokens[position + 1 : end] if token != ","), end + 1


def _group(tokens: list[str], group: Group, position: int) -> tuple[Group, int]:
    """Fill a group from what is behind its {; the position behind its }."""
    while tokens[position] != "}":
        name, mark = tokens[position : position + 2]
        if name == ";":
            position += 1
        elif mark == ":":
            end = position + 2
            while tokens[end] not in (";", "}", _END) and tokens[end + 1] not in (":", "("):
                end += 1
            group.attributes[name] = " ".join(token.removeprefix('"') for token in tokens[position + 2 : end])
            position = end
        elif mark == "(":
            arguments, position = _arguments(tokens, position + 1)
            if tokens[position] == "{":
                inner, position = _group(tokens, Group(name, arguments), position + 1)
                group.groups.append(inner)
            else:
                group.values[name] = arguments
        else:
            where = f"{group.kind} ({', '.join(group.arguments)})"
            raise LibertyError(f"{where} has no end" if name == _END else f"no : or ( behind {name!r} in {where}")
    return group, position + 1


class _Reader:
    """Groups to cells, in ps and fF."""

    def __init__(self, library: Group) -> None:
        self._templates = {group.arguments[0]: group for group in library.all("lu_table_template")}
        self._ps = self._time(library.attributes.get("time_unit", "1ns"))
        self._ff = self._load(library.values.get("capacitive_load_unit", ("1", "pf")))

    @staticmethod
    def _time(unit: str) -> float:
        match = re.fullmatch(r"([\d.]+)\s*(ns|ps|fs)", unit)
        if match is None:
            raise LibertyError(f"time_unit must be such as 1ns, not {unit!r}")
        return float(match[1]) * _TIME_PS[match[2]]

    @staticmethod
    def _load(unit: tuple[str, ...]) -> float:
        if len(unit) != 2 or unit[1].lower() not in _LOAD_FF:
            raise LibertyError(f"capacitive_load_unit must be such as (1, pf), not ({', '.join(unit)})")
        return float(unit[0]) * _LOAD_FF[unit[1].lower()]

    def _table(self, group: Group) -> Table:
        """A table with its axes in the order (transition, load), of constraints (clock, data)."""
        template = self._templates.get(group.arguments[0] if group.arguments else "")
        rows = tuple(self._numbers((row,), self._ps) for row in group.values["values"])
        axes: list[tuple[str, tuple[float, ...]]] = []
        for number in (1, 2):
            variable = template.attributes.get(f"variable_{number}", "") if template else ""
            index = group.values.get(f"index_{number}") or (template and template.values.get(f"index_{number}"))
            if index and variable:
                unit = self._ff if "capacitance" in variable else self._ps
                axes.append((variable, self._numbers(index, unit)))
        flat = tuple(value for row in rows for value in row)
        sizes = [len(index) for _, index in axes]
        if not axes and len(flat) == 1:
            return Table((0.0,), (0.0,), (flat,))
        if len(axes) == 1 and len(flat) == sizes[0]:
            first = _is_first(axes[0][0])
            one = axes[0][1]
            return Table(one, (0.0,), tuple((value,) for value in flat)) if first else Table((0.0,), one, (flat,))
        if len(axes) == 2 and len(flat) == sizes[0] * sizes[1]:
            square = tuple(flat[i * sizes[1] : (i + 1) * sizes[1]] for i in range(sizes[0]))
            if _is_first(axes[0][0]):
                return Table(axes[0][1], axes[1][1], square)
            return Table(axes[1][1], axes[0][1], tuple(zip(*square, strict=True)))
        raise LibertyError(f"a table {group.kind} ({', '.join(group.arguments)}) has {len(flat)} values for {sizes}")

    @staticmethod
    def _numbers(texts: tuple[str, ...], unit: float) -> tuple[float, ...]:
        return tuple(float(word) * unit for text in texts for word in re.split(r"[,\s]+", text.strip()) if word)

    def _arcs(self, timing: Group) -> list[Arc]:
        """One for each related pin. Arcs without tables, such as of three-state enables, are left out."""
        tables = {group.kind: group for group in timing.groups}
        kind = timing.attributes.get("timing_type", "combinational")
        constraint = kind.startswith(("setup", "hold", "recovery", "removal"))
        delay, transition = {}, {}
        for edge in EDGES:
            name = f"{edge}_constraint" if constraint else f"cell_{edge}"
            if name in tables:
                delay[edge] = self._table(tables[name])
            if f"{edge}_transition" in tables:
                transition[edge] = self._table(tables[f"{edge}_transition"])
        sense = timing.attributes.get("timing_sense", "non_unate")
        sources = timing.attributes.get("related_pin", "").split()
        return [Arc(source, sense, kind, delay, transition) for source in sources] if delay else []

    def cell(self, group: Group) -> Cell:
        """A cell."""
        pins = {}
        for one in group.all("pin"):
            for name in one.arguments:
                pins[name] = Pin(
                    name, one.attributes.get("direction", ""), float(one.attributes.get("capacitance", 0)) * self._ff,
                    one.attributes.get("function", ""),
                    tuple(arc for timing in one.all("timing") for arc in self._arcs(timing)),
                )
        kinds = {one.kind for one in group.groups}
        return Cell(
            group.arguments[0], float(group.attributes.get("area", 0)), not kinds.isdisjoint(_STORAGE), pins,
            "ff" in kinds,
        )


def _is_first(variable: str) -> bool:
    """Whether a table's axis is the input's transition, of a constraint that of the clock."""
    return variable in ("input_net_transition", "input_transition_time", "related_pin_transition")


def load_library(text: str) -> Library:
    """The library of a Liberty text, without cells marked dont_use. LibertyError tells what is wrong with it."""
    root = parse(text)
    model = root.attributes.get("delay_model", "table_lookup")
    if model != "table_lookup":
        raise LibertyError(f"delay_model must be table_lookup, not {model}")
    reader = _Reader(root)
    try:
        used = [group for group in root.all("cell") if group.attributes.get("dont_use") != "true"]
        cells = [reader.cell(group) for group in used]
    except (KeyError, ValueError, IndexError) as error:
        raise LibertyError(f"a number or a table is missing or is none: {error}") from None
    return Library(root.arguments[0], {cell.name: cell for cell in cells})
