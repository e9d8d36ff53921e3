"""What a start does: sample -> filter -> pack -> seal -> spool -> link, put together once.

Order of `assemble`: configuration, outputs to their safe level, keys, counters, what is held in
memory from large to small, spool, boot record, slow chips.  A node without a key or without
counters does not run, since it could seal nothing; if anything else is missing or wrong, a chip, a
channel, the whole configuration, the rest runs, and the status record says what does not.

Nothing here is needed later: app.py forgets this file, so nothing that stays may refer to it.
"""

from firmware.app import CONFIG_FILE, FIRMWARE_VERSION, VENDOR_ID
from firmware.errors import ConfigError

_LINKS = {
    "serial": ("firmware.link", "SerialLink"),
    "rig": ("firmware.link", "SerialLink"),
    "mqtt": ("firmware.mqtt_link", "MqttLink"),
    "modbus_rtu": ("firmware.modbus_server", "ModbusLink"),
}

_UNCERTAIN_BLOCKS = 16
"""Of numbers: each start that died early skipped one of which nobody knows what it was used for."""


def assemble(hal):
    """A node on the board `hal`, announced in a boot record; its fast chips are not started.

    Raises KeyFileError or StateError: a node that cannot seal or count does not run.
    """
    from firmware.outputs import Outputs

    digest, settings, problems = _provisioned(hal)
    outputs = Outputs(hal, settings.outputs)
    outputs.start()
    identity = _identity(hal, settings, problems)
    parts = {"outputs": outputs, "counters": _counters(hal)}
    parts["on_command"] = _on_command(hal, problems)
    parts["waveforms"] = _waveforms(hal, settings.waveforms)
    parts["checkpoints"] = _checkpoints(settings.checkpoint, identity)
    _communicate(hal, settings, identity, parts, problems)
    node = _node(hal, settings, identity, parts)
    _announce(hal, settings, identity, parts, digest)
    parts["sampler"].start()
    return node


def _provisioned(hal) -> "tuple":
    """(SHA-256 of node.json, configuration, problems)."""
    import hashlib

    from firmware import config

    try:
        # Read into one buffer: a long configuration is the largest object of a start.
        text = bytearray(max(hal.file_size(CONFIG_FILE), 0))
        hal.read_file_at(CONFIG_FILE, 0, text)
    except OSError as error:
        code = error.args[0] if error.args else "?"
        what = "%s cannot be read (errno %s): provision the node" % (CONFIG_FILE, code)
        return (hashlib.sha256(b"").digest(),) + config.nothing_configured(what)
    return (hashlib.sha256(text).digest(),) + config.parse(text)


def _identity(hal, settings, problems):
    """The node's name and keys."""
    from firmware import keyfile

    identity = keyfile.load(hal)
    if settings.node != identity.node:
        problems.append("node.json is for %r, node.key for %r" % (settings.node, identity.node))
    return identity


def _counters(hal):
    from firmware.counters import Counters

    counters = Counters(hal)
    counters.start()
    return counters


def _on_command(hal, problems):
    from firmware.on_command import OnCommand

    on_command = OnCommand(hal, VENDOR_ID, getattr(hal, "BOARD", ""))
    if on_command.problem is not None:
        problems.append(on_command.problem)
    return on_command


def _waveforms(hal, tables) -> "list":
    """The fast chips; their modules take memory only where there is one."""
    if not tables:
        return []
    from firmware.waveform import Waveform

    waveforms = [Waveform(table, hal) for table in tables]
    # The tables were several KiB, and whoever has the settings has them.
    del tables[:]
    return waveforms


def _checkpoints(table, identity):
    """What signs, or None; its modules take memory only where they are used."""
    if not table["every_frames"]:
        return None
    from firmware.checkpoint import Checkpoints

    kid = identity.node.encode()
    return Checkpoints(kid, identity.seed, table["every_frames"], table["every_s"] * 1000000)


