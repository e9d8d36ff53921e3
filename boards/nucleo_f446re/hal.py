"""Hardware access of `nucleo_f446re`: an STM32F446 under MicroPython's stock image.

The tables say what `board.toml` says; a test holds them together.
"""

import node_files
import node_stm32
from node_board import NodeBoard

BOARD = "nucleo_f446re"

# controller, Hz
_I2C = {0: (1, 400000), 1: (3, 400000)}
# each controller
_SPIS = {1: (1,)}
# controller, Hz, mode, select
_SPI = {0: (1, 5000000, 0, 22), 1: (1, 5000000, 0, 21)}
# controller, baud
_UARTS = {0: (6, 115200)}
# controller, baud, driver enable
_RS485 = {1: (4, 19200, 4)}

_board = NodeBoard(node_stm32, i2c=_I2C, spi=_SPI, spis=_SPIS, uarts=_UARTS, rs485=_RS485)


def cycles_ns() -> int:
    """Nanoseconds of wall time, modulo 2**32: this board does not count instructions."""
    return (ticks_us() * 1000) & 0xFFFFFFFF


# What every real board does in the same way.
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
