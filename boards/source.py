"""Where MicroPython's source comes from.

Promises: `micropython_source(cache)` returns a folder with `ports/qemu` and `ports/unix` in it.
`MICROPYTHON_SRC` names any upstream checkout; otherwise Debian's source package is fetched through
apt, which checks its signature.  The mirror is the one this machine's own apt uses; the package
stands in the suite after bookworm, so a private list, used only for this, names that suite.
"""

import os
import shutil
import subprocess
from pathlib import Path

from boards.errors import MissingToolError

SUITE = "trixie"
PACKAGE = "micropython"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_REMEDY = "set MICROPYTHON_SRC=DIR to an upstream checkout of MicroPython 1.25 or later"


def micropython_source(cache: Path) -> Path:
    """The source folder; fetched into `cache` the first time.

    Raises MissingToolError when MICROPYTHON_SRC is wrong or apt cannot deliver the package.
    """
    chosen = os.environ.get("MICROPYTHON_SRC")
    if chosen:
        path = Path(chosen).expanduser().resolve()
        if not (path / "ports" / "qemu" / "Makefile").is_file():
            raise MissingToolError(
                f"MICROPYTHON_SRC={chosen}: no ports/qemu/Makefile there;"
                " name the top of a checkout"
            )
        return path
    stamp = cache / "source.path"
    if stamp.is_file() and Path(stamp.read_text()).is_dir():
        return Path(stamp.read_text())
    path = _fetch_debian_source(cache)
    stamp.write_text(str(path))
    return path


def _fetch_debian_source(cache: Path) -> Path:
    for tool, package in (("apt-get", "apt"), ("dpkg-source", "dpkg-dev")):
        if shutil.which(tool) is None:
            raise MissingToolError(f"{tool} is not here: install {package}, or {_REMEDY}")
    root = cache / "debian"
    shutil.rmtree(root, ignore_errors=True)
    for folder in ("lists/partial", "cache/archives/partial", "etc"):
        (root / folder).mkdir(parents=True)
    source_list = root / "etc" / "sources.list"
    source_list.write_text(f"deb-src [signed-by={_KEYRING}] {_mirror_uri()} {SUITE} main\n")
    options = [
        *("-o", f"Dir::Etc::sourcelist={source_list}"),
        *("-o", "Dir::Etc::sourceparts=/dev/null"),
        *("-o", f"Dir::State::lists={root / 'lists'}"),
        *("-o", f"Dir::Cache={root / 'cache'}"),
    ]
    _apt([*options, "update"], root)
    _apt([*options, "source", "--only-source", PACKAGE], root)
    shutil.rmtree(root / "lists")
    shutil.rmtree(root / "cache")
    found = sorted(path for path in root.glob(f"{PACKAGE}-*") if path.is_dir())
    if not found:
        raise MissingToolError(f"apt delivered no {PACKAGE} source into {root}; {_REMEDY}")
    return found[-1]


def _mirror_uri() -> str:
    """The URI of the Debian mirror in this machine's own apt configuration."""
    listing = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    for line in listing.stdout.splitlines():
        origin, label, uri = line.split("|", 2)
        if origin == "Debian" and label == "Debian":
            return uri
    raise MissingToolError(
        "this machine's apt has no Debian mirror with a fetched index:"
        f" run apt-get update, or {_REMEDY}"
    )


def _apt(arguments: list[str], folder: Path) -> None:
    result = subprocess.run(
        ["apt-get", "-q", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if result.returncode:
        last = (result.stderr.strip() or result.stdout.strip()).splitlines()[-3:]
        raise MissingToolError(
            f"apt-get {arguments[-1]} of the {SUITE} source failed: {' / '.join(last)}; {_REMEDY}"
        )
