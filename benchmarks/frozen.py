"""How much flash the application takes when it is frozen into an image.

Counted from the symbols that MicroPython's freezing tool gives to what it makes: bytecode, machine
code of the kernels, constants, module tables and names. The interpreter is not in it.
"""

import re
import subprocess
from typing import Final

from boards.build import APPLICATION, build
from boards.catalog import load_board

BOARD: Final = "qemu_stm32f2"
_FROZEN: Final = re.compile(
    r"(fun_data|raw_code|const_(obj|table|qstr)|children|proto_fun|frozen|mp_frozen|mp_qstr_frozen)_"
)


def frozen_bytes() -> int:
    """Bytes of flash of everything that is frozen into the application's image."""
    image = build(load_board(BOARD), APPLICATION)
    listing = subprocess.run(
        ["arm-none-eabi-nm", "--print-size", str(image)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = 0
    for line in listing.stdout.splitlines():
        words = line.split()
        if len(words) == 4 and _FROZEN.match(words[3]):
            found += int(words[1], 16)
    if not found:
        raise RuntimeError(f"{image} names nothing frozen: was it stripped?")
    return found


if __name__ == "__main__":
    print(f"{frozen_bytes():,} bytes")
