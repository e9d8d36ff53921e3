"""What a whole node costs: an ADXL355 at 4 kHz on three axes, features, seals, checkpoints, spool.

The image is the application's, the board the emulated Cortex-M3, the chips emulators behind the rig
bus; what is counted is every instruction the board's CPU executes, by QEMU, over virtual seconds.
The rig bus stands where a real board has its controllers, and costs about what waiting for a burst
at 5 MHz would.  What it executes to sleep is not work: a real board stands still there.  It is
counted apart and is not in the share of an STM32F446, for which 2 cycles an instruction are assumed
(node_filter.py has the reasons).

Memory is what the heap holds after a collection: the application's part is without the bare
interpreter and without the rig's hal.

The collector follows references on a stack of 64 entries, and starts over when it overflows, which
an application of this size makes it do each time: a collection of 860,000 instructions, longer than
the FIFO lasts, becomes one of 440,000 with 512 entries of 16 bits, 768 bytes more.  The image that
is measured is built so.

    python -m benchmarks.node_whole
"""

import contextlib
import json
import math
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from boards.build import APPLICATION, build
from boards.catalog import Board, load_board
from boards.emulate import Emulated, execute, start
from boards.provision import NodeSecrets, key_file, provisioned_files
from drivers.adxl355.emulator import EMULATOR
from gateway.site import load_site
from hil.bus import OP_SLEEP, BoardPort, Request, Wiring
from hil.lockstep import Lockstep, TimerDue, UplinkBytes
from wire import content
from wire.cose import open_sealed
from wire.framing import Deframer
from wire.keys import uplink_key
from wire.mac import HmacSha256
from wire.status import decode_status

BOARD: Final = "qemu_stm32f2"
NODE: Final = "motor"
PUMP: Final = Path(__file__).parents[1] / "examples/pump/site.toml"
SPI: Final = 0
RATE_HZ: Final = 4000
CLOCK_HZ: Final = 180_000_000
CYCLES_PER_INSTRUCTION: Final = 2
SHARE_MAX: Final = 0.6
HEAP_BYTES_MAX: Final = 65536
FIFO_US: Final = 8000
NS_PER_INSTRUCTION: Final = 8
SECONDS: Final = 60
COLLECTOR: Final = "-DMICROPY_ALLOC_GC_STACK_SIZE=512 -DMICROPY_GC_STACK_ENTRY_TYPE=uint16_t"
BANDS_HZ: Final = ((16, 32), (40, 60), (85, 115), (135, 165), (185, 215), (285, 315), (480, 520))
WIDE_BAND_HZ: Final = (900, 1100)
KEYS: Final = NodeSecrets(root=bytes(range(32)), seed=bytes(range(32, 64)))
_START_S: Final = 5
"""Until then a node may be starting."""


def configuration() -> dict[str, Any]:
    """node.json of the node that is measured: RMS, velocity and 8 bands on each of three axes."""
    features: list[dict[str, Any]] = []
    for axis in "xyz":
        features.append({"name": f"{axis}-rms", "axis": axis, "feature": "rms"})
        features.append({"name": f"{axis}-velocity", "axis": axis, "feature": "velocity_rms"})
        for index, (low_hz, high_hz) in enumerate((*BANDS_HZ, WIDE_BAND_HZ)):
            band = {"feature": "band", "low_hz": low_hz, "high_hz": high_hz}
            features.append({"name": f"{axis}-band-{index}", "axis": axis, **band})
    waveform = {
        "name": "vibration",
        "part": "adxl355",
        "bus": SPI,
        "address": None,
        "rate_hz": RATE_HZ,
        "block_samples": RATE_HZ,
        "options": {},
        "features": features,
    }
    return {
        "node": NODE,
        "sample_period_us": 1_000_000,
        "block_samples": 1,
        "channels": [],
        "waveforms": [waveform],
        "receipts": False,
        "status_s": 5,
        "checkpoint": {"every_frames": 256, "every_s": 20},
    }


