"""How the node is, for its status record: counters, and every problem it knows of, in words.

Promises: a problem stays in the record until it is gone, the newest word on each matter; a node
without a problem says so with an empty list.
"""

from wire.status import encode_status


class Status:
    """Collects what the parts of a node say of themselves."""

    def __init__(self, problems, parts) -> None:
        self._standing = list(problems)
        self._noted = {}
        self._parts = parts

    def note(self, matter: str, what) -> None:
        """Keep `what` as the newest word on `matter`; None: the matter is settled."""
        if what is not None:
            self._noted[matter] = "%s: %s" % (matter, what)
        elif matter in self._noted:
            del self._noted[matter]

    def problems(self) -> "list":
        """Every problem there is now, each once, the most basic first."""
        found = self._standing + list(self._noted.values()) + self._parts["sampler"].problems()
        for waveform in self._parts["waveforms"]:
            found += waveform.problems()
        link = self._parts["link"]
        errors = self._parts["spool"].flash_errors
        if errors:
            found.append("flash: %d operations of the spool were refused" % errors)
        if link.state != "up":
            found.append("link: " + link.state)
        return [what for index, what in enumerate(found) if what not in found[:index]]

    def record(self, node, now_us: int) -> bytes:
        """The payload of a status record."""
        parts = self._parts
        spool, schedule = parts["spool"], parts["schedule"]
        fields = {
            "uptime_us": now_us,
            "samples": schedule.samples,
            "overruns": schedule.overruns,
            "jitter_max_us": schedule.take_jitter_us(),
            "spool_frames": spool.frames,
            "spool_dropped": spool.dropped,
            "spool_bytes": spool.bytes,
            "rejected": sum(parts["downlink"].rejected.values()),
            "link_restarts": parts["link"].restarts,
            "command_id": parts["on_command"].last_id,
            "update_state": parts["on_command"].state(),
            "key_epoch": node.identity.epoch,
            "problems": self.problems(),
        }
        if node.heap.free_bytes is not None:
            fields["free_bytes"] = node.heap.free_bytes
        return encode_status(fields)
