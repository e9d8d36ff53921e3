"""The node put together, in little memory: what the start alone needs is forgotten after it.

While `start.py` puts the parts together the heap is collected every KiB, so that nothing
short-lived lies between what stays; then its own file and those that only it uses leave the memory.
The fast chips are started last: their FIFOs do not wait.
"""

import gc
import sys

from wire.kernel import IS_MICROPYTHON

CONFIG_FILE = "node.json"
FIRMWARE_VERSION = "0.2.0"
VENDOR_ID = "twinrig"
_COLLECT_BYTES = 1024
_START_ONLY = (
    "firmware.commands",
    "firmware.config",
    "firmware.config_items",
    "firmware.features_table",
    "firmware.features_velocity",
    "firmware.fields",
    "firmware.keyfile",
    "firmware.manifest",
    "firmware.measured",
    "firmware.parts",
    "firmware.start",
    "firmware.update",
    "frozen_files",
    "wire.commands",
    "wire.measurement",
)
"""Imported again should a command want one of them."""
_OF_CHANNELS = ("firmware.filter", "firmware.filter_stages")


def bring_up(hal):
    """A node (firmware/node.py) on the board `hal`, announced in a boot record, its chips started.

    Raises KeyFileError or StateError: a node that cannot seal or count does not run.
    """
    from firmware.start import assemble

    _collect_every(_COLLECT_BYTES)
    node = assemble(hal)
    _forget(_START_ONLY)
    if "firmware.sampling" not in sys.modules:
        _forget(_OF_CHANNELS)
    _collect_every(-1)
    node.heap.start()
    for waveform in node.waveforms:
        waveform.start()
    return node


def _collect_every(count: int) -> None:
    """Have the heap collected whenever so many bytes were taken from it; -1: when it is full."""
    if IS_MICROPYTHON:
        gc.threshold(count)


def _forget(names) -> None:
    """Take modules out of memory: nothing but `sys.modules` and their package refers to them."""
    if not IS_MICROPYTHON:
        return
    for name in names:
        if name in sys.modules:
            del sys.modules[name]
            package, _, attribute = name.rpartition(".")
            if package and hasattr(sys.modules[package], attribute):
                delattr(sys.modules[package], attribute)
