"""Who the OPC UA server is and whom it believes.

Promises: key and certificate are made once and kept (key readable by nobody else); a client is
believed only if its very certificate lies in `trusted/`; an unknown one is put into `rejected/`,
from where `trust` moves it with one command. There is no automatic trust and no fall-back.
Left to others: the certificate's proof of possession, which the secure channel checks (asyncua).

    <state>/opcua/own/{key.pem,certificate.der}    trusted/*.der    rejected/<thumbprint>.der

Source: OPC 10000-4 6.1, OPC 10000-12 (layout); thumbprint = SHA-1 of the DER, as other tools show.
"""

import hashlib
import ipaddress
import os
import socket
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, final

from asyncua import ua
from asyncua.crypto.cert_gen import (
    dump_private_key_as_pem,
    generate_private_key,
    generate_self_signed_app_certificate,
)
from asyncua.crypto.permission_rules import SimpleRoleRuleset, User, UserRole
from asyncua.server.internal_server import InternalServer
from asyncua.server.user_managers import UserManager
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.clock import NS_PER_S, Clock
from gateway.errors import OperatorError

_VALID_DAYS: Final = 5 * 365
_REJECTED_MAX: Final = 50
"""Files kept in rejected/: a stranger cannot fill the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Files of the server's own key and certificate."""

    key_path: Path
    certificate_path: Path
    expires: str
    """Last day of the certificate, ISO 8601."""


def own_identity(folder: Path, application_uri: str, host: str) -> Identity:
    """Return the kept identity, or make one for this URI and host.

    Raises `OperatorError` when the folder cannot be used or the kept certificate is damaged.
    """
    key_path, certificate_path = folder / "own" / "key.pem", folder / "own" / "certificate.der"
    try:
        if not (key_path.exists() and certificate_path.exists()):
            _make_identity(key_path, certificate_path, application_uri, host)
        certificate = x509.load_der_x509_certificate(certificate_path.read_bytes())
    except (OSError, ValueError) as error:
        raise OperatorError(
            f"{folder}: the server's certificate cannot be used ({error}); make the folder "
            "writable, or remove its own/ folder to have a new certificate made"
        ) from error
    return Identity(
        key_path=key_path,
        certificate_path=certificate_path,
        expires=certificate.not_valid_after_utc.date().isoformat(),
    )


