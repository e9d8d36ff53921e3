"""What each command does to the node, within the limits of its configuration.

An action takes (arguments, now_us) and returns (result, detail, then): `then` is called once the
answer is on its way, for what would keep the answer from leaving: a new key, a restart.  Rates,
filters and captures last until the next start; keys and updates are on the flash.
"""

import json

from firmware.config import BLOCK_SAMPLES_MAX, PERIOD_US_MAX, PERIOD_US_MIN
from firmware.errors import ConfigError, KeyFileError
from firmware.keyfile import Identity, store
from firmware.manifest import MANIFEST_BYTES_MAX, UpdateError
from wire import commands
from wire.keys import rotated_root

_DONE = (commands.DONE, "", None)


class Actions:
    """The verbs of one node (firmware/app.py)."""

    def __init__(self, hal, node, update) -> None:
        self._hal = hal
        self._node = node
        self._update = update
        self._manifest = bytearray()

    def table(self) -> "dict":
        """The action of each verb."""
        return {
            commands.SET_RATE: self._set_rate,
            commands.SET_FILTER: self._set_filter,
            commands.CAPTURE: self._capture,
            commands.ACTUATE: self._actuate,
            commands.ROTATE_KEY: self._rotate_key,
            commands.UPDATE_BEGIN: self._update_begin,
            commands.UPDATE_DATA: self._update_data,
            commands.UPDATE_FINISH: self._update_finish,
            commands.UPDATE_ABORT: self._update_abort,
            commands.RESTART: self._restart,
        }

    def _set_rate(self, arguments, now_us: int) -> "tuple":
        period_us, block_samples = arguments[0], arguments[1]
        if not PERIOD_US_MIN <= period_us <= PERIOD_US_MAX:
            return _beyond("sample_period_us is %d to %d" % (PERIOD_US_MIN, PERIOD_US_MAX))
        if not 1 <= block_samples <= BLOCK_SAMPLES_MAX:
            return _beyond("block_samples is 1 to %d" % BLOCK_SAMPLES_MAX)
        self._node.set_rate(period_us, block_samples, now_us)
        return _DONE

    def _set_filter(self, arguments, _now_us: int) -> "tuple":
        try:
            self._node.sampler.set_filter(arguments[0], json.loads(arguments[1]))
        except (ConfigError, ValueError) as error:
            return commands.REFUSED, str(error), None
        return _DONE

    def _capture(self, arguments, _now_us: int) -> "tuple":
        refusal = self._node.capture(arguments[0], arguments[1])
        return (commands.REFUSED, refusal, None) if refusal else _DONE

    def _actuate(self, arguments, now_us: int) -> "tuple":
        if self._is_too_late(arguments, now_us):
            return _beyond("too late")
        outputs = self._node.outputs
        index = outputs.index(arguments[0])
        refusal = outputs.refusal(index, arguments[1], arguments[2])
        if refusal is not None:
            return _beyond(refusal)
        outputs.act(index, arguments[1], arguments[2], now_us)
        return _DONE

    def _is_too_late(self, arguments, now_us: int) -> bool:
        """Whether a deadline is over; one of another start, or half of one, always is."""
        boot_id, not_after_us = (arguments.get(key) for key in commands.DEADLINE)
        if boot_id is None and not_after_us is None:
            return False
        if boot_id is None or not_after_us is None:
            return True
        return boot_id != getattr(self._node, "boot_id", None) or now_us > not_after_us

    def _rotate_key(self, arguments, _now_us: int) -> "tuple":
        identity = self._node.identity
        epoch = arguments[0]
        if epoch != identity.epoch + 1:
            return commands.REFUSED, "the next epoch is %d" % (identity.epoch + 1), None
        kid = identity.node.encode()
        root = rotated_root(identity.root, kid, epoch, arguments[1])
        rotated = Identity(identity.node, root, identity.seed, epoch)
        try:
            store(self._hal, rotated)
        except (OSError, KeyFileError):
            return commands.FAILED, "the flash did not take the key", None
        return commands.DONE, "", lambda: self._node.use(rotated)

    def _update_begin(self, arguments, _now_us: int) -> "tuple":
        piece, offset = arguments[0], arguments.get(1, 0)
        size = arguments.get(2, len(piece))
        if offset == 0:
            self._manifest = bytearray()
        held = len(self._manifest)
        if offset != held or held + len(piece) > size or size > MANIFEST_BYTES_MAX:
            return (
                commands.REFUSED,
                "manifest: piece at %d, %d bytes are there" % (offset, held),
                None,
            )
        self._manifest.extend(piece)
        if len(self._manifest) < size:
            return _DONE
        manifest, self._manifest = bytes(self._manifest), bytearray()
        return self._updated(lambda: self._update.begin(manifest))

    def _update_data(self, arguments, _now_us: int) -> "tuple":
        return self._updated(lambda: self._update.write(*(arguments[key] for key in range(3))))

    def _update_finish(self, _arguments, _now_us: int) -> "tuple":
        outcome = self._updated(self._update.finish)
        if outcome[0] == commands.DONE:
            return commands.DONE, "restarting into the update", self._node.restart
        return outcome

    def _update_abort(self, _arguments, _now_us: int) -> "tuple":
        return self._updated(self._update.abort)

    def _restart(self, _arguments, _now_us: int) -> "tuple":
        return commands.DONE, "", self._node.restart

    def _updated(self, step) -> "tuple":
        try:
            step()
        except UpdateError as error:
            return commands.REFUSED, str(error), None
        except OSError as error:
            return commands.FAILED, "flash: errno %s" % (error.args[0] if error.args else "?"), None
        return _DONE


def _beyond(detail: str) -> "tuple":
    return commands.OUT_OF_LIMITS, detail, None
