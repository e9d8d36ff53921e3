"""What a whole node costs: an ADXL355 at 4 kHz on three axes, features, seals, checkpoints.

The image is the application's, the board the emulated Cortex-M3, the chip an emulator behind the
rig bus; what is counted is every instruction the board's CPU executes, by QEMU, over virtual
seconds.  The rig bus stands where a real board has its SPI controller, so what the driver of such a
controller would execute instead is not in it.

An STM32F446 runs at 180 MHz.  A Cortex-M4 takes one cycle for most instructions, two to three for
loads that cannot be paired and for taken branches, and its flash accelerator hides wait states but
for branches it has not seen (ARM 100166, section 3.3; RM0390, section 3.4).  1.5 cycles an
instruction is assumed, more than what such code takes on published benchmarks; so the chip has
120 million instructions a second.
"""

import contextlib
import json
import math
import shutil
from pathlib import Path
from typing import Any, Final

from boards.build import APPLICATION, build, cache_dir
from boards.catalog import Board, load_board
from boards.emulate import Emulated, execute, start
from boards.provision import NodeSecrets, key_file
from drivers.adxl355.emulator import EMULATOR
from hil.bus import BoardPort, Wiring
from hil.lockstep import Lockstep, TimerDue, UplinkBytes
from wire import content
from wire.cose import open_sealed
from wire.framing import Deframer
from wire.keys import uplink_key
from wire.mac import HmacSha256
from wire.status import decode_status

BOARD: Final = "qemu_stm32f2"
NODE: Final = "motor"
SPI: Final = 0
RATE_HZ: Final = 4000
CLOCK_HZ: Final = 180_000_000
CYCLES_PER_INSTRUCTION: Final = 1.5
BUDGET_SHARE: Final = 0.6
NS_PER_INSTRUCTION: Final = 8
BANDS_HZ: Final = ((16, 32), (40, 60), (85, 115), (135, 165), (185, 215), (285, 315), (480, 520))
WIDE_BAND_HZ: Final = (900, 1100)
_KEYS: Final = NodeSecrets(root=bytes(range(32)), seed=bytes(range(32, 64)))


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
        "status_s": 2,
        "checkpoint": {"every_frames": 16, "every_s": 10},
    }


def measure(virtual_s: int = 20, warm_up_s: int = 5) -> dict[str, float]:
    """Run the node; what it cost and what came out, by name."""
    board = load_board(BOARD)
    image = build(board, APPLICATION)
    place = cache_dir() / "bench-whole"
    heap_bytes = int(execute(board, image, place, _HEAP, timeout_s=60.0).split()[-1])
    shutil.rmtree(place, ignore_errors=True)
    lockstep = Lockstep()
    wiring = Wiring(i2c={}, spi={SPI: _chip()}, spi_hz=5_000_000)
    frames: list[bytes] = []
    with contextlib.closing(_start(board, image, place)) as emulated:
        port = BoardPort(NODE, emulated, wiring, uplink=lockstep.uplink)
        lockstep.add(port)
        _play(lockstep, warm_up_s, frames)
        before = len(frames)
        computed_ns = port.computed_ns
        _play(lockstep, warm_up_s + virtual_s, frames)
        instructions = (port.computed_ns - computed_ns) / NS_PER_INSTRUCTION / virtual_s
    types, statuses = _opened(frames[before:])
    if not statuses or any(status["problems"] for status in statuses):
        raise RuntimeError(f"the node is in trouble: {statuses[-1:]}; console {port.log_lines}")
    available = CLOCK_HZ / CYCLES_PER_INSTRUCTION
    free_bytes = min(int(status["free_bytes"]) for status in statuses)
    return {
        "instructions a second": instructions,
        "share of an STM32F446": instructions / available,
        "frames of values": types.count(content.SENML_CBOR),
        "checkpoints": types.count(content.CHECKPOINT),
        "overruns": statuses[-1]["overruns"],
        "heap in use, bytes": heap_bytes - free_bytes,
    }


_HEAP: Final = "import gc\nprint(gc.mem_alloc() + gc.mem_free())\n"


def _start(board: Board, image: Path, place: Path) -> Emulated:
    files = {
        "node.json": json.dumps(configuration()).encode(),
        "node.key": key_file(NODE, _KEYS),
    }
    return start(board, image, place, code="import firmware.main", files=files)


def _chip() -> Any:
    chip = EMULATOR()
    for axis, amplitude, hertz in (("x", 3.0, 50.0), ("y", 2.0, 100.0), ("z", 4.0, 300.0)):
        chip.drive(f"acceleration_m_s2_{axis}", _sine(amplitude, hertz))
    return chip


def _sine(amplitude: float, hertz: float) -> Any:
    return lambda now_us: amplitude * math.sin(2e-6 * math.pi * hertz * now_us)


def _play(lockstep: Lockstep, until_s: int, frames: list[bytes]) -> None:
    """Run until the board's clock shows `until_s`; what it sent goes to `frames`."""
    lockstep.set_timer(until_s * 1_000_000_000, "end")
    while (event := lockstep.next_event()) is not None and not isinstance(event, TimerDue):
        if isinstance(event, UplinkBytes):
            frames.append(event.data)


def _opened(sent: list[bytes]) -> tuple[list[int], list[dict[str, Any]]]:
    """(content types, status records) of what the node has sent."""
    mac = HmacSha256(uplink_key(_KEYS.root, NODE.encode()))
    types: list[int] = []
    statuses: list[dict[str, Any]] = []
    for message, reason in Deframer().feed(b"".join(sent)):
        if reason is not None:
            continue
        header, payload = open_sealed(message, mac, NODE.encode())
        types.append(header.content_type)
        if header.content_type == content.STATUS_RECORD:
            statuses.append(decode_status(payload))
    return types, statuses


def main() -> None:
    """Print the figures."""
    for name, value in measure().items():
        shown = f"{value:.1%}" if "share" in name else f"{value:,.0f}"
        print(f"{name:<26}{shown:>14}")


if __name__ == "__main__":
    main()
