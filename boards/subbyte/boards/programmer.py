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
    r"LIBUSB_ERROR_ACCESS|permission denied|access denied|insufficient permissions|usb_open(?:\(\))? failed",
    re.IGNORECASE,
)
"""Told by libusb, libftdi (openFPGALoader: error -4) and dfu-util when the device may not be opened."""
_ABSENT = re.compile(
    r"can't find .*USB device|device not found|no DFU capable|no .*(?:cable|device|board) found|unable to find",
    re.IGNORECASE,
)
"""Told when there is no device, by iceprog and ecpprog also when it may not be opened."""


@dataclass(frozen=True)
class Programmer:
    """One tool as one board needs it. Arguments come before the name of the file.

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
    image : tuple of str, or None
        Arguments that write the flash, but not from its start: the address follows. None where the tool cannot.
    """

    tool: str
    install: str
    usb: str
    flash: tuple[str, ...] | None = None
    volatile: tuple[str, ...] | None = None
    image: tuple[str, ...] | None = None

    def arguments(self, volatile: bool) -> tuple[str, ...] | None:
        """Those for flash or SRAM."""
        return self.volatile if volatile else self.flash

    @property
    def rule(self) -> str:
        """The udev rule that lets users who sit at the machine open the device."""
        vendor, product = self.usb.split(":")
        return f'SUBSYSTEM=="usb", ATTRS{{idVendor}}=="{vendor}", ATTRS{{idProduct}}=="{product}", TAG+="uaccess"'

    def command(self, bitstream: Path, volatile: bool) -> list[str]:
        """What writes a bitstream. ValueError when the tool cannot."""
        return self._command(self.arguments(volatile), str(bitstream))

    def image_command(self, image: Path, address: int) -> list[str]:
        """What writes an image into the flash. ValueError when the tool cannot."""
        return self._command(self.image, f"{address:#x}", str(image))

    def _command(self, arguments: tuple[str, ...] | None, *others: str) -> list[str]:
        if arguments is None:
            raise ValueError(f"{self.tool} must be able to write {others[-1]}, it is not")
        return [self.tool, *arguments, *others]

    def run(self, command: list[str]) -> None:
        """Run one of the commands. ToolError in one line tells what is wrong and what to do."""
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


def choose(
    name: str, programmers: tuple[Programmer, ...], volatile: bool, image: bool = False, missing: bool = False
) -> Programmer:
    """The first of a board's programmers that is installed and can do it; `image`: also write an image to the flash.

    With `missing` it may be one that is not installed, the first that can, where none is.
    ToolError tells that none can, or how to install those that could.
    """
    able = [one for one in programmers if one.arguments(volatile) is not None]
    what = "configuration memory (--volatile)" if volatile else "flash"
    if not able:
        raise ToolError(f"Board {name} must have a programmer for its {what}, Subbyte knows none")
    if image:
        tools, able = [one.tool for one in able], [one for one in able if one.image is not None]
        if not able:
            raise ToolError(
                f"Board {name} must have a programmer for an image behind its bitstream: {' and '.join(tools)} "
                f"go through its boot loader, which has one place for a bitstream; build without --standalone"
            )
    for one in able:
        if shutil.which(one.tool):
            return one
    if missing:
        return able[0]
    ways = " or ".join(f"{one.tool} ({one.install})" for one in able)
    raise ToolError(f"A programmer for {name} is missing: install {ways}")


def openfpgaloader(board: str, usb: str, volatile: bool = True, boot_loader: bool = False) -> Programmer:
    """openFPGALoader with its own name of the board. `boot_loader`: it goes through one, as dfu-util."""
    flash = ("-b", board, "--write-flash")
    return Programmer(
        "openFPGALoader", "apt install openfpgaloader", usb, flash, ("-b", board, "--write-sram") if volatile else None,
        None if boot_loader else (*flash, "-o"),
    )


def iceprog(usb: str, volatile: bool = True) -> Programmer:
    """iceprog, for iCE40 boards with an FT2232H or another of FTDI's, which it must then be told."""
    vendor, product = usb.split(":")
    device = () if usb == "0403:6010" else ("-d", f"i:0x{vendor}:0x{product}")
    sram = (*device, "-S") if volatile else None
    return Programmer("iceprog", "apt install fpga-icestorm", usb, device, sram, (*device, "-o"))


def icesprog(usb: str) -> Programmer:
    """icesprog, for iCESugar boards with an iCELink."""
    return Programmer("icesprog", "its sources are wuxx/icesugar", usb, (), None, ("-o",))


def ecpprog(usb: str) -> Programmer:
    """ecpprog, for ECP5 boards with an FT2232H, their own or one on the JTAG pins."""
    return Programmer("ecpprog", "its sources are gregdavill/ecpprog", usb, (), ("-S",), ("-o",))


def dfu_util(usb: str) -> Programmer:
    """dfu-util, for boards with a DFU boot loader, whose first setting is the user's place in the flash."""
    return Programmer("dfu-util", "apt install dfu-util", usb, ("-d", usb, "-a", "0", "-D"))
