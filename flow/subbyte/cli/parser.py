"""The argument parser: common options, and errors in one line without the usage text."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from subbyte.cli.outcome import UserError
from subbyte.compiler.provenance import package_version

COMMANDS = {
    "demo": "the bundled digits network, from model file to bitstream",
    "compile": "compile a model for an engine",
    "inspect": "show a model as Subbyte sees it",
    "eval": "accuracy of a compiled network",
    "verify": "compare levels with the reference, bit by bit",
    "verilog": "write an engine's Verilog",
    "build": "make a board's bitstream",
    "run": "run a compiled network on a board, or on its simulated Verilog, through the driver",
    "flash": "write a board's bitstream to the board",
    "train": "train a network with quantizers, as a recipe file says",
    "experiments": "measure the claims of the literature again, as a page with tables and figures",
    "report": "write an HTML page about a compiled network",
    "synth": "cell area and delay of lanes on a library of cells",
    "boards": "list the boards",
    "engines": "list the engine presets",
    "doctor": "check tools, libraries and permissions",
}
"""Name -> help line. The module of a command is `subbyte.cli.<name>_command`."""


class Parser(argparse.ArgumentParser):
    """Raises UserError instead of printing the usage and leaving."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see {self.prog} --help)")


def command_module(name: str) -> ModuleType:
    """The module that implements a command."""
    return importlib.import_module(f"subbyte.cli.{name}_command")


def make_parser(arguments: Sequence[str]) -> Parser:
    """Parser that knows all commands, and the arguments of those that `arguments` names: only their modules load."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="one JSON object on stdout")
    loudness = common.add_mutually_exclusive_group()
    loudness.add_argument("-q", "--quiet", action="store_const", dest="verbosity", const=-1, help="no progress")
    loudness.add_argument("-v", "--verbose", action="store_const", dest="verbosity", const=1, help="say every step")
    common.set_defaults(verbosity=0)
    parser = Parser(prog="subbyte", description="Neural networks below eight bits on FPGAs with open tools.")
    parser.add_argument("--version", action="version", version=f"subbyte {package_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, line in COMMANDS.items():
        command = commands.add_parser(name, help=line, description=f"{line[0].upper()}{line[1:]}.", parents=[common])
        if name in arguments:
            command_module(name).add_arguments(command)
    return parser
