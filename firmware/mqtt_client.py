"""What is to be known of `umqtt.simple`: how it gets a socket, and what it raises.

It makes its socket itself, without a deadline, and takes TLS in one way or another, by version.
Here it gets the stream that is connected and encrypted already, so any of its versions will do.
"""

_REFUSALS = {
    1: "protocol version",
    2: "client id",
    3: "server unavailable",
    4: "user or password",
    5: "not authorised",
    128: "subscription",
}


def make_client(simple, stream, arguments):
    """An MQTTClient of the module `simple` that talks over `stream`."""
    simple.socket = _Socket(stream)
    return simple.MQTTClient(*arguments)


def errors(simple) -> "tuple":
    """What a call may raise when the other end is gone, is refused, or speaks no MQTT."""
    return (
        OSError,
        ValueError,
        AssertionError,
        IndexError,
        TypeError,
        MemoryError,
        simple.MQTTException,
    )


def reason(simple, error) -> str:
    """What an error says, in words where MQTT has only a number (3.1.1, 3.2.2.3 and 3.9.3)."""
    if isinstance(error, simple.MQTTException):
        code = error.args[0] if error.args else 0
        return "the broker refuses: %s" % _REFUSALS.get(code, "code %s" % code)
    return "%s %s" % (type(error).__name__, str(error).strip())


class _Socket:
    """Stands where umqtt expects the module `socket`."""

    def __init__(self, stream) -> None:
        self._stream = stream

    def socket(self):
        """The stream, which is connected already."""
        return self._stream

    def getaddrinfo(self, _host, _port, *_rest) -> "list":
        """Nowhere else to go."""
        return [(None,)]
