"""The node put together: sample -> filter -> pack -> seal -> spool -> link.

Order of `bring_up`: configuration, outputs to their safe level, keys, counters, chips, spool, boot
record.  A node without a key or without counters does not run, since it could seal nothing; if
anything else is missing or wrong, a chip, a channel, the whole configuration, the rest runs, and
the status record says what does not.
"""

import gc
import hashlib

from firmware import config, keyfile, measured
from firmware.actions import Actions
from firmware.commands import Commands
from firmware.counters import Counters
from firmware.delivery import Delivery
from firmware.downlink import Downlink
from firmware.errors import ConfigError, StateError
from firmware.link import SerialLink
from firmware.node import Node
from firmware.outputs import Outputs
from firmware.sampling import Sampler
from firmware.schedule import Schedule
from firmware.sealing import Sealing
from firmware.spool import Spool
from firmware.status import Status
from firmware.update import Update
from firmware.uplink import Uplink
from wire.measurement import files_sha256

CONFIG_FILE = "node.json"
FIRMWARE_VERSION = "0.2.0"
VENDOR_ID = "twinrig"
_LINKS = {
    "serial": ("firmware.link", "SerialLink"),
    "rig": ("firmware.link", "SerialLink"),
    "mqtt": ("firmware.mqtt_link", "MqttLink"),
    "modbus_rtu": ("firmware.modbus_server", "ModbusLink"),
}


def bring_up(hal) -> Node:
    """A node on the board `hal`, in the order that the module states, announced in a boot record.

    Raises KeyFileError or StateError: a node that cannot seal or count does not run.
    """
    text, settings, problems = _provisioned(hal)
    outputs = Outputs(hal, settings.outputs)
    outputs.start()
    identity = keyfile.load(hal)
    if settings.node != identity.node:
        problems.append("node.json is for %r, node.key for %r" % (settings.node, identity.node))
    counters = Counters(hal)
    counters.start()
    parts = {
        "outputs": outputs,
        "schedule": Schedule(settings.sample_period_us, settings.block_samples),
        "sampler": Sampler(settings.channels, hal),
        "waveforms": _waveforms(hal, settings.waveforms),
        "update": Update(hal, VENDOR_ID, hal.BOARD),
    }
    _communicate(hal, settings, identity, counters, parts, problems)
    node = Node(hal, settings, identity, parts)
    parts["commands"].actions = Actions(hal, node, parts["update"]).table()
    parts["sampler"].start()
    for waveform in parts["waveforms"]:
        waveform.start()
    # What was needed for the start alone would otherwise lie between what stays.
    gc.collect()
    _announce(hal, settings, identity, counters, parts, text)
    gc.collect()
    return node


def _communicate(hal, settings, identity, counters, parts, problems) -> None:
    """Everything between a payload and the line, both ways."""
    checkpoints = _checkpoints(settings.checkpoint, identity)
    link = _link(hal, settings, identity, problems)
    sealing = Sealing(identity, counters, hal.ticks_us, checkpoints)
    uplink = Uplink(sealing, link, counters, hal.ticks_us)
    spool = Spool(
        hal,
        settings.spool["segments"],
        settings.spool["segment_bytes"],
        uplink.declare,
        settings.spool["behind_bytes"],
    )
    delivery = uplink.delivery = Delivery(spool, link, settings.receipts)
    commands = Commands(hal)
    try:
        commands.start()
    except StateError as error:
        commands.refuse_all()
        problems.append("no command is obeyed: %s" % error)
    parts["link"] = link
    parts["spool"] = spool
    parts["checkpoints"] = checkpoints
    parts["uplink"] = uplink
    parts["delivery"] = delivery
    parts["commands"] = commands
    parts["downlink"] = Downlink(identity, counters, commands, delivery, uplink.answer)
    parts["status"] = uplink.status = Status(problems, parts)


def _checkpoints(table, identity):
    """What signs, or None; its modules take memory only where they are used."""
    if not table["every_frames"]:
        return None
    from firmware.checkpoint import Checkpoints

    kid = identity.node.encode()
    return Checkpoints(kid, identity.seed, table["every_frames"], table["every_s"] * 1000000)


def _waveforms(hal, tables) -> "list":
    """The fast chips; their modules take memory only where there is one."""
    if not tables:
        return []
    from firmware.waveform import Waveform

    return [Waveform(table, hal) for table in tables]


def _announce(hal, settings, identity, counters, parts, text: bytes) -> None:
    """Declare what the last boot may have left unsaid, then say who has started."""
    uplink, spool = parts["uplink"], parts["spool"]
    spool.start(counters.sequence_start)
    parts["delivery"].start()
    entries = measured.measure(hal)
    uplink.send_boot(
        {
            "firmware": FIRMWARE_VERSION,
            "interpreter": hal.identity()[:64],
            "reset_cause": hal.reset_cause(),
            "boot_reason": parts["update"].state(),
            "unique_id": hal.unique_id(),
            "sample_period_us": settings.sample_period_us,
            "block_samples": settings.block_samples,
            "sequence_start": counters.sequence_start,
            "files_sha256": files_sha256(entries),
            "public_key": b"" if parts["checkpoints"] is None else parts["checkpoints"].public_key,
            "key_epoch": identity.epoch,
            "config_sha256": hashlib.sha256(text).digest(),
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
    return SerialLink(hal, {}, identity)


def _provisioned(hal) -> "tuple":
    """(text of node.json, configuration, problems)."""
    try:
        text = hal.read_file(CONFIG_FILE)
    except OSError as error:
        code = error.args[0] if error.args else "?"
        what = "%s cannot be read (errno %s): provision the node" % (CONFIG_FILE, code)
        return (b"",) + config.nothing_configured(what)
    return (text,) + config.parse(text)
