"""Errors of the node, by who must act.

NodeError
  KeyFileError  node.key is missing or damaged: provision the node; without it nothing is sealed
  StateError    node.state.a and .b cannot be trusted any more, or not be read
  ConfigError   node.json is missing, not JSON, or holds a wrong value: the rest of it still runs
  UpdateError   an update is refused (manifest.py): whoever sent it has to look at it
"""


class NodeError(Exception):
    """Something in the node is wrong; the message says what, where and how to mend it."""


class KeyFileError(NodeError):
    """The node has no key to seal with."""


class StateError(NodeError):
    """The persisted counters are damaged: going on could repeat a sequence number."""


class ConfigError(NodeError):
    """The provisioned configuration is wrong."""