def _communicate(hal, settings, identity, parts, problems) -> None:
    """Everything between a payload and the line, both ways."""
    from firmware import keyfile
    from firmware.delivery import Delivery
    from firmware.downlink import Downlink
    from firmware.heap import Heap
    from firmware.outgoing import Outgoing
    from firmware.sealing import Sealing
    from firmware.spool import Spool
    from firmware.status import Status
    from firmware.uplink import Uplink

    counters = parts["counters"]
    link = parts["link"] = _link(hal, settings, identity, problems)
    sealing = Sealing(identity, counters, hal.ticks_us, parts["checkpoints"])
    uplink = parts["uplink"] = Uplink(sealing, link, counters, hal.ticks_us)
    sizes = settings.spool
    spool = parts["spool"] = Spool(
        hal, sizes["segments"], sizes["segment_bytes"], uplink.declare, sizes["behind_bytes"]
    )
    delivery = parts["delivery"] = uplink.delivery = Delivery(spool, link, settings.receipts)
    outgoing = parts["outgoing"] = Outgoing(uplink, link, hal.ticks_us)
    heap = parts["heap"] = Heap()
    parts["signing"] = None
    if parts["checkpoints"] is not None:
        from firmware.signing import Signing

        parts["signing"] = Signing(parts["checkpoints"], uplink, outgoing, heap)
    on_command = parts["on_command"]
    previous = keyfile.previous(hal, identity)
    answer = outgoing.answer
    parts["downlink"] = Downlink(identity, counters, on_command, delivery, answer, previous)
    parts["status"] = uplink.status = Status(problems, parts)


def _node(hal, settings, identity, parts):
    from firmware.node import Node
    from firmware.schedule import Schedule

    if settings.channels:
        from firmware.sampling import Sampler
    else:
        from firmware.schedule import NoChannels as Sampler
    parts["schedule"] = Schedule(settings.sample_period_us, settings.block_samples)
    parts["sampler"] = Sampler(settings.channels, hal)
    node = Node(hal, settings, identity, parts)
    parts["on_command"].node = node
    return node


def _announce(hal, settings, identity, parts, digest: bytes) -> None:
    """Declare what the last boot may have left unsaid, then say who has started."""
    from firmware import measured
    from firmware.counters import RESERVED_BLOCK
    from wire.measurement import files_sha256

    counters = parts["counters"]
    parts["spool"].start(counters.sequence_start, _UNCERTAIN_BLOCKS * RESERVED_BLOCK)
    parts["delivery"].start(counters.sequence_start)
    entries = measured.measure(hal)
    parts["uplink"].send_boot(
        {
            "firmware": FIRMWARE_VERSION,
            "interpreter": hal.identity()[:64],
            "reset_cause": hal.reset_cause(),
            "boot_reason": parts["on_command"].state(),
            "unique_id": hal.unique_id(),
            "sample_period_us": settings.sample_period_us,
            "block_samples": settings.block_samples,
            "sequence_start": counters.sequence_start,
            "files_sha256": files_sha256(entries),
            "public_key": b"" if parts["checkpoints"] is None else parts["checkpoints"].public_key,
            "key_epoch": identity.epoch,
            "config_sha256": digest,
        },
        entries,
    )


def _link(hal, settings, identity, problems):
    """The link that the configuration names; a serial line when it names none that is here."""
    kind = settings.link["kind"]
    if kind in _LINKS:
        name, attribute = _LINKS[kind]
        try:
            module = __import__(name, None, None, (attribute,))
            return getattr(module, attribute)(hal, settings.link, identity)
        except (ConfigError, ImportError) as error:
            what = str(error)
    else:
        what = "link.kind: %r is none of %s" % (kind, ", ".join(sorted(_LINKS)))
    problems.append("the serial line is used: node.json: %s" % what)
    from firmware.link import SerialLink

    return SerialLink(hal, {}, identity)
