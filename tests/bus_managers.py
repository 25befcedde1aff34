"""Masters of the buses under cocotb, with idle cycles at random, and the rules that the engine's side must keep."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from cocotb import start_soon
from cocotb.triggers import ClockCycles, RisingEdge

DATA, BYTE, STATUS, INTERRUPT = 0x0, 0x4, 0x8, 0xC
PATIENCE = 20_000
"""Looks at STATUS without room or answer after which a bench counts as stuck; cycles for a byte of a stream."""


class BusError(Exception):
    """The engine's side answered an access with an error."""


class Idle:
    """Waits some cycles, geometrically distributed; none when the probability is 0."""

    def __init__(self, clock: Any, probability: float, seed: int) -> None:
        self._clock, self._probability = clock, probability
        self.random = random.Random(seed)

    async def __call__(self) -> None:
        count = 0
        while self.random.random() < self._probability:
            count += 1
        if count:
            await ClockCycles(self._clock, count)


async def hold(clock: Any, valid: Any, ready: Any, payloads: Iterable[Any]) -> None:
    """Fails when an offer is taken back or changes before it is taken. For ever: start it."""
    payloads, offered = list(payloads), None
    while True:
        await RisingEdge(clock)
        now = tuple(int(payload.value) for payload in payloads) if int(valid.value) else None
        assert offered is None or now == offered, f"{valid._name}: {offered} must stay, not become {now}"
        offered = None if int(ready.value) else now


class Wishbone:
    """Classic cycles, one access each."""

    def __init__(self, dut: Any, idle: Idle) -> None:
        self._dut, self._idle = dut, idle
        dut.wb_cyc_i.value = dut.wb_stb_i.value = 0

    async def rules(self) -> None:
        """No termination without a strobe, never two of them."""
        dut = self._dut
        while True:
            await RisingEdge(dut.wb_clk_i)
            ended = int(dut.wb_ack_o.value) + int(dut.wb_err_o.value)
            assert ended <= (int(dut.wb_stb_i.value) and int(dut.wb_cyc_i.value)), "ACK_O or ERR_O without a request"

    async def _access(self, write: bool, address: int, data: int, select: int) -> int:
        dut = self._dut
        await self._idle()
        for port, value in (("we", write), ("adr", address), ("dat", data), ("sel", select), ("cyc", 1), ("stb", 1)):
            getattr(dut, f"wb_{port}_i").value = value
        while True:
            await RisingEdge(dut.wb_clk_i)
            if int(dut.wb_ack_o.value) or int(dut.wb_err_o.value):
                break
        error, read = int(dut.wb_err_o.value), int(dut.wb_dat_o.value)
        dut.wb_stb_i.value = dut.wb_cyc_i.value = 0
        if error:
            raise BusError(f"address {address:#x}")
        return read

    async def read(self, address: int) -> int:
        return await self._access(False, address, 0, 0)

    async def write(self, address: int, data: int, select: int) -> None:
        await self._access(True, address, data, select)


class AxiLite:
    """Address and data of a write in random order."""

    def __init__(self, dut: Any, idle: Idle) -> None:
        self._dut, self._idle = dut, idle
        for channel in ("aw", "w", "ar"):
            self._port(f"{channel}valid").value = 0
        for channel in ("b", "r"):
            self._port(f"{channel}ready").value = 0

    def _port(self, name: str) -> Any:
        return getattr(self._dut, f"s_axi_{name}")

    async def rules(self) -> None:
        """Both response channels."""
        clock = self._dut.s_axi_aclk
        start_soon(hold(clock, self._port("bvalid"), self._port("bready"), [self._port("bresp")]))
        start_soon(hold(clock, self._port("rvalid"), self._port("rready"), [self._port("rresp"), self._port("rdata")]))

    async def _send(self, channels: dict[str, dict[str, int]]) -> None:
        """Each channel's payload, each valid in its own time."""
        waiting, offered = dict(channels), set()
        while waiting:
            for channel in self._idle.random.sample(sorted(waiting), len(waiting)):
                if channel not in offered:
                    await self._idle()
                    for name, value in waiting[channel].items():
                        self._port(name).value = value
                    self._port(f"{channel}valid").value = 1
                    offered.add(channel)
                    break
            await RisingEdge(self._dut.s_axi_aclk)
            for channel in list(offered):
                if int(self._port(f"{channel}ready").value):
                    self._port(f"{channel}valid").value = 0
                    offered.remove(channel)
                    del waiting[channel]

    async def _receive(self, channel: str, *names: str) -> list[int]:
        await self._idle()
        self._port(f"{channel}ready").value = 1
        while True:
            await RisingEdge(self._dut.s_axi_aclk)
            if int(self._port(f"{channel}valid").value):
                break
        self._port(f"{channel}ready").value = 0
        return [int(self._port(name).value) for name in names]

    async def read(self, address: int) -> int:
        await self._send({"ar": {"araddr": address, "arprot": 0}})
        response, data = await self._receive("r", "rresp", "rdata")
        if response:
            raise BusError(f"address {address:#x}: response {response}")
        return data

    async def write(self, address: int, data: int, select: int) -> None:
        await self._send({"aw": {"awaddr": address, "awprot": 0}, "w": {"wdata": data, "wstrb": select}})
        (response,) = await self._receive("b", "bresp")
        if response:
            raise BusError(f"address {address:#x}: response {response}")


