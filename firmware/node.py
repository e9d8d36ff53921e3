"""The node at work: samples on their schedule, and between them everything else.

Promises: a sample is taken in its slot or counted as an overrun (`schedule.py`); a block becomes a
sealed frame, in which a value that could not be had is missing, and a status record says why; no
value is ever made up.  Outputs are released and fast chips polled when they are due.  Everything
else runs in the gaps, a step at a time, where it fits before the next sample and before a fast chip
would lose any, in the order of `_tasks`: features, the seal, garbage, packs, the line, signatures,
status.  The watchdog is fed while nothing is late: a node that does not get round to sampling
starts again.
"""

from firmware.errors import NodeError
from firmware.outgoing import Row
from firmware.tasks import Task
from wire import content

NEVER_US = 1 << 62
_LINK_EVERY_US = 20000
_QUIET_US = 50000
_NAP_US = 1000000
"""The longest sleep: the watchdog is fed in between."""
_FEED_EVERY_US = 100000
_RETRY_EVERY_US = 1000000
_LONG_US = 5000


class Node:
    """One node on one board; `parts` are what bring_up made, by name (firmware/app.py)."""

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
        self._link, self._status = parts["link"], parts["status"]
        self._watchdog = hal.watchdog(settings.watchdog_ms)
        base = identity.node + ":"
        named = [(each.name, each.unit) for each in settings.channels]
        self._row = Row(base, named, 0, False) if named else None
        # The link shows all channels of the node in one row: polled ones, then each fast chip's.
        self._rows = []
        channels = len(named)
        for waveform in self.waveforms:
            waveform.base_name = base
            self._rows.append((waveform, Row(base, waveform.channels, channels, True)))
            channels += len(waveform.channels)
        self._link.prepare(channels, self.schedule)
        self.heap = parts["heap"]
        self._quiet_us = 0
        """Until then no task need be asked, unless a sample, a poll or a message gives it work."""
        self._feed_us, self._release_us = 0, NEVER_US
        tasks = [
            Task(self._work_waveforms),
            Task(self._outgoing.work),
            Task(self.heap.work, 0, _LONG_US),
            Task(self._pack_waveforms, 0, _LONG_US),
            Task(self._delivery.pump),
            Task(self._serve_link, self._link.poll_us or _LINK_EVERY_US),
            Task(self._report, settings.status_us, _LONG_US),
            Task(self._retry, _RETRY_EVERY_US),
        ]
        if parts["signing"] is not None:
            tasks.insert(-2, Task(parts["signing"].work))
        self._tasks = tuple(tasks)

    def run(self) -> None:
        """Sample until the board is stopped."""
        schedule = self.schedule
        schedule.start(self._hal.ticks_us())
        while True:
            self._work_until(schedule)
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

    def _work_until(self, schedule) -> None:
        """Do what is to be done until a sample is due, and sleep when nothing is."""
        hal = self._hal
        now_us = hal.ticks_us()
        due_us = schedule.due_us
        self._release(now_us)
        if now_us >= due_us:
            # No gap at all: what is packed leaves, and the line is heard, all the same; the tasks
            # lose their patience.
            if self._outgoing.send():
                self._delivery.pump(now_us)
            if self._link.is_waiting():
                self._hear(now_us)
            self._step(now_us, due_us)
            return
        while now_us < schedule.due_us:
            # A command may have moved what is due; and while nothing is late, all is well.
            due_us = schedule.due_us
            if now_us >= self._feed_us:
                self._feed_us = now_us + _FEED_EVERY_US
                self._watchdog.feed()
            self._release(now_us)
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
                self.heap.look()
                if has_work or self.heap.is_dirty:
                    self._quiet_us = 0
                return now_us >= self._quiet_us
            if waveform.limit_us < until_us:  # noqa: PLR1730 - a call costs more than all this
                until_us = waveform.limit_us
        if now_us < self._quiet_us:
            return False
        quiet_us = now_us + _QUIET_US
        for task in self._tasks:
            done = now_us >= task.due_us and task.run(self._hal, now_us, until_us)
            if done:
                self.heap.look()
                return True
            if done is None:
                quiet_us = 0
        self._quiet_us = quiet_us
        return False

    def _wake_us(self, now_us: int, due_us: int) -> int:
        """When the next thing has to be looked at."""
        wake_us = min(due_us, self._release_us, now_us + _NAP_US)
        for waveform in self.waveforms:
            if waveform.due_us < wake_us:  # noqa: PLR1730 - as in _step
                wake_us = waveform.due_us
        if self._link.poll_us:
            wake_us = min(wake_us, now_us + self._link.poll_us)
        return max(wake_us, now_us + 1)

    def _end_block(self, middle_us: int) -> None:
        self.heap.is_dirty = True
        self._quiet_us = 0
        if self._is_on_trial and self._delivery.is_proven:
            # It samples, seals and is heard: what an update can break, it has not broken.
            self._is_on_trial = False
            try:
                self._on_command.confirm()
            except (NodeError, OSError) as error:
                # Given up meanwhile, or not kept: the next start brings the trusted set back.
                self._status.note("update", "not confirmed: %s" % error)
        values = self.sampler.take()
        if self._row is not None:
            self._outgoing.pack(self._row, values, middle_us)

    # --- between samples: each says whether it did something -------------------------------------

    def _release(self, now_us: int) -> None:
        """Let go of outputs whose time is over."""
        if now_us >= self._release_us:
            self.outputs.release(now_us)
            self._plan_release()

    def _plan_release(self) -> None:
        """See when the next output is to be let go, whenever one may have been driven."""
        release_us = self.outputs.due_us()
        self._release_us = NEVER_US if release_us is None else release_us

    def _work_waveforms(self, _now_us: int) -> bool:
        for waveform in self.waveforms:
            was_full = waveform.is_full
            if was_full and self.heap.is_dirty:
                # Its values are to lie close together, and not all over what is free.
                continue
            if waveform.work():
                if waveform.is_full and not was_full:
                    self.heap.is_dirty = True
                return True
        return False

    def _pack_waveforms(self, _now_us: int) -> bool:
        for waveform, row in self._rows:
            if waveform.is_complete:
                self.heap.is_dirty = True
                self._outgoing.pack(row, waveform.take(), waveform.middle_us)
                return True
            piece = waveform.take_captured()
            if piece is not None:
                self.heap.is_dirty = True
                self._outgoing.add(content.RAW_BLOCK, *piece)
                return True
        return False

    def _hear(self, received_us: int) -> bool:
        self._quiet_us = 0
        messages = self._link.receive()
        for message in messages:
            self._downlink.hear(message, received_us)
        if messages:
            self._plan_release()
        return bool(messages)

    def _serve_link(self, now_us: int) -> bool:
        self._link.service(now_us)
        return self._hear(now_us) if self._link.poll_us else False

    def _report(self, now_us: int) -> bool:
        self._outgoing.add(content.STATUS_RECORD, self._status.record(self, now_us))
        self.heap.is_dirty = True
        return True

    def _retry(self, _now_us: int) -> bool:
        return bool(self.sampler.retry())
