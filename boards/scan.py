"""Which boards are plugged in: the serial ports of this machine and what their USB ids tell.

Promises: `scan` opens nothing and sends nothing; it reads what the kernel knows.  Asking a port is
`identity.py`, and stops what runs on the board.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from serial.tools import list_ports

from boards.catalog import board_names, load_board

PORTS_MAX: Final = 64


class PortInfo(Protocol):
    """What pyserial knows of a port."""

    device: str
    description: str | None
    serial_number: str | None
    vid: int | None
    pid: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A serial port and the boards that show themselves with its USB id."""

    path: str
    usb_id: str | None
    serial_number: str | None
    description: str
    boards: tuple[str, ...]


def scan(infos: Iterable[PortInfo] | None = None) -> list[Port]:
    """At most PORTS_MAX ports, by path; `infos` stands in for the machine's own."""
    by_id: dict[str, list[str]] = {}
    for name in board_names():
        for known_id in load_board(name).usb:
            by_id.setdefault(known_id, []).append(name)
    found = []
    for info in sorted(infos or list_ports.comports(), key=lambda info: info.device)[:PORTS_MAX]:
        usb_id = None if info.vid is None else f"{info.vid:04x}:{info.pid or 0:04x}"
        found.append(
            Port(
                path=info.device,
                usb_id=usb_id,
                serial_number=info.serial_number,
                description=info.description or "",
                boards=tuple(by_id.get(usb_id or "", ())),
            )
        )
    return found


def serial_number_of(port: str, infos: Iterable[PortInfo] | None = None) -> str | None:
    """The USB serial number behind a port, whatever link leads to it."""
    real = str(Path(port).resolve())
    for found in scan(infos):
        if found.path in (port, real):
            return found.serial_number
    return None
