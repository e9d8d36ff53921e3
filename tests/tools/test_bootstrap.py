"""tools/bootstrap.sh on machines that lack something: one clear message, nothing half done."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

# What a minimal Debian has; neither apt-get nor sudo, so nothing can be installed.
BARE_COMMANDS = ["bash", "cat", "cut", "dirname", "flock", "head", "id", "mkdir", "sha256sum"]


@pytest.fixture
def checkout(tmp_path: Path, root: Path) -> Path:
    """A copy of the files that the script reads."""
    folder = tmp_path / "checkout"
    (folder / "tools").mkdir(parents=True)
    for name in ("pyproject.toml", "constraints.txt", "tools/bootstrap.sh"):
        shutil.copy(root / name, folder / name)
    return folder


@pytest.fixture
def bare_path(tmp_path: Path) -> Path:
    """A folder with the commands of a bare machine, to be the whole PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in BARE_COMMANDS:
        found = shutil.which(name)
        assert found, f"{name} is part of every Debian"
        (folder / name).symlink_to(found)
    return folder


def add_python(folder: Path, version: str, *, has_venv: bool) -> None:
    """A stand-in for an interpreter that only answers the questions the script asks."""
    is_new_enough = tuple(map(int, version.split("."))) >= (3, 11)
    script = f"""#!/bin/sh
    case "$2" in
      *version_info*) exit {int(not is_new_enough)} ;;
      *ensurepip*) exit {int(not has_venv)} ;;
    esac
    """
    (folder / "python3").write_text(script)
    (folder / "python3").chmod(0o755)


def bootstrap(
    checkout: Path, path: Path, *words: str, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run the script with `path` as the only place to find commands."""
    return subprocess.run(
        [shutil.which("bash") or "bash", "tools/bootstrap.sh", *words],
        cwd=checkout,
        env={"PATH": str(path), "HOME": str(checkout), **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_missing_packages_are_named_with_the_command(checkout: Path, bare_path: Path) -> None:
    add_python(bare_path, "3.11", has_venv=False)
    result = bootstrap(checkout, bare_path, "all", PYTHON="python3")
    assert result.returncode == 1
    assert "apt-get install --no-install-recommends python3-venv" in result.stderr
    for package in (
        *("qemu-system-arm", "gcc-arm-none-eabi", "libnewlib-arm-none-eabi"),
        *("qemu-system-misc", "gcc-riscv64-unknown-elf", "picolibc-riscv64-unknown-elf"),
    ):
        assert package in result.stderr
    assert not (checkout / ".venv").exists()


def test_check_alone_needs_no_cross_compiler(checkout: Path, bare_path: Path) -> None:
    add_python(bare_path, "3.11", has_venv=False)
    result = bootstrap(checkout, bare_path, "python", PYTHON="python3")
    assert result.returncode == 1
    assert "python3-venv" in result.stderr
    assert "qemu" not in result.stderr


def test_an_old_python_is_refused_with_the_remedy(checkout: Path, bare_path: Path) -> None:
    add_python(bare_path, "3.9", has_venv=True)
    result = bootstrap(checkout, bare_path, "all", PYTHON="python3")
    assert result.returncode == 1
    assert "Python >= 3.11" in result.stderr
    assert "PYTHON=" in result.stderr


def test_an_unknown_word_is_refused(checkout: Path, bare_path: Path) -> None:
    result = bootstrap(checkout, bare_path, "everything")
    assert result.returncode == 1
    assert "usage:" in result.stderr


def test_a_current_environment_is_left_alone(checkout: Path, bare_path: Path) -> None:
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    stamped = ["pyproject.toml", "constraints.txt", "tools/bootstrap.sh"]
    data = b"".join((checkout / name).read_bytes() for name in stamped)
    digest = subprocess.run(
        ["sha256sum"],
        input=data + os.fsencode(checkout.resolve()) + b"\n",
        capture_output=True,
        check=True,
    )
    (checkout / ".venv" / "twinrig.stamp").write_bytes(digest.stdout)
    result = bootstrap(checkout, bare_path, "python")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    (checkout / "constraints.txt").write_text("six==1.0\n")
    assert bootstrap(checkout, bare_path, "python", PYTHON="no-such").returncode == 1