def _make_identity(key_path: Path, certificate_path: Path, uri: str, host: str) -> None:
    """Write a fresh RSA-2048 key and a self-signed certificate for it; the key file comes last."""
    key = generate_private_key()
    names: list[x509.GeneralName] = [
        x509.UniformResourceIdentifier(uri),
        x509.DNSName(socket.gethostname()),
    ]
    try:
        names.append(x509.IPAddress(ipaddress.ip_address(host)))
    except ValueError:
        names.append(x509.DNSName(host))
    # The same kind of certificate serves the client of the gateway's own OPC UA links.
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    certificate = generate_self_signed_app_certificate(
        key, uri, {"organizationName": "Twinrig"}, names, uses, days=_VALID_DAYS
    )
    key_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    certificate_path.write_bytes(certificate.public_bytes(Encoding.DER))
    key_path.unlink(missing_ok=True)
    descriptor = os.open(key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(dump_private_key_as_pem(key))


def thumbprint(certificate: bytes) -> str:
    """Return the SHA-1 thumbprint of a DER certificate, by which people compare certificates."""
    return hashlib.sha1(certificate, usedforsecurity=False).hexdigest()


@final
class TrustList:
    """The client certificates an operator has accepted, as files in `<folder>/trusted`.

    `clock` tells real time: certificates are made in it, whatever time a rig plays.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._trusted = folder / "trusted"
        self._rejected = folder / "rejected"
        self._clock = clock

    def is_trusted(self, certificate: bytes) -> bool:
        """Tell whether exactly this DER certificate is trusted and valid now.

        The folder is read every time, so trust given or taken away works at the next connection.
        """
        files = self._trusted.glob("*.der") if self._trusted.is_dir() else ()
        return any(file.read_bytes() == certificate for file in files) and self._is_valid(
            certificate
        )

    def reject(self, certificate: bytes) -> Path | None:
        """Keep an unknown certificate for the operator to see; None when there are too many."""
        self._rejected.mkdir(parents=True, exist_ok=True)
        path = self._rejected / f"{thumbprint(certificate)}.der"
        if not path.exists() and len(list(self._rejected.iterdir())) >= _REJECTED_MAX:
            return None
        path.write_bytes(certificate)
        return path

    def rejected(self) -> list[str]:
        """Return the thumbprints of the rejected certificates."""
        if not self._rejected.is_dir():
            return []
        return sorted(file.stem for file in self._rejected.glob("*.der"))

    def trust(self, thumbprint_start: str) -> Path:
        """Trust the rejected certificate whose thumbprint starts like this.

        Raises `OperatorError` unless exactly one does.
        """
        found = [stem for stem in self.rejected() if stem.startswith(thumbprint_start.lower())]
        if len(found) != 1:
            waiting = ", ".join(self.rejected()) or "none"
            raise OperatorError(
                f"{len(found)} rejected certificates start with {thumbprint_start!r}; rejected "
                f"are: {waiting}"
            )
        self._trusted.mkdir(parents=True, exist_ok=True)
        source = self._rejected / f"{found[0]}.der"
        return source.rename(self._trusted / source.name)

    def _is_valid(self, certificate: bytes) -> bool:
        """Tell whether the certificate's dates include today, by the clock of the list."""
        parsed = x509.load_der_x509_certificate(certificate)
        age = self._clock.now_ns() // NS_PER_S - int(parsed.not_valid_before_utc.timestamp())
        lifetime: timedelta = parsed.not_valid_after_utc - parsed.not_valid_before_utc
        return 0 <= age <= lifetime.total_seconds()


@final
class TrustedReaders(UserManager):
    """The one gate: decides at ActivateSession, by the certificate of the secure channel itself.

    asyncua's certificate validator is no gate: it looks at the certificate a client *states* in
    CreateSession, may state another's, or may leave out; and asyncua accepts a channel without
    security even when no such endpoint is offered. What arrives here is the channel's own
    certificate, or None when the channel has no security.
    """

    def __init__(self, trust: TrustList, *, allow_unencrypted: bool) -> None:
        self._trust = trust
        self._allow_unencrypted = allow_unencrypted

    def get_user(
        self,
        iserver: InternalServer,  # noqa: ARG002
        username: str | None = None,
        password: str | None = None,  # noqa: ARG002
        certificate: bytes | None = None,
    ) -> User | None:
        """Return a reading user for a trusted client, None (access denied) for anybody else."""
        if username is not None:
            return None
        if not certificate:
            return User(role=UserRole.User) if self._allow_unencrypted else None
        if self._trust.is_trusted(certificate):
            return User(role=UserRole.User, name=thumbprint(certificate))
        self._trust.reject(certificate)
        return None


_READING: Final = frozenset(
    ua.NodeId(getattr(ua.ObjectIds, f"{service}Request_Encoding_DefaultBinary"))
    for service in (
        "Read", "Browse", "BrowseNext", "TranslateBrowsePathsToNodeIds", "RegisterNodes",
        "UnregisterNodes", "CreateSubscription", "ModifySubscription", "DeleteSubscriptions",
        "TransferSubscriptions", "CreateMonitoredItems", "ModifyMonitoredItems",
        "DeleteMonitoredItems", "SetMonitoringMode", "SetPublishingMode", "Publish", "Republish",
        "CloseSecureChannel",
    )
)  # fmt: skip


@final
class ReadOnly(SimpleRoleRuleset):
    """Services that only read; Write, Call and all changes of the address space are refused."""

    def __init__(self) -> None:
        """Leave out the table of the parent: this rule set has its own."""

    def check_validity(self, user: User, action_type_id: ua.NodeId, body: object) -> bool:  # noqa: ARG002
        """Tell whether a session may use this service."""
        return user is not None and action_type_id in _READING
