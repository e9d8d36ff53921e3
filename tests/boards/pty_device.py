"""A device on a pseudo-terminal: a thread that answers what a program writes to the port."""

import os
import selectors
import threading
import tty
from pathlib import Path


class PtyDevice:
    """Fill in `hear(data)`, which may call `say(data)`; `port` is the path to open.

    `pull_cable()` closes the device's end, which the program sees as a port that has gone.
    """

    def __init__(self) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._stop_read, self._stop_write = os.pipe()
        self._pulled = False
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._stop_write, b"x")
        self._thread.join(timeout=10)
        for descriptor in (self._stop_read, self._stop_write):
            os.close(descriptor)
        if not self._pulled:
            self._close()
        if self.failure is not None:
            raise self.failure

    def hear(self, data: bytes) -> None:
        """What the program wrote."""
        raise NotImplementedError

    def say(self, data: bytes) -> None:
        """Answer the program."""
        while data and not self._pulled:
            data = data[os.write(self._master, data) :]

    def pull_cable(self) -> None:
        """End the port at once."""
        if not self._pulled:
            self._pulled = True
            self._close()

    def _close(self) -> None:
        # The slave first: with the master gone, the program's own descriptor hangs up.
        os.close(self._slave)
        os.close(self._master)

    def _run(self) -> None:
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._master, selectors.EVENT_READ)
                selector.register(self._stop_read, selectors.EVENT_READ)
                while not self._pulled:
                    ready = [key.fd for key, _ in selector.select()]
                    if self._stop_read in ready:
                        return
                    self.hear(os.read(self._master, 65536))
                selector.unregister(self._stop_read)
        except BaseException as error:  # noqa: BLE001  the test that owns the device raises it
            self.failure = error


def is_gone(port: str) -> bool:
    """Whether the path no longer leads to a device."""
    return not Path(port).exists()
