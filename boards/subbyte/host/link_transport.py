"""The frames of `subbyte.spec.link` over a `Line`: commands arrive as they were or an error says that they did not."""

from __future__ import annotations

from collections.abc import Iterator

import sliplib

from subbyte.host.errors import LinkError
from subbyte.spec import link
from subbyte.spec.frames import HEADER_BYTES, Op
from subbyte.spec.link import Answer, Status
from subbyte.spec.transport import Line

LIMIT = bytes([link.END])


class _Failed(Exception):
    """One exchange that did not succeed: why."""


class LinkTransport:
    """A `ResettingTransport` over a board's link. One command at a time, each until it is answered.

    Parameters
    ----------
    line : Line
    timeout : float
        Seconds of the line, beyond the bytes' own time, that an answer may take to come; for that of RUN to begin.
    run_timeout : float
        Seconds that a run may take.
    attempts : int
        How often a command is sent. RUN is sent once: a run may overwrite its input.

    LinkError when there is no valid answer.
    """

    def __init__(self, line: Line, timeout: float = 0.2, run_timeout: float = 10.0, attempts: int = 4) -> None:
        self._line = line
        self._timeout, self._run_timeout, self._attempts = timeout, run_timeout, attempts
        self._sequence = 0
        self._incoming = sliplib.Driver()
        self._answers = b""
        self._status = Status(0)

    @property
    def marked(self) -> bool:
        """At the last answer: the board had not been reset since the mark was set."""
        return Status.MARKED in self._status

    @property
    def version(self) -> int:
        """Of the link."""
        return link.VERSION

    def send(self, data: bytes) -> None:
        """Commands, each until its answer is there. What an earlier call left unread is dropped."""
        self._answers = b""
        for command in link.commands(data):
            self._answers += self._exchange(command)

    def receive(self, count: int) -> bytes:
        """The next `count` bytes of the answers."""
        if len(self._answers) < count:
            raise LinkError(f"Answers have {len(self._answers)} bytes, not {count}: too few were asked for")
        taken, self._answers = self._answers[:count], self._answers[count:]
        return taken

    def reset(self, mark: bool = False) -> None:
        """Reset the engine; all memories stay."""
        self._exchange(link.reset(mark))

    def _exchange(self, command: bytes) -> bytes:
        """Data of the answer to one command."""
        op = command[HEADER_BYTES - 1]
        name = "RESET" if op >> link.RESET_BIT else Op(op & 3).name
        attempts = 1 if name == Op.RUN.name else self._attempts
        failed = []
        for _ in range(attempts):
            try:
                return self._ask(command, self._run_timeout if name == Op.RUN.name else 0.0)
            except _Failed as error:
                failed.append(str(error))
        times = "" if attempts == 1 else f" ({attempts} attempts)"
        raise LinkError(f"No valid answer to {name}: {failed[-1]}{times}")

    def _ask(self, command: bytes, run_seconds: float) -> bytes:
        self._sequence = link.following(self._sequence)
        expected = link.answer_bytes(command)
        body = link.request(self._sequence, command)
        request = LIMIT + sliplib.encode(body) + LIMIT
        self._line.write(request)
        # An answer is as long as it is, and twice that if all of it is escaped.
        seconds = self._timeout + self._line.byte_seconds * (len(request) + 2 * (expected + HEADER_BYTES + 3))
        for answer in self._frames(seconds, run_seconds, body):
            if answer.sequence != self._sequence:
                continue  # late
            if answer.version != link.VERSION:
                raise LinkError(f"Board speaks version {answer.version} of the link, this driver {link.VERSION}")
            self._status = answer.status
            if Status.REFUSED in answer.status:
                raise _Failed("the board received a wrong checksum")
            if len(answer.data) != expected:
                raise _Failed(f"it has {len(answer.data)} bytes, not {expected}")
            return answer.data
        raise AssertionError("the frames end with an exception")

    def _frames(self, seconds: float, run_seconds: float, sent: bytes) -> Iterator[Answer]:
        """Valid frames that come within `seconds`, or `run_seconds` more once something came. Then _Failed.

        LinkError for what was `sent`: that is an echo, and no board.
        """
        line, count, wrong = self._line, 0, 0
        deadline = line.now() + seconds
        while (left := deadline - line.now()) > 0:
            data = line.read(left)
            if data and not count:
                deadline += run_seconds
            count += len(data)
            for packet in self._packets(data):
                if packet == sent:
                    raise LinkError("No board answers: the port sends back what it was sent")
                answer = link.parse_answer(packet)
                wrong += answer is None
                if answer is not None:
                    yield answer
        raise _Failed(f"{count} bytes came, {wrong} damaged frames" if count else f"nothing came in {seconds:.3g} s")

    def _packets(self, data: bytes) -> Iterator[bytes]:
        """Bodies of the frames that end in `data`; empty ones for what is no SLIP."""
        if data:  # for sliplib no data is the end of all data
            self._incoming.receive(data)
        while True:
            try:
                packet = self._incoming.get(block=False)
            except sliplib.ProtocolError:
                packet = b""
            if packet is None:
                return
            yield packet
