"""The PLC simulator as its clients see it: over a real socket, through pymodbus's own client."""

import asyncio
import socket
import struct
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusTcpClient

from gateway.errors import InternalError, PortInUseError
from gateway.site import load_site
from hil.plc import HOST, REGISTERS, STEADY, Command, PumpPlc, RunState, heartbeat

S = 1_000_000_000
SITE = Path(__file__).parents[2] / "examples/pump/site.toml"
PROGRAM = (
    Command(from_ns=0, flow_m3_s=0.0, valve_position=0.0, state=RunState.STOPPED),
    Command(from_ns=5 * S, flow_m3_s=5e-4, valve_position=0.25, state=RunState.STARTING),
    Command(from_ns=9 * S, flow_m3_s=1e-3, valve_position=1.0, state=RunState.RUNNING),
)


def with_client(test, program=STEADY):
    """Run `test(plc, client)` against a started PLC; both are closed after it."""

    async def main() -> None:
        plc = PumpPlc(program)
        await plc.start()
        client = AsyncModbusTcpClient(HOST, port=plc.port, timeout=5, retries=0)
        try:
            assert await client.connect()
            await test(plc, client)
        finally:
            client.close()
            await plc.stop()

    asyncio.run(main())


async def holding(client) -> tuple[float, float, int]:
    """Return (flow set-point, valve position, run state) as a client decodes them."""
    answer = await client.read_holding_registers(0, count=4)
    assert not answer.isError()
    flow = client.convert_from_registers(
        answer.registers[:2], client.DATATYPE.FLOAT32, word_order="big"
    )
    return flow, answer.registers[2] * 1e-4, answer.registers[3]


def test_the_recorded_rig_runs_steadily():
    async def test(plc, client):
        plc.advance(100 * S)
        flow, valve, state = await holding(client)
        assert flow == pytest.approx(32e-3 / 60, rel=1e-7)
        assert (valve, state) == (1.0, RunState.RUNNING)

    with_client(test)


def test_registers_are_a_function_of_virtual_time_alone():
    async def test(plc, client):
        seen = []
        for now_s in (0, 4.999, 5, 8, 9, 1000, 5):
            plc.advance(round(now_s * S))
            seen.append(await holding(client))
        flows = [flow for flow, _, _ in seen]
        assert flows == pytest.approx([0, 0, 5e-4, 5e-4, 1e-3, 1e-3, 5e-4], rel=1e-7)
        assert [valve for _, valve, _ in seen] == [0, 0, 0.25, 0.25, 1, 1, 0.25]
        assert [state for _, _, state in seen] == [0, 0, 1, 1, 2, 2, 1]

    with_client(test, PROGRAM)


def test_the_plc_shows_its_own_utc_in_seconds_and_in_milliseconds():
    async def main() -> None:
        plc = PumpPlc(utc_ns=lambda now_ns: 946_684_800 * S + 3 * now_ns)
        await plc.start()
        client = AsyncModbusTcpClient(HOST, port=plc.port, timeout=5, retries=0)
        try:
            assert await client.connect()
            plc.advance(S // 2 + 999_999)
            answer = await client.read_input_registers(1, count=6)
        finally:
            client.close()
            await plc.stop()
        words = b"".join(register.to_bytes(2, "big") for register in answer.registers)
        assert struct.unpack(">IQ", words) == (946_684_801, 946_684_801_502)

    asyncio.run(main())


def test_the_heartbeat_counts_virtual_seconds_and_wraps():
    async def test(plc, client):
        plc.advance(65_537 * S + S // 2)
        answer = await client.read_input_registers(0, count=1)
        assert answer.registers == [1]

    with_client(test)
    assert [heartbeat(now) for now in (0, S - 1, S, 65_535 * S)] == [0, 0, 1, 65_535]


@pytest.mark.parametrize("unit_id", [0, 1, 17])
def test_every_unit_id_is_answered(unit_id):
    async def test(_, client):
        answer = await client.read_holding_registers(3, count=1, device_id=unit_id)
        assert answer.registers == [RunState.RUNNING]

    with_client(test)


def test_a_write_is_refused_and_changes_nothing():
    async def test(_, client):
        before = await holding(client)
        answer = await client.write_register(2, 5000)
        assert answer.isError()
        assert await holding(client) == before

    with_client(test)


@pytest.mark.parametrize(
    ("read", "address", "count"),
    [
        ("read_holding_registers", 4, 1),
        ("read_holding_registers", 0, 5),
        ("read_input_registers", 7, 1),
        ("read_coils", 0, 1),
        ("read_discrete_inputs", 0, 1),
    ],
)
def test_what_is_not_in_the_map_is_an_exception(read, address, count):
    async def test(_, client):
        answer = await getattr(client, read)(address, count=count)
        assert answer.isError()

    with_client(test)


def test_the_site_file_polls_the_registers_of_the_map():
    device = next(each for each in load_site(SITE).modbus if each.name == "plc")
    polled = {tag.name: tag for tag in device.tags}
    assert {"flow-setpoint", "valve-position", "run-state"} <= set(polled)
    for name, tag in polled.items():
        spot = REGISTERS[name]
        assert (tag.table, tag.address, tag.type, tag.unit) == (
            spot.table,
            spot.address,
            spot.type,
            spot.unit,
        )
        assert tag.scale == spot.scale
        assert (tag.offset, tag.word_order, tag.byte_order) == (0.0, "big", "big")


def test_a_port_in_use_is_one_clear_error():
    async def main() -> None:
        with socket.create_server((HOST, 0)) as other:
            port = other.getsockname()[1]
            plc = PumpPlc(port=port)
            with pytest.raises(PortInUseError, match=f"PLC simulator: {HOST}:{port} is in use"):
                await plc.start()
            await plc.stop()

    asyncio.run(main())


def test_starting_twice_is_our_own_bug():
    async def test(plc, _):
        with pytest.raises(InternalError, match="listening already"):
            await plc.start()

    with_client(test)


def test_after_stop_nobody_listens_and_it_can_start_again():
    async def main() -> None:
        plc = PumpPlc()
        await plc.start()
        port = plc.port
        assert port > 0
        await plc.stop()
        await plc.stop()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, port)
        await plc.start()
        assert plc.port == port
        await plc.stop()

    asyncio.run(main())


def test_it_listens_on_one_loopback_address_only():
    async def test(plc, _):
        # 127.0.0.2 is this machine too, and reaches whoever listens on all addresses.
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.2", plc.port)

    with_client(test)
