"""Hardware access of `qemu_esp32`: an ESP32 on Espressif's QEMU, which models its UARTs.

The tables say what `board.toml` says; a test holds them together.
"""

import node_esp32
import node_files
from node_board import NodeBoard

BOARD = "qemu_esp32"

# controller, TX, RX, baud
_UARTS = {0: (1, 17, 16, 115200)}

_board = NodeBoard(node_esp32, i2c={}, spi={}, spis={}, uarts=_UARTS, rs485={})


def cycles_ns() -> int:
    """Nanoseconds of wall time, modulo 2**32: this board does not count instructions."""
    return (ticks_us() * 1000) & 0xFFFFFFFF


# What every real board does in the same way; a bus that is not there is refused by number.
start = _board.start
stop = _board.stop
ticks_us = _board.clock.ticks_us
sleep_until_us = _board.clock.sleep_until_us
sleep_us = _board.clock.sleep_us
i2c = _board.i2c
spi = _board.spi
uart = _board.uart
rs485 = _board.rs485
pin = _board.pin
watchdog = _board.watchdog
reset = _board.reset
reset_cause = _board.reset_cause
unique_id = _board.unique_id
identity = _board.identity
log = _board.log
read_file = node_files.read_file
read_file_at = node_files.read_file_at
write_file = node_files.write_file
append_file = node_files.append_file
remove_file = node_files.remove_file
rename_file = node_files.rename_file
file_size = node_files.file_size
make_folder = node_files.make_folder
