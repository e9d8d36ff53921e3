"""The node: sample -> filter -> pack -> seal -> frame -> send, on a schedule without drift.

Promises: sample k is due at k * sample_period after the board's clock started, whatever the samples
before it took; a sample that could not be taken in its slot is counted as an overrun and never
made up.  A block starts at a multiple of its own length and becomes one sealed frame.  A time probe
is answered as soon as it is heard, between samples.

Order of start: configuration, counters, keys, chips, boot record.  A node that cannot count or seal
does not sample; a chip that does not answer stops the node with the driver's own error.
"""

from firmware import config
from firmware.counters import Counters
from firmware.link import Downlink, Uplink
from firmware.sampling import Sampler

CONFIG_FILE = "node.json"
FIRMWARE_VERSION = "0.1.0"
_UART = 0


class Node:
    """One node on one board; `hal` is the board's hardware access."""

    def __init__(self, hal) -> None:
        self._hal = hal
        self._config = None
        self._sampler = None
        self._uplink = None
        self._downlink = None
        self.overruns = 0

    def start(self) -> None:
        """Bring everything up in the order that the module states, and say so in a boot record."""
        hal = self._hal
        self._config = config.parse(_provisioned(hal))
        counters = Counters(hal)
        counters.start()
        uart = hal.uart(_UART)
        self._uplink = Uplink(self._config.node, self._config.root_key, counters, uart, hal.ticks_us)
        self._downlink = Downlink(
            self._config.node, self._config.root_key, uart, self._uplink, hal.ticks_us
        )
        self._sampler = Sampler(self._config.channels, hal)
        self._sampler.start()
        self._uplink.send_boot(self._boot_fields(counters))

    def run(self) -> None:
        """Start, then sample until the board is stopped."""
        self.start()
        period_us = self._config.sample_period_us
        block_us = period_us * self._config.block_samples
        block_start_us = (self._hal.ticks_us() // block_us + 1) * block_us
        while True:
            self.run_block(block_start_us)
            block_start_us += block_us
            late_us = self._hal.ticks_us() - block_start_us
            if late_us > 0:
                missed = late_us // block_us + 1
                self.overruns += missed * self._config.block_samples
                block_start_us += missed * block_us

    def run_block(self, block_start_us: int) -> None:
        """Take one block of samples and send its frame."""
        period_us = self._config.sample_period_us
        count = self._config.block_samples
        for index in range(count):
            self._wait_until(block_start_us + index * period_us)
            self._sampler.sample()
        middle_us = block_start_us + (count - 1) * period_us // 2
        self._uplink.send_readings(self._sampler.take(), middle_us)

    def _wait_until(self, due_us: int) -> None:
        while self._hal.sleep_until_us(due_us):
            self._downlink.serve()

    def _boot_fields(self, counters) -> "dict":
        return {
            "firmware": FIRMWARE_VERSION,
            "interpreter": self._hal.identity()[:64],
            "unique_id": self._hal.unique_id(),
            "sample_period_us": self._config.sample_period_us,
            "block_samples": self._config.block_samples,
            "sequence_start": counters.sequence_start,
        }


def _provisioned(hal) -> bytes:
    try:
        return hal.read_file(CONFIG_FILE)
    except OSError:
        raise config.ConfigError("%s is missing: provision the node first" % CONFIG_FILE)
