"""The node: sample -> filter -> pack -> seal -> frame -> send, on a schedule without drift.

Promises: sample k is due at k * sample_period after the board's clock started, whatever the samples
before it took, and is taken in its slot: before sample k + 1 is due.  A block starts at a multiple
of its own length and becomes one sealed frame, or, when a slot was missed, none: its time would be
wrong.  Nothing is made up; every sample that is in no frame is counted as an overrun, so frames and
overruns add up to the slots gone by.  A time probe is answered as soon as it is heard, between
samples.

Order of start (`bring_up`): configuration, counters, keys, chips, boot record.  A node that cannot
count or seal does not sample; a chip that does not answer stops the node with the driver's error.
"""

from firmware import config
from firmware.counters import Counters
from firmware.link import Downlink, Uplink
from firmware.sampling import Sampler

CONFIG_FILE = "node.json"
FIRMWARE_VERSION = "0.1.0"
_UART = 0


def bring_up(hal) -> "Node":
    """A node on the board `hal`, in the order that the module states, announced in a boot record.

    Raises ConfigError, StateError, or the DriverError of the chip that fails.
    """
    settings = config.parse(_provisioned(hal))
    counters = Counters(hal)
    counters.start()
    uart = hal.uart(_UART)
    channels = settings.channels
    uplink = Uplink(settings.node, settings.root_key, channels, counters, uart, hal.ticks_us)
    downlink = Downlink(settings.node, settings.root_key, counters, uart, uplink, hal.ticks_us)
    sampler = Sampler(channels, hal)
    sampler.start()
    uplink.send_boot(
        {
            "firmware": FIRMWARE_VERSION,
            "interpreter": hal.identity()[:64],
            "unique_id": hal.unique_id(),
            "sample_period_us": settings.sample_period_us,
            "block_samples": settings.block_samples,
            "sequence_start": counters.sequence_start,
        }
    )
    return Node(hal, settings.sample_period_us, settings.block_samples, sampler, uplink, downlink)


class Node:
    """One node on one board; blocks of `block_samples` samples, `period_us` apart."""

    def __init__(self, hal, period_us: int, block_samples: int, sampler, uplink, downlink) -> None:
        self._hal = hal
        self._period_us = period_us
        self._block_samples = block_samples
        self._sampler = sampler
        self._uplink = uplink
        self._downlink = downlink
        self.overruns = 0
        """Samples whose slots have passed and that are in no frame."""

    def run(self) -> None:
        """Sample until the board is stopped."""
        block_us = self._period_us * self._block_samples
        block_start_us = (self._hal.ticks_us() // block_us + 1) * block_us
        while True:
            self.run_block(block_start_us)
            block_start_us += block_us
            late_us = self._hal.ticks_us() - block_start_us
            if late_us >= self._period_us:
                missed = late_us // block_us + 1
                self.overruns += missed * self._block_samples
                block_start_us += missed * block_us

    def run_block(self, block_start_us: int) -> None:
        """Take one block of samples and send its frame; drop it when a slot is missed."""
        hal = self._hal
        period_us = self._period_us
        for index in range(self._block_samples):
            due_us = block_start_us + index * period_us
            while hal.sleep_until_us(due_us):
                self._downlink.serve()
            if hal.ticks_us() - due_us >= period_us:
                self._drop(index)
                return
            self._sampler.sample()
        middle_us = block_start_us + (self._block_samples - 1) * period_us // 2
        self._uplink.send_readings(self._sampler.take(), middle_us)

    def _drop(self, taken: int) -> None:
        """Forget the `taken` samples of this block; no sequence number is used for it."""
        self.overruns += self._block_samples
        if taken:
            self._sampler.take()


def _provisioned(hal) -> bytes:
    try:
        return hal.read_file(CONFIG_FILE)
    except OSError:
        what = "%s is missing: provision the node first" % CONFIG_FILE
        raise config.ConfigError(what) from None
