"""What only commands need, made when the first one comes: most nodes never get any.

Promises: the number of the last command and the state of the update are known all the same, and a
journal that is lost is a problem from the start.  Until somebody commands, the modules of commands,
actions and updates, some 6 KiB on a board, are not in memory, unless an update is on trial.
"""

from firmware.errors import StateError


class OnCommand:
    """The commands of one node and its update; `node` is set once there is one."""

    def __init__(self, hal, vendor_id: str, class_id: str) -> None:
        self._hal = hal
        self._ids = (vendor_id, class_id)
        self._commands = None
        self._actions = None
        self._update = None
        self.node = None
        self.problem = None
        """Why no command is obeyed, as a text, or None."""
        commands = self._made_commands()
        self._last_id = commands.last_id
        update = self._made_update()
        self._state = update.state()
        self._commands = None
        if self._state != "trial":
            # An update on trial is kept: it is to be confirmed.
            self._update = None

    @property
    def last_id(self) -> int:
        """The command begun last, 0 before the first."""
        return self._last_id if self._commands is None else self._commands.last_id

    def state(self) -> str:
        """How the update stands, as firmware/update.py says it."""
        return self._state if self._update is None else self._update.state()

    def confirm(self) -> None:
        """Trust the files on trial from now on."""
        self._made_update().confirm()

    def obey(self, payload, now_us: int) -> "tuple":
        """As firmware/commands.py."""
        return self._made_commands().obey(payload, now_us)

    def get(self, verb: int):
        """The action of a verb, None for one that there is not."""
        if self._actions is None:
            from firmware.actions import Actions

            self._actions = Actions(self._hal, self.node, self._made_update()).table()
        return self._actions.get(verb)

    def _made_commands(self):
        if self._commands is None:
            from firmware.commands import Commands

            commands = self._commands = Commands(self._hal)
            commands.actions = self
            try:
                commands.start()
            except StateError as error:
                commands.refuse_all()
                self.problem = "no command is obeyed: %s" % error
        return self._commands

    def _made_update(self):
        if self._update is None:
            from firmware.update import Update

            self._update = Update(self._hal, *self._ids)
        return self._update
