"""`Programmer`: a tool that puts a bitstream on a board, and what its failures mean."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from subbyte.tools.errors import ToolError

RULES = "/etc/udev/rules.d/99-subbyte.rules"
"""File that messages propose for the rule."""
SECONDS = 300
"""Longest time that programming takes."""

_DENIED = re.compile(
    r"LIBUSB_ERROR_ACCESS|permission denied|access denied|insufficient permissions|usb_open\(\) failed", re.IGNORECASE
)
"""Told by libusb, libftdi (openFPGALoader: error -4) and dfu-util when the device may not be opened."""
_ABSENT = re.compile(
    r"can't find .*USB device|device not found|no DFU capable|no .*(?:cable|device|board) found|unable to find",
    re.IGNORECASE,
)
"""Told when there is no device, by iceprog and ecpprog also when it may not be opened."""


@dataclass(frozen=True)
class Programmer:
    """One tool as one board needs it. Arguments come before the name of the bitstream.

    Parameters
    ----------
    tool : str
        Executable, looked for on PATH: programmers are no pip packages.
    install : str
        What to type to get it.
    usb : str
        VENDOR:PRODUCT of what it talks to, four hexadecimal digits each.
    flash : tuple of str, or None
        Arguments that write the flash, from which the board starts; None where the tool cannot.
    volatile : tuple of str, or None
        Arguments that write the configuration memory (SRAM) alone, until power goes.
    """

    tool: str
    install: str
    usb: str
    flash: tuple[str, ...] | None = None
    volatile: tuple[str, ...] | None = None

    def arguments(self, volatile: bool) -> tuple[str, ...] | None:
        """Those for flash or SRAM."""
        return self.volatile if volatile else self.flash

    @property
    def rule(self) -> str:
        """The udev rule that lets users who sit at the machine open the device."""
        vendor, product = self.usb.split(":")
        return f'SUBSYSTEM=="usb", ATTRS{{idVendor}}=="{vendor}", ATTRS{{idProduct}}=="{product}", TAG+="uaccess"'

    def run(self, arguments: tuple[str, ...], bitstream: Path) -> None:
        """Program the board. ToolError in one line tells what is wrong and what to do."""
        command = [self.tool, *arguments, str(bitstream)]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS,
                encoding="utf-8", errors="replace", check=False,
            )
        except subprocess.TimeoutExpired:
            raise ToolError(f"{self.tool} was stopped after {SECONDS} seconds: {shlex.join(command)}") from None
        if done.returncode:
            raise ToolError(self.explained(done.stdout, done.returncode))

    def explained(self, output: str, status: int) -> str:
        """What a failure means, from what the tool printed."""
        lines = [line.strip() for line in re.split(r"[\r\n]+", output) if line.strip()]
        allow = f"put the line {self.rule} into {RULES} and plug it in again"
        for line in lines:
            if _DENIED.search(line):
                return f"{self.tool} may not open the board (USB {self.usb}): {line}; {allow}"
        for line in lines:
            if _ABSENT.search(line):
                return (
                    f"{self.tool} finds no board (USB {self.usb}): {line}; connect it; "
                    f"if lsusb shows it, {allow}"
                )
        return f"{self.tool} failed with exit status {status}: {lines[-1] if lines else 'it says nothing'}"


def choose(name: str, programmers: tuple[Programmer, ...], volatile: bool) -> Programmer:
    """The first of a board's programmers that is installed and can do it.

    ToolError tells that none can, or how to install those that could.
    """
    able = [one for one in programmers if one.arguments(volatile) is not None]
    what = "configuration memory (--volatile)" if volatile else "flash"
    if not able:
        raise ToolError(f"Board {name} must have a programmer for its {what}, Subbyte knows none")
    for one in able:
        if shutil.which(one.tool):
            return one
    ways = " or ".join(f"{one.tool} ({one.install})" for one in able)
    raise ToolError(f"A programmer for {name} is missing: install {ways}")


def openfpgaloader(board: str, usb: str, volatile: bool = True) -> Programmer:
    """openFPGALoader with its own name of the board."""
    return Programmer(
        "openFPGALoader", "apt install openfpgaloader", usb, ("-b", board, "--write-flash"),
        ("-b", board, "--write-sram") if volatile else None,
    )


def iceprog(usb: str, volatile: bool = True) -> Programmer:
    """iceprog, for iCE40 boards with an FT2232H or another of FTDI's, which it must then be told."""
    vendor, product = usb.split(":")
    device = () if usb == "0403:6010" else ("-d", f"i:0x{vendor}:0x{product}")
    return Programmer("iceprog", "apt install fpga-icestorm", usb, device, (*device, "-S") if volatile else None)


def icesprog(usb: str) -> Programmer:
    """icesprog, for iCESugar boards with an iCELink."""
    return Programmer("icesprog", "its sources are wuxx/icesugar", usb, ())


def ecpprog(usb: str) -> Programmer:
    """ecpprog, for ECP5 boards with an FT2232H, their own or one on the JTAG pins."""
    return Programmer("ecpprog", "its sources are gregdavill/ecpprog", usb, (), ("-S",))


def dfu_util(usb: str) -> Programmer:
    """dfu-util, for boards with a DFU boot loader, whose first setting is the user's place in the flash."""
    return Programmer("dfu-util", "apt install dfu-util", usb, ("-d", usb, "-a", "0", "-D"))
