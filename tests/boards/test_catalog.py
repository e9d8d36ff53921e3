"""Board folders: what is read, and that every refusal says where and how to mend it."""

from pathlib import Path

import pytest

from boards import catalog
from boards.errors import BoardFileError, UnknownBoardError


def test_every_folder_is_a_board_with_a_hal() -> None:
    names = catalog.board_names()
    assert {"host", "qemu_stm32f2"} <= set(names)
    for name in names:
        board = catalog.load_board(name)
        assert board.name == name
        assert (board.directory / "hal.py").is_file()


def test_an_unknown_board_gets_a_suggestion() -> None:
    with pytest.raises(UnknownBoardError, match=r"did you mean 'qemu_stm32f2'\?"):
        catalog.load_board("qemu_stm32")


def test_a_name_that_leads_out_of_the_folder_is_unknown() -> None:
    with pytest.raises(UnknownBoardError):
        catalog.load_board("../boards/host")


@pytest.fixture
def board_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the host board's file that a test may damage."""
    folder = tmp_path / "host"
    folder.mkdir()
    path = folder / "board.toml"
    path.write_text((catalog.BOARDS_DIR / "host" / "board.toml").read_text())
    monkeypatch.setattr(catalog, "BOARDS_DIR", tmp_path)
    return path


def test_toml_that_does_not_parse(board_file: Path) -> None:
    board_file.write_text("name = 1 2\n")
    with pytest.raises(BoardFileError, match=r"board\.toml: not valid TOML.*line 1"):
        catalog.load_board("host")


def test_an_unknown_key_and_a_missing_one_are_both_named(board_file: Path) -> None:
    board_file.write_text(board_file.read_text().replace("mcu =", "colour ="))
    with pytest.raises(BoardFileError) as refusal:
        catalog.load_board("host")
    assert "colour" in str(refusal.value)
    assert "mcu" in str(refusal.value)


def test_the_name_has_to_be_the_folder(board_file: Path) -> None:
    board_file.write_text(board_file.read_text().replace('name = "host"', 'name = "hosts"', 1))
    with pytest.raises(BoardFileError, match="make them equal"):
        catalog.load_board("host")


def test_a_bus_that_is_not_there() -> None:
    board = catalog.load_board("host")
    assert board.bus("uart", 0).baud == 115_200
    with pytest.raises(BoardFileError, match="no i2c bus 7"):
        board.bus("i2c", 7)


def test_what_a_real_board_needs_is_asked_for(board_file: Path) -> None:
    board_file.write_text(board_file.read_text().replace('"process"', '"none"'))
    with pytest.raises(BoardFileError, match="'none' also needs flash, identity"):
        catalog.load_board("host")


def test_a_part_needs_the_bus_it_is_soldered_to(board_file: Path) -> None:
    part = '[[parts]]\npart = "tmp117"\nrefdes = "U3"\nbus = "i2c9"\naddress = 72\n'
    board_file.write_text(board_file.read_text() + part)
    with pytest.raises(BoardFileError, match="part tmp117 is on bus 'i2c9', which is not there"):
        catalog.load_board("host")


def test_every_real_board_says_how_it_is_flashed_and_who_it_is() -> None:
    real = [board for board in map(catalog.load_board, catalog.board_names()) if board.flash]
    assert {board.name for board in real} >= {
        *("esp32_devkit", "esp32_s3_devkitc", "nucleo_f446re", "pybv11"),
    }
    offsets = {board.name: board.flash.offset for board in real if board.flash}
    assert offsets["esp32_devkit"] == 0x1000
    assert offsets["esp32_s3_devkitc"] == 0
    assert offsets["nucleo_f446re"] == offsets["pybv11"] == 0x08000000
    for board in real:
        assert f'BOARD = "{board.name}"' in (board.directory / "hal.py").read_text()
        assert board.bus("uart", 0).baud == 115_200
