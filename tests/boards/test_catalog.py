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
