"""Errors of the node: what the person who provisioned it has to mend.

NodeError
  ConfigError   node.json is missing, not JSON, or holds a wrong value
  StateError    node.state.a and .b cannot be trusted any more, or not be read
"""


class NodeError(Exception):
    """The node cannot run; the message says what, where and how to mend it."""


class ConfigError(NodeError):
    """The provisioned configuration is wrong."""


class StateError(NodeError):
    """The persisted counters are damaged: going on could repeat a sequence number."""
