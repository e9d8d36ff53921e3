"""A file system in RAM for an emulated board that has none, mounted at its root.

Sent to the board through its prompt.  It has what `deploy` needs: files that are written or read
from start to end, folders, removal; names are kept as they come, without a leading slash.
"""

import io

import vfs


class Reader(io.IOBase):
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0

    def readinto(self, buffer) -> int:
        part = self._content[self._position : self._position + len(buffer)]
        buffer[: len(part)] = part
        self._position += len(part)
        return len(part)

    def close(self) -> None:
        pass

    def ioctl(self, *_request: int) -> int:
        return 0


class Writer(io.IOBase):
    def __init__(self, files: dict, name: str) -> None:
        self._files = files
        self._name = name
        self._parts = []

    def write(self, data) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def close(self) -> None:
        self._files[self._name] = b"".join(self._parts)

    def ioctl(self, *_request: int) -> int:
        return 0


class RamFiles:
    def __init__(self) -> None:
        self._files = {}
        self._folders = {""}

    def mount(self, readonly, make) -> None:
        pass

    def umount(self) -> None:
        pass

    def getcwd(self) -> str:
        return "/"

    def open(self, name: str, mode: str):
        name = name.strip("/")
        if "w" in mode:
            if name.rpartition("/")[0] not in self._folders:
                raise OSError(2)
            return Writer(self._files, name)
        if name not in self._files:
            raise OSError(2)
        return Reader(self._files[name])

    def stat(self, name: str):
        name = name.strip("/")
        if name in self._folders:
            return (0x4000, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        if name not in self._files:
            raise OSError(2)
        return (0x8000, 0, 0, 0, 0, 0, len(self._files[name]), 0, 0, 0)

    def mkdir(self, name: str) -> None:
        name = name.strip("/")
        if name in self._folders:
            raise OSError(17)
        self._folders.add(name)

    def remove(self, name: str) -> None:
        name = name.strip("/")
        if name not in self._files:
            raise OSError(2)
        del self._files[name]

    def rename(self, old: str, new: str) -> None:
        self._files[new.strip("/")] = self._files.pop(old.strip("/"))

    def ilistdir(self, top: str):
        top = top.strip("/")
        if top not in self._folders:
            raise OSError(2)
        kinds = [(name, 0x4000) for name in self._folders if name]
        kinds += [(name, 0x8000) for name in self._files]
        for name, kind in kinds:
            folder, _, last = name.rpartition("/")
            if folder == top:
                yield (last, kind, 0)


vfs.mount(RamFiles(), "/")