class CocotbextAxiLite:
    """The same with the manager of cocotbext-axi, paused at random."""

    def __init__(self, dut: Any, idle: Idle, probability: float) -> None:
        from cocotbext.axi import AxiLiteBus, AxiLiteMaster

        bus = AxiLiteBus.from_prefix(dut, "s_axi")
        self._manager = AxiLiteMaster(bus, dut.s_axi_aclk, dut.s_axi_aresetn, reset_active_level=False)
        write, read = self._manager.write_if, self._manager.read_if
        for channel in (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel):
            pauses = random.Random(idle.random.random())
            channel.set_pause_generator(pauses.random() < probability for _ in iter(int, 1))

    async def read(self, address: int) -> int:
        answer = await self._manager.read(address, 4)
        if answer.resp:
            raise BusError(f"address {address:#x}: response {answer.resp}")
        return int.from_bytes(answer.data, "little")

    async def write(self, address: int, data: int, select: int) -> None:
        """`select` must be consecutive lanes from the lowest: a shorter transfer."""
        answer = await self._manager.write(address, data.to_bytes(4, "little")[: select.bit_length()])
        if answer.resp:
            raise BusError(f"address {address:#x}: response {answer.resp}")


class RegisterLink:
    """Bytes both ways through the registers: never an error, for it looks at STATUS first."""

    def __init__(self, manager: Any, source: random.Random) -> None:
        self._manager, self._random = manager, source

    async def _status(self, shift: int) -> int:
        """Room (shift 0) or bytes of the answer (8), at least 1."""
        for _ in range(PATIENCE):
            if count := await self._manager.read(STATUS) >> shift & 0xFF:
                return int(count)
        raise TimeoutError(f"STATUS stands still for {PATIENCE} looks")

    async def send(self, data: bytes) -> None:
        position = 0
        while position < len(data):
            room = await self._status(0)
            while room and position < len(data):
                count = min(room, len(data) - position, self._random.choice((1, 2, 3, 4, 4, 4, 4)))
                word = data[position : position + count]
                await self._manager.write(DATA, int.from_bytes(word, "little"), (1 << count) - 1)
                position, room = position + count, room - count

    async def receive(self, count: int) -> bytes:
        answer = b""
        while len(answer) < count:
            available = min(await self._status(8), count - len(answer))
            while available:
                words = available >= 4
                answer += (await self._manager.read(DATA if words else BYTE)).to_bytes(4, "little")[: 4 if words else 1]
                available -= 4 if words else 1
        return answer


class StreamLink:
    """AXI4-Stream. TLAST must be at the end of every answer, and nowhere else."""

    def __init__(self, dut: Any, idle: Idle) -> None:
        self._dut, self._idle = dut, idle
        dut.s_axis_tvalid.value = dut.m_axis_tready.value = 0

    async def rules(self) -> None:
        """The answer's channel."""
        dut = self._dut
        await hold(dut.aclk, dut.m_axis_tvalid, dut.m_axis_tready, [dut.m_axis_tdata, dut.m_axis_tlast])

    async def send(self, data: bytes) -> None:
        dut = self._dut
        for byte in data:
            await self._idle()
            dut.s_axis_tdata.value, dut.s_axis_tvalid.value = byte, 1
            await RisingEdge(dut.aclk)
            while not int(dut.s_axis_tready.value):
                await RisingEdge(dut.aclk)
            dut.s_axis_tvalid.value = 0

    async def receive(self, count: int) -> bytes:
        dut, answer, waited = self._dut, b"", 0
        while len(answer) < count:
            await self._idle()
            dut.m_axis_tready.value = 1
            await RisingEdge(dut.aclk)
            while not int(dut.m_axis_tvalid.value):
                await RisingEdge(dut.aclk)
                waited += 1
                assert waited < PATIENCE, "no answer"
            dut.m_axis_tready.value = 0
            answer += bytes([int(dut.m_axis_tdata.value)])
            assert int(dut.m_axis_tlast.value) == (len(answer) == count)
        return answer


class CocotbextStreamLink:
    """The same with source and sink of cocotbext-axi, paused at random: a frame is an answer."""

    def __init__(self, dut: Any, idle: Idle, probability: float) -> None:
        from cocotbext.axi import AxiStreamBus, AxiStreamSink, AxiStreamSource

        ends = []
        for kind, prefix in ((AxiStreamSource, "s_axis"), (AxiStreamSink, "m_axis")):
            end = kind(AxiStreamBus.from_prefix(dut, prefix), dut.aclk, dut.aresetn, reset_active_level=False)
            pauses = random.Random(idle.random.random())
            end.set_pause_generator(pauses.random() < probability for _ in iter(int, 1))
            ends.append(end)
        self._source, self._sink = ends

    async def send(self, data: bytes) -> None:
        await self._source.send(data)

    async def receive(self, count: int) -> bytes:
        frame = await self._sink.recv()
        assert len(frame.tdata) == count
        return bytes(frame.tdata)
