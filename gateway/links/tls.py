"""TLS towards a broker: verified by a named CA, and no socket left behind by a failed handshake."""

import ssl
from pathlib import Path


class _TidySocket(ssl.SSLSocket):
    """Closes itself when the handshake fails: the MQTT library forgets it then."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def client_context(ca_file: Path) -> ssl.SSLContext:
    """Return a context that verifies the server's name and certificate by the CA in a file.

    Raises `OSError` when the file cannot be read or holds no certificate.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.sslsocket_class = _TidySocket
    return context
