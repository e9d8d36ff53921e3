"""Certificate, trust list and what a session may do."""

import datetime as dt
import stat
from pathlib import Path

import pytest
from asyncua import ua
from asyncua.crypto.permission_rules import User, UserRole
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.clock import NS_PER_S, ManualClock
from gateway.errors import OperatorError
from gateway.sinks import opcua_identity
from gateway.sinks.opcua_identity import (
    ReadOnly,
    TrustedReaders,
    TrustList,
    own_identity,
    thumbprint,
)

START_S = 1_700_000_000


def client_certificate(name: str, days: int = 10) -> bytes:
    """Return a self-signed DER certificate, valid from START_S for `days`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = dt.datetime.fromtimestamp(START_S, dt.UTC)
    builder = x509.CertificateBuilder(
        subject, subject, key.public_key(), x509.random_serial_number(), start,
        start + dt.timedelta(days=days),
    )  # fmt: skip
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock((START_S + 60) * NS_PER_S)


def test_the_certificate_is_made_once_and_says_who_we_are(tmp_path: Path) -> None:
    first = own_identity(tmp_path, "urn:twinrig:x", "127.0.0.1")
    der = first.certificate_path.read_bytes()
    certificate = x509.load_der_x509_certificate(der)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["urn:twinrig:x"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    use = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(use) == [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    assert certificate.public_key().key_size == 2048
    assert stat.S_IMODE(first.key_path.stat().st_mode) == 0o600
    again = own_identity(tmp_path, "urn:twinrig:x", "127.0.0.1")
    assert again == first
    assert again.certificate_path.read_bytes() == der


def test_a_lost_half_of_the_identity_makes_a_new_whole_one(tmp_path: Path) -> None:
    first = own_identity(tmp_path, "urn:x", "localhost")
    before = first.certificate_path.read_bytes()
    first.key_path.unlink()
    second = own_identity(tmp_path, "urn:x", "localhost")
    assert second.certificate_path.read_bytes() != before
    assert second.key_path.exists()


def test_a_damaged_identity_says_what_to_do(tmp_path: Path) -> None:
    identity = own_identity(tmp_path, "urn:x", "localhost")
    identity.certificate_path.write_bytes(b"nonsense")
    with pytest.raises(OperatorError, match="remove its own/ folder"):
        own_identity(tmp_path, "urn:x", "localhost")


def test_a_stranger_is_kept_for_the_operator_and_trusted_by_one_command(
    tmp_path: Path, clock: ManualClock
) -> None:
    trust, certificate = TrustList(tmp_path, clock), client_certificate("client")
    assert not trust.is_trusted(certificate)
    assert trust.rejected() == []
    path = trust.reject(certificate)
    assert path is not None
    assert trust.rejected() == [thumbprint(certificate)]
    moved = trust.trust(thumbprint(certificate)[:6].upper())
    assert moved.parent.name == "trusted"
    assert trust.rejected() == []
    assert trust.is_trusted(certificate)
    assert not trust.is_trusted(client_certificate("client")), "a namesake is somebody else"


def test_trust_needs_exactly_one_match(tmp_path: Path, clock: ManualClock) -> None:
    trust = TrustList(tmp_path, clock)
    with pytest.raises(OperatorError, match="rejected are: none"):
        trust.trust("")
    for name in ("a", "b"):
        trust.reject(client_certificate(name))
    with pytest.raises(OperatorError, match="2 rejected certificates start with ''"):
        trust.trust("")


def test_trust_ends_with_the_certificate(tmp_path: Path, clock: ManualClock) -> None:
    trust, certificate = TrustList(tmp_path, clock), client_certificate("client", days=1)
    trust.reject(certificate)
    trust.trust("")
    assert trust.is_trusted(certificate)
    clock.advance_to((START_S + 86_400) * NS_PER_S)
    assert trust.is_trusted(certificate)
    clock.advance_to((START_S + 86_401) * NS_PER_S)
    assert not trust.is_trusted(certificate)
    early = TrustList(tmp_path, ManualClock((START_S - 1) * NS_PER_S))
    assert not early.is_trusted(certificate)


def test_strangers_cannot_fill_the_disk(tmp_path: Path, clock: ManualClock, monkeypatch) -> None:
    monkeypatch.setattr(opcua_identity, "_REJECTED_MAX", 3)
    trust = TrustList(tmp_path, clock)
    paths = [trust.reject(bytes([number])) for number in range(5)]
    assert [path is not None for path in paths] == [True, True, True, False, False]
    assert trust.reject(bytes([0])) is not None, "a known one may be seen again"


@pytest.mark.parametrize("allow", [True, False])
def test_who_becomes_a_reader(tmp_path: Path, clock: ManualClock, *, allow: bool) -> None:
    trust, known, stranger = (
        TrustList(tmp_path, clock),
        client_certificate("known"),
        client_certificate("stranger"),
    )
    trust.reject(known)
    trust.trust("")
    readers = TrustedReaders(trust, allow_unencrypted=allow)
    assert readers.get_user(None, certificate=known).role is UserRole.User
    assert readers.get_user(None, certificate=stranger) is None
    assert trust.rejected() == [thumbprint(stranger)]
    for nothing in (None, b""):
        assert (readers.get_user(None, certificate=nothing) is not None) is allow
    assert readers.get_user(None, username="admin", password="", certificate=known) is None


def test_sessions_read_and_nothing_else() -> None:
    rules, user = ReadOnly(), User(role=UserRole.User)

    def may(service: str) -> bool:
        number = getattr(ua.ObjectIds, f"{service}Request_Encoding_DefaultBinary")
        return rules.check_validity(user, ua.NodeId(number), None)

    assert all(may(s) for s in ("Read", "Browse", "CreateSubscription", "Publish"))
    forbidden = ("Write", "Call", "AddNodes", "DeleteNodes", "AddReferences", "DeleteReferences",
                 "HistoryUpdate", "RegisterServer", "RegisterServer2")  # fmt: skip
    assert not any(may(service) for service in forbidden)
    assert not rules.check_validity(
        None, ua.NodeId(ua.ObjectIds.ReadRequest_Encoding_DefaultBinary), None
    )
