"""What only commands need, made when the first one comes: most nodes never get any.

Promises: `state` is that of the node's update all the same; until somebody commands, the modules of
actions and updates (some 4 KiB on a board) are not in memory, unless an update is on trial.
"""


class OnCommand:
    """The actions of one node, by `get`, and its update; `node` is set once there is one."""

    def __init__(self, hal, vendor_id: str, class_id: str) -> None:
        self._hal = hal
        self._ids = (vendor_id, class_id)
        self._update = None
        self._actions = None
        self.node = None
        # An update on trial is kept: it is to be confirmed.
        update = self._made()
        self._state = update.state()
        if self._state != "trial":
            self._update = None

    def state(self) -> str:
        """How the update stands, as firmware/update.py says it."""
        return self._state if self._update is None else self._update.state()

    def confirm(self) -> None:
        """Trust the files on trial from now on."""
        self._made().confirm()

    def get(self, verb: int):
        """The action of a verb, None for one that there is not."""
        if self._actions is None:
            from firmware.actions import Actions

            self._actions = Actions(self._hal, self.node, self._made()).table()
        return self._actions.get(verb)

    def _made(self):
        if self._update is None:
            from firmware.update import Update

            self._update = Update(self._hal, *self._ids)
        return self._update
