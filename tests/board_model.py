"""A board without gateware: the golden device behind the engine's bytes, behind the link's frames, behind a line."""

from __future__ import annotations

import os
import pty
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import sliplib

from subbyte.golden.device import Device
from subbyte.spec import link
from subbyte.spec.engine import EngineConfig
from subbyte.spec.frames import COUNTER_BYTES, HEADER_BYTES, SPACE_BIT, UNIT_BYTES, Op, Space, identity
from subbyte.spec.link import CHECK_BYTES, Status
from subbyte.spec.transport import Transport

HEAD_BYTES = 1 + HEADER_BYTES + CHECK_BYTES


class DeviceTransport:
    """The frames of `subbyte.spec.frames` around a golden device; runs take no cycles."""

    def __init__(self, engine: EngineConfig) -> None:
        self.device, self.answer = Device(engine), b""

    def send(self, data: bytes) -> None:
        while data:
            count, where, op = data[0] + 1, int.from_bytes(data[1:4], "little"), Op(data[4] & 3)
            space, unit, data = Space(where >> SPACE_BIT), where % (1 << SPACE_BIT) // UNIT_BYTES, data[HEADER_BYTES:]
            if op is Op.WRITE:
                self.device.write(space, unit, np.frombuffer(data[:count], dtype="<u2"))
                data = data[count:]
            elif op is Op.READ:
                self.answer += self.device.read(unit, count // UNIT_BYTES).astype("<u2").tobytes()
            elif op is Op.RUN:
                self.device.run_program()
                self.answer += bytes(COUNTER_BYTES)
            else:
                self.answer += identity(self.device.engine.digest())

    def receive(self, count: int) -> bytes:
        taken, self.answer = self.answer[:count], self.answer[count:]
        return taken


class BoardModel:
    """The link's rules, byte by byte, in front of an engine. `sent` collects what the board sends."""

    def __init__(self, engine: Transport) -> None:
        self.engine = engine
        self.sent = bytearray()
        self.reset()

    def reset(self) -> None:
        """The board's own reset; memories stay."""
        self._first = self._receiving = False
        self._escaped = False
        self._sequence = 0
        self._marked = Status(0)
        self._body = b""

    def receive(self, data: bytes) -> None:
        """Bytes from the host."""
        for byte in data:
            if byte == link.END:
                self._first, self._escaped = True, False
            elif self._first:
                self._first = False
                if self._receiving or byte != self._sequence:
                    self._receiving, self._sequence, self._body = True, byte, bytes([byte])
            elif byte == link.ESC and not self._escaped:
                self._escaped = True
            else:
                if self._escaped:
                    byte = (link.END, link.ESC)[byte & 1]
                self._escaped = False
                if self._receiving:
                    self._body += bytes([byte])
                    self._take()

    def _take(self) -> None:
        body, command = self._body, self._body[1 : 1 + HEADER_BYTES]
        if len(body) < HEAD_BYTES:
            return
        op = command[-1]
        if len(body) == HEAD_BYTES:
            if body[-CHECK_BYTES:] != link.checksum(body[:-CHECK_BYTES]):
                self._answer(Status.REFUSED)
            elif op >> link.RESET_BIT:
                self._marked |= Status.MARKED if op >> link.MARK_BIT & 1 else Status(0)
                self._answer(Status(0))
            elif op & 3 != Op.WRITE:
                self.engine.send(command)
                self._answer(Status(0), self.engine.receive(command[0] + 1))
        elif len(body) == HEAD_BYTES + command[0] + 1 + CHECK_BYTES:
            data = body[HEAD_BYTES:-CHECK_BYTES]
            self.engine.send(command + data)
            right = link.checksum(body[:1] + command + data) == body[-CHECK_BYTES:]
            self._answer(Status(0) if right else Status.REFUSED)

    def _answer(self, status: Status, data: bytes = b"") -> None:
        self._receiving = False
        body = link.answer(self._sequence, status | self._marked, data)
        self.sent += bytes([link.END]) + sliplib.encode(body) + bytes([link.END])


class ModelLine:
    """A `Line` to a board in memory. Time passes when somebody waits for what does not come."""

    byte_seconds = 1e-5

    def __init__(self, board: BoardModel) -> None:
        self.board = board
        self._now = 0.0

    def now(self) -> float:
        return self._now

    def write(self, data: bytes) -> None:
        self._now += len(data) * self.byte_seconds
        self.board.receive(data)

    def read(self, seconds: float) -> bytes:
        data = bytes(self.board.sent)
        self.board.sent.clear()
        self._now += len(data) * self.byte_seconds if data else seconds
        return data

    def close(self) -> None:
        pass

    def __enter__(self) -> ModelLine:
        return self

    def __exit__(self, *error: object) -> None:
        pass


@contextmanager
def board_on_a_pty(board: BoardModel) -> Iterator[str]:
    """A board at a serial port of its own: the port's path."""
    host, device = pty.openpty()
    tty.setraw(host)
    tty.setraw(device)

    def serve() -> None:
        while True:
            try:
                data = os.read(host, 4096)
            except OSError:
                return
            if data == b"\xff" * 4:  # the end; no request begins so
                return
            board.receive(data)
            os.write(host, bytes(board.sent))
            board.sent.clear()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield os.ttyname(device)
    finally:
        os.write(device, b"\xff" * 4)
        thread.join(5)
        os.close(host)
        os.close(device)