def board() -> Board:
    """The board, with the collector's stack as it has to be."""
    found = load_board(BOARD)
    firmware = found.firmware
    flags = firmware.options["CFLAGS_EXTRA"] if firmware is not None else ""
    if firmware is None or "GC_STACK_SIZE" in flags:
        return found
    options = {**firmware.options, "CFLAGS_EXTRA": f"{COLLECTOR} {flags}"}
    return found.model_copy(update={"firmware": firmware.model_copy(update={"options": options})})


@dataclass
class Run:
    """What a node did: counted over `seconds` from _START_S on, but for `statuses` and `types`."""

    seconds: int
    instructions: float = 0.0
    sleeps: int = 0
    types: Counter[int] = field(default_factory=Counter)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    longest_gap_us: int = 0
    """Between two transfers with the fast chip."""

    @property
    def problems(self) -> list[str]:
        """What the last status record complains of."""
        return list(self.statuses[-1]["problems"])

    @property
    def free_bytes(self) -> int:
        """The least that a status record has told of, after a collection."""
        told = [int(status["free_bytes"]) for status in self.statuses if "free_bytes" in status]
        return min(told, default=0)


class _Port(BoardPort):
    """Counts requests by what they ask for."""

    operations: Counter[int]

    def take(self) -> Request:
        request = super().take()
        self.operations[request.operation] += 1
        return request


def run_node(files: dict[str, bytes], wiring: Wiring, node: str, seconds: int = SECONDS) -> Run:
    """Run a node on the board; RuntimeError when it ended by itself."""
    run = Run(seconds)
    lockstep = Lockstep()
    frames: list[bytes] = []
    with _started("import firmware.main", files) as emulated:
        port = _Port(node, emulated, wiring, uplink=lockstep.uplink)
        port.operations = Counter()
        lockstep.add(port)
        for chip in wiring.spi.values():
            _watch(chip, run)
        _play(lockstep, _START_S, frames)
        computed_ns, sleeps = port.computed_ns, port.operations[OP_SLEEP]
        _play(lockstep, _START_S + seconds, frames)
        run.instructions = (port.computed_ns - computed_ns) / NS_PER_INSTRUCTION / seconds
        run.sleeps = (port.operations[OP_SLEEP] - sleeps) // seconds
    _open(frames, node, run)
    if not port.is_live or not run.statuses:
        raise RuntimeError(f"node {node} ended by itself: {list(port.log_lines)}")
    return run


def whole_node(seconds: int = SECONDS) -> Run:
    """The node with the fast chip."""
    files = {"node.json": json.dumps(configuration()).encode(), "node.key": key_file(NODE, KEYS)}
    chip = EMULATOR()
    for axis, amplitude, hertz in (("x", 3.0, 50.0), ("y", 2.0, 100.0), ("z", 4.0, 300.0)):
        chip.drive(f"acceleration_m_s2_{axis}", _sine(amplitude, hertz))
    return run_node(files, Wiring(i2c={}, spi={SPI: chip}, spi_hz=5_000_000), NODE, seconds)


def pump_node(seconds: int = SECONDS) -> Run:
    """The first node of the pump skid: four polled channels, and a gateway that never answers."""
    node = load_site(PUMP).nodes[0]
    chips: dict[tuple[int, int], Any] = {}
    for channel in node.channels:
        name = f"drivers.{channel.part}.emulator"
        module = __import__(name, None, None, ("EMULATOR",))
        chips[channel.bus, channel.address or 0] = module.EMULATOR()
    return run_node(provisioned_files(node, KEYS), Wiring(i2c=chips), node.name, seconds)


