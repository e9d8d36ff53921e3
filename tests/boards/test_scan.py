"""Ports are listed from what the kernel knows; nothing is opened."""

from pathlib import Path
from types import SimpleNamespace

from boards.catalog import board_names, load_board
from boards.scan import PORTS_MAX, scan, serial_number_of


def info(device: str, usb: str | None = None, serial_number: str | None = None) -> SimpleNamespace:
    vid, pid = (None, None) if usb is None else (int(part, 16) for part in usb.split(":"))
    return SimpleNamespace(
        device=device, description=None, serial_number=serial_number, vid=vid, pid=pid
    )


def test_usb_ids_name_the_boards_that_have_them() -> None:
    ports = scan([info("/dev/b", "0483:374b", "066A"), info("/dev/a"), info("/dev/c", "10c4:ea60")])
    assert [port.path for port in ports] == ["/dev/a", "/dev/b", "/dev/c"]
    assert [port.usb_id for port in ports] == [None, "0483:374b", "10c4:ea60"]
    assert ports[1].boards == ("nucleo_f446re",)
    assert ports[1].serial_number == "066A"
    assert set(ports[2].boards) == {"esp32_devkit", "esp32_s3_devkitc"}
    assert ports[0].boards == ()


def test_the_list_is_bounded() -> None:
    assert len(scan([info(f"/dev/{number:03}") for number in range(200)])) == PORTS_MAX


def test_a_link_leads_to_the_serial_number_of_its_device(tmp_path: Path) -> None:
    device = tmp_path / "ttyACM0"
    device.touch()
    link = tmp_path / "board"
    link.symlink_to(device)
    infos = [info(str(device), "f055:9800", "3362")]
    assert serial_number_of(str(link), infos) == "3362"
    assert serial_number_of("/dev/none", infos) is None


def test_the_ids_of_the_catalogue_are_ids() -> None:
    for name in board_names():
        for usb_id in load_board(name).usb:
            vid, pid = usb_id.split(":")
            assert f"{int(vid, 16):04x}:{int(pid, 16):04x}" == usb_id
