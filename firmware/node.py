"""The node at work: samples on their schedule, and between them everything else.

Promises: a sample is taken in its slot or counted as an overrun (`schedule.py`); a block becomes a
sealed frame, in which a value that could not be had is missing, and a status record says why; no
value is ever made up.  Fast chips are polled when they are due.  Everything else runs in the gaps,
a step at a time, where it fits before the next sample and before a fast chip would lose any, in the
order of `_tasks`: outputs to be released, features, the seal, garbage, packs, the line, signatures,
status.  The watchdog is fed by samples alone: a node that does not get round to
sampling starts again.
"""

import gc

from firmware.outgoing import Row
from firmware.tasks import Task
from wire import content
from wire.kernel import IS_MICROPYTHON

NEVER_US = 1 << 62
_QUIET_US = 20000
_RETRY_EVERY_US = 1000000
_LONG_US = 5000
_COLLECT_POLLS = 20
"""A read of a bus leaves some 500 bytes behind, and the heap must never be full by itself: the
collection would come in the middle of something."""


class Node:
    """One node on one board; `parts` are what bring_up made, by name (firmware/app.py)."""

    free_bytes = None
    """Of the heap, after the newest collection."""

    def __init__(self, hal, settings, identity, parts) -> None:
        self._hal = hal
        self.identity = identity
        self.boot_id = parts["counters"].boot_id
        self.sampler = parts["sampler"]
        self.outputs = parts["outputs"]
        self.schedule = parts["schedule"]
        self.waveforms = parts["waveforms"]
        self._uplink = parts["uplink"]
        self._outgoing = parts["outgoing"]
        self._downlink = parts["downlink"]
        self._delivery = parts["delivery"]
        self._spool = parts["spool"]
        self._on_command = parts["on_command"]
        self._is_on_trial = self._on_command.state() == "trial"
        self._link = parts["link"]
        self._checkpoints = parts["checkpoints"]
        self._status = parts["status"]
        self._watchdog = hal.watchdog(settings.watchdog_ms)
        base_name = identity.node + ":"
        named = [(channel.name, channel.unit) for channel in settings.channels]
        self._row = Row(base_name, named, 0, False) if named else None
        # The link shows all channels of the node in one row: polled ones, then each fast chip's.
        self._rows = []
        channels = len(named)
        for waveform in self.waveforms:
            waveform.base_name = base_name
            self._rows.append((waveform, Row(base_name, waveform.channels, channels, True)))
            channels += len(waveform.channels)
        self._link.prepare(channels, self.schedule)
        self._garbage = False
        self._polls = 0
        self._quiet_us = 0
        """Until then no task need be asked, unless a sample, a poll or a message gives it work."""
        self._release_us = NEVER_US
        self._tasks = (
            Task(self._release),
            Task(self._work_waveforms),
            Task(self._outgoing.send),
            Task(self._collect, 0, _LONG_US),
            Task(self._pack_waveforms, 0, _LONG_US),
            Task(self._delivery.pump),
            Task(self._serve_link, self._link.poll_us or _QUIET_US),
            Task(self._sign),
            Task(self._report, settings.status_us, _LONG_US),
            Task(self._retry, _RETRY_EVERY_US),
        )

    def run(self) -> None:
        """Sample until the board is stopped."""
        schedule = self.schedule
        schedule.start(self._hal.ticks_us())
        while True:
            self._work_until(schedule.due_us)
            if not schedule.arrive(self._hal.ticks_us()):
                self.sampler.take()
                continue
            self.sampler.sample()
            self._watchdog.feed()
            if schedule.advance():
                self._end_block(schedule.middle_us())

    def use(self, identity) -> None:
        """Seal and believe under other keys from now on."""
        self.identity = identity
        self._uplink.use(identity)
        self._downlink.use(identity)

    def set_rate(self, period_us: int, block_samples: int, now_us: int) -> None:
        """Sample on another grid until the next start; the present block counts as overruns."""
        self.sampler.take()
        self.schedule.change(period_us, block_samples, now_us)

    def restart(self) -> None:
        """Start the board anew, with nothing left in RAM that belongs in flash."""
        self._outgoing.send()
        self._spool.flush()
        self._hal.reset()

    def capture(self, source: str, samples: int):
        """Send the next raw samples of the waveform `source`; why not, as a text, or None."""
        for waveform in self.waveforms:
            if waveform.name == source:
                return waveform.capture(samples)
        return "%s is no waveform; raw samples come from fast chips only" % source

    def _work_until(self, due_us: int) -> None:
        """Do what is to be done until a sample is due, and sleep when nothing is."""
        hal = self._hal
        now_us = hal.ticks_us()
        if now_us >= due_us:
            # No gap at all: what is packed leaves, and the line is heard, all the same; the tasks
            # lose their patience.
            if self._outgoing.send():
                self._delivery.pump(now_us)
            if self._link.is_waiting():
                self._hear(now_us)
            self._step(now_us, due_us)
            return
        while now_us < due_us:
            if self._step(now_us, due_us):
                now_us = hal.ticks_us()
                continue
            has_input = hal.sleep_until_us(self._wake_us(now_us, due_us))
            now_us = hal.ticks_us()
            if has_input:
                self._hear(now_us)

    def _step(self, now_us: int, until_us: int) -> bool:
        """Do one thing that fits before `until_us`; whether there was any.  A poll always fits."""
        for waveform in self.waveforms:
            if now_us >= waveform.due_us:
                has_work = waveform.poll()
                self._polls += 1
                if self._polls == _COLLECT_POLLS:
                    has_work = self._garbage = True
                if has_work:
                    self._quiet_us = 0
                return now_us >= self._quiet_us
            until_us = min(until_us, waveform.limit_us)
        if now_us < self._quiet_us:
            return False
        quiet_us = now_us + _QUIET_US
        for task in self._tasks:
            done = now_us >= task.due_us and task.run(self._hal, now_us, until_us)
            if done:
                return True
            if done is None:
                quiet_us = 0
        release_us = self.outputs.due_us()
        self._release_us = NEVER_US if release_us is None else release_us
        self._quiet_us = min(quiet_us, self._release_us)
        return False

    def _wake_us(self, now_us: int, due_us: int) -> int:
        """When the next thing has to be looked at."""
        wake_us = min(due_us, self._release_us)
        for waveform in self.waveforms:
            wake_us = min(wake_us, waveform.due_us)
        if self._link.poll_us:
            wake_us = min(wake_us, now_us + self._link.poll_us)
        return max(wake_us, now_us + 1)

    def _end_block(self, middle_us: int) -> None:
        self._garbage = True
        self._quiet_us = 0
        if self._is_on_trial and self._delivery.is_proven:
            # It samples, seals and is heard: what an update can break, it has not broken.
            self._is_on_trial = False
            self._on_command.confirm()
        values = self.sampler.take()
        if self._row is not None:
            self._outgoing.pack(self._row, values, middle_us)

    # --- between samples: each says whether it did something -------------------------------------

    def _release(self, now_us: int) -> bool:
        release_us = self.outputs.due_us()
        if release_us is None or now_us < release_us:
            return False
        self.outputs.release(now_us)
        return True

    def _work_waveforms(self, _now_us: int) -> bool:
        for waveform in self.waveforms:
            if waveform.work():
                # A pack may need some KiB in one piece, so the heap is swept before.
                self._garbage = self._garbage or waveform.is_complete
                return True
        return False

    def _pack_waveforms(self, _now_us: int) -> bool:
        for waveform, row in self._rows:
            if waveform.is_complete:
                self._garbage = True
                self._outgoing.pack(row, waveform.take(), waveform.middle_us)
                return True
            piece = waveform.take_captured()
            if piece is not None:
                self._garbage = True
                self._outgoing.add(content.RAW_BLOCK, *piece)
                return True
        return False

    def _hear(self, received_us: int) -> bool:
        self._quiet_us = 0
        messages = self._link.receive()
        for message in messages:
            self._downlink.hear(message, received_us)
        return bool(messages)

    def _serve_link(self, now_us: int) -> bool:
        self._link.service(now_us)
        return self._hear(now_us) if self._link.poll_us else False

    def _sign(self, now_us: int) -> bool:
        checkpoints = self._checkpoints
        if checkpoints is None:
            return False
        if not checkpoints.is_busy:
            if not checkpoints.is_due(now_us):
                return False
            self._outgoing.send()
            self._uplink.begin_checkpoint(checkpoints)
            return True
        signed = checkpoints.step()
        if signed is not None:
            self._garbage = True
            self._outgoing.add(content.CHECKPOINT, signed)
        return True

    def _report(self, now_us: int) -> bool:
        self._outgoing.add(content.STATUS_RECORD, self._status.record(self, now_us))
        self._garbage = True
        return True

    def _retry(self, _now_us: int) -> bool:
        return bool(self.sampler.retry())

    def _collect(self, _now_us: int) -> bool:
        """Take the garbage out while there is time, so that it never has to be in a slot."""
        if not self._garbage:
            return False
        self._garbage = False
        self._polls = 0
        if IS_MICROPYTHON:
            gc.collect()
            self.free_bytes = gc.mem_free()
        return True