def heap() -> dict[str, int]:
    """Bytes: `all` there are, used by the bare `interpreter`, by the `hal`; instructions `asleep`.

    `asleep` is what a call of the hal's sleep executes.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        bare = int(execute(board(), _image(), Path(place), _BARE, timeout_s=60.0).split()[-1])
    lockstep = Lockstep()
    with _started(_HAL, {}) as emulated:
        port = BoardPort(NODE, emulated, Wiring(i2c={}), uplink=lockstep.uplink)
        lockstep.add(port)
        while lockstep.next_event() is not None:
            pass
        used, free, asleep_ns = (int(word) for word in port.log_lines[-1].split())
    asleep = asleep_ns // NS_PER_INSTRUCTION
    return {"all": used + free, "interpreter": bare, "hal": used - bare, "asleep": asleep}


_BARE: Final = "import gc\ngc.collect()\nprint(gc.mem_alloc())\n"
_HAL: Final = (
    "import gc, hal; hal.start(); t = hal.ticks_us() + 9000; a = hal.cycles_ns();"
    " hal.sleep_until_us(t); a = (hal.cycles_ns() - a) & 0xffffffff; gc.collect();"
    " hal.log('%d %d %d' % (gc.mem_alloc(), gc.mem_free(), a)); hal.stop()"
)


def rows() -> list[tuple[str, str]]:
    """The figures, each as (name, text)."""
    sizes = heap()
    held = sizes["interpreter"] + sizes["hal"]
    whole, pump = whole_node(), pump_node()
    working = whole.instructions - whole.sleeps * sizes["asleep"]
    share = working * CYCLES_PER_INSTRUCTION / CLOCK_HZ
    in_use = {"whole": sizes["all"] - whole.free_bytes, "pump": sizes["all"] - pump.free_bytes}
    return [
        ("instructions a second", f"{whole.instructions:,.0f}"),
        ("  of them to sleep", f"{whole.sleeps * sizes['asleep']:,.0f}"),
        (f"share of an STM32F446, at most {SHARE_MAX:.0%}", f"{share:.1%}"),
        ("blocks of 30 features", f"{whole.types[content.SENML_CBOR]:,}"),
        ("checkpoints", f"{whole.types[content.CHECKPOINT]:,}"),
        ("slots overrun", f"{whole.statuses[-1]['overruns']:,}"),
        ("problems", ", ".join(whole.problems) or "none"),
        (f"longest without a read, of {FIFO_US:,} us", f"{whole.longest_gap_us:,} us"),
        ("heap of the bare interpreter, bytes", f"{sizes['interpreter']:,}"),
        ("heap of the rig's hal, bytes", f"{sizes['hal']:,}"),
        (f"heap of the application, of {HEAP_BYTES_MAX:,}", f"{in_use['whole'] - held:,}"),
        ("  pump node, no gateway", f"{in_use['pump'] - held:,}"),
    ]


@contextlib.contextmanager
def _started(code: str, files: dict[str, bytes]) -> Iterator[Emulated]:
    """The board running `code`, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        emulated = start(board(), _image(), Path(place), code=code, files=files)
        with contextlib.closing(emulated):
            yield emulated


def _image() -> Path:
    return build(board(), APPLICATION)


def _watch(chip: Any, run: Run) -> None:
    """Note how long the chip waits from one transfer to the next, from _START_S on."""
    plain, last_us = chip.exchange, 0

    def exchange(data: bytes, now_us: int) -> bytes:
        nonlocal last_us
        if last_us >= _START_S * 1_000_000:
            run.longest_gap_us = max(run.longest_gap_us, now_us - last_us)
        last_us = now_us
        answer: bytes = plain(data, now_us)
        return answer

    chip.exchange = exchange


def _sine(amplitude: float, hertz: float) -> Any:
    return lambda now_us: amplitude * math.sin(2e-6 * math.pi * hertz * now_us)


def _play(lockstep: Lockstep, until_s: int, frames: list[bytes]) -> None:
    """Run until the board's clock shows `until_s`; what it sent goes to `frames`."""
    lockstep.set_timer(until_s * 1_000_000_000, "end")
    while (event := lockstep.next_event()) is not None and not isinstance(event, TimerDue):
        if isinstance(event, UplinkBytes):
            frames.append(event.data)


def _open(sent: list[bytes], node: str, run: Run) -> None:
    """Put content types and status records of what `node` has sent into `run`."""
    mac = HmacSha256(uplink_key(KEYS.root, node.encode()))
    for message, reason in Deframer().feed(b"".join(sent)):
        if reason is not None:
            continue
        header, payload = open_sealed(message, mac, node.encode())
        run.types[header.content_type] += 1
        if header.content_type == content.STATUS_RECORD:
            run.statuses.append(decode_status(payload))


def main() -> None:
    """Print the figures."""
    for name, shown in rows():
        print(f"{name:<44}{shown:>14}")


if __name__ == "__main__":
    main()
