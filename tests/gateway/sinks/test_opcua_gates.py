"""Who cannot do what on the OPC UA server: each test fails without the gate it is about."""

from pathlib import Path

import pytest
from asyncua import Client, ua
from asyncua.crypto.cert_gen import (
    dump_private_key_as_pem,
    generate_private_key,
    generate_self_signed_app_certificate,
)
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.clock import SystemClock
from gateway.sinks.opcua_identity import TrustList
from tests.gateway.plant import aligned
from tests.gateway.sinks.opcua_server import node, serving, value

pytestmark = pytest.mark.slow
"""asyncua builds its standard address space for more than a second."""


async def test_nobody_writes_calls_or_changes_the_address_space(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, served.client() as client:
        served.sink.put(aligned(value=0.001))
        await served.sink.drain()
        flow = await node(client, "pump/a:flow")
        refused = (ua.uaerrors.BadUserAccessDenied,)
        with pytest.raises(refused):
            await flow.write_value(9.0, ua.VariantType.Double)
        with pytest.raises(refused):
            await flow.write_attribute(
                ua.AttributeIds.AccessLevel, ua.DataValue(ua.Variant(3, ua.VariantType.Byte))
            )
        with pytest.raises(refused):
            await client.nodes.objects.add_variable(2, "mine", 1.0)
        with pytest.raises(refused):
            await client.delete_nodes([flow])
        with pytest.raises(refused):
            await client.nodes.server.call_method("0:GetMonitoredItems", ua.Variant(1))
        assert await value(client, "pump/a:flow") == 0.001
        level = await flow.get_access_level()
        assert level == {ua.AccessLevel.CurrentRead}


async def test_a_name_or_password_is_no_way_in(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        client = Client(served.sink.url)
        client.set_user("admin")
        client.set_password("")
        with pytest.raises(ua.uaerrors.UaStatusCodeError):
            await client.connect()


async def test_without_the_flag_there_is_no_way_in_without_encryption(
    tmp_path: Path, monkeypatch
) -> None:
    async with serving(tmp_path, allow_unencrypted_loopback=False) as served:
        client = Client(served.sink.url)
        endpoints = await client.connect_and_get_server_endpoints()
        assert [(e.SecurityMode, e.SecurityPolicyUri.split("#")[1]) for e in endpoints] == [
            (ua.MessageSecurityMode.SignAndEncrypt, "Basic256Sha256")
        ]
        tokens = {token.TokenType for e in endpoints for token in e.UserIdentityTokens}
        assert tokens == {ua.UserTokenType.Anonymous}, "no password, no user certificate"
        # A rude client opens a session without encryption although no endpoint offers that.
        monkeypatch.setattr(Client, "find_endpoint", staticmethod(lambda found, *_: found[0]))
        with pytest.raises(ua.uaerrors.BadUserAccessDenied):
            await Client(served.sink.url).connect()
        await _try_without_session(served.sink.url)


async def _try_without_session(url: str) -> None:
    """Use a bare channel without encryption, as discovery may: it must get nowhere."""
    client = Client(url)
    await client.connect_socket()
    try:
        await client.send_hello()
        await client.open_secure_channel()
        with pytest.raises(ua.uaerrors.UaStatusCodeError):
            await client.uaclient.register_server(ua.RegisteredServer())
        with pytest.raises(ua.uaerrors.UaStatusCodeError):
            await client.nodes.namespace_array.read_value()
        await client.close_secure_channel()
    finally:
        client.disconnect_socket()


def _written(path: Path, content: bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


async def secure_client(url: str, folder: Path, name: str) -> Client:
    """Return a client with a certificate of its own."""
    key = generate_private_key()
    uri = f"urn:test:{name}"
    certificate = generate_self_signed_app_certificate(
        key, name, {}, [x509.UniformResourceIdentifier(uri)], [ExtendedKeyUsageOID.CLIENT_AUTH]
    )
    key_path = _written(folder / f"{name}.pem", dump_private_key_as_pem(key))
    certificate_path = _written(folder / f"{name}.der", certificate.public_bytes(Encoding.DER))
    client = Client(url, timeout=10)
    client.application_uri = uri
    await client.set_security(
        SecurityPolicyBasic256Sha256, certificate_path, key_path,
        mode=ua.MessageSecurityMode.SignAndEncrypt,
    )  # fmt: skip
    return client


async def test_a_client_reads_after_the_operator_has_trusted_it(tmp_path: Path) -> None:
    async with serving(tmp_path, clock=SystemClock(), allow_unencrypted_loopback=False) as served:
        served.sink.put(aligned(value=0.001))
        await served.sink.drain()
        client = await secure_client(served.sink.url, tmp_path / "clients", "friend")
        with pytest.raises(ua.uaerrors.BadUserAccessDenied):
            await client.connect()
        trust = TrustList(served.folder, SystemClock())
        trust.trust("")
        async with client:
            assert await value(client, "pump/a:flow") == 0.001
            with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                await (await node(client, "pump/a:flow")).write_value(9.0)


async def test_a_certificate_of_today_is_valid_while_a_rig_plays_another_year(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path, allow_unencrypted_loopback=False) as served:
        served.sink.put(aligned(value=0.001))
        await served.sink.drain()
        client = await secure_client(served.sink.url, tmp_path / "clients", "friend")
        with pytest.raises(ua.uaerrors.BadUserAccessDenied):
            await client.connect()
        TrustList(served.folder, SystemClock()).trust("")
        async with client:
            assert await value(client, "pump/a:flow") == 0.001


async def test_stating_the_certificate_of_a_trusted_client_is_no_way_in(tmp_path: Path) -> None:
    """A thief has the certificate (it is public) but not its key."""
    async with serving(tmp_path, clock=SystemClock(), allow_unencrypted_loopback=False) as served:
        friend = await secure_client(served.sink.url, tmp_path / "clients", "friend")
        with pytest.raises(ua.uaerrors.BadUserAccessDenied):
            await friend.connect()
        TrustList(served.folder, SystemClock()).trust("")
        thief = await secure_client(served.sink.url, tmp_path / "clients", "thief")
        stated = (tmp_path / "clients" / "friend.der").read_bytes()
        original = thief.uaclient.create_session

        async def lie(parameters):
            parameters.ClientCertificate = stated
            return await original(parameters)

        thief.uaclient.create_session = lie
        with pytest.raises(ua.uaerrors.UaStatusCodeError):
            await thief.connect()


async def test_taking_over_a_session_by_its_number_is_no_way_in(tmp_path: Path) -> None:
    """Session tokens of asyncua are consecutive numbers, so a thief can name any."""
    async with serving(tmp_path, clock=SystemClock(), allow_unencrypted_loopback=False) as served:
        served.sink.put(aligned(value=0.001))
        await served.sink.drain()
        friend = await secure_client(served.sink.url, tmp_path / "clients", "friend")
        with pytest.raises(ua.uaerrors.BadUserAccessDenied):
            await friend.connect()
        TrustList(served.folder, SystemClock()).trust("")
        async with friend:
            index = await friend.get_namespace_index("urn:twinrig:skid")
            thief = Client(served.sink.url)
            await thief.connect_socket()
            try:
                await thief.send_hello()
                await thief.open_secure_channel()
                token = friend.uaclient.protocol.authentication_token
                thief.uaclient.protocol.authentication_token = token
                with pytest.raises(ua.uaerrors.UaStatusCodeError):
                    await thief.uaclient.activate_session(ua.ActivateSessionParameters())
                with pytest.raises(ua.uaerrors.UaStatusCodeError):
                    await thief.get_node(ua.NodeId("pump/a:flow", index)).read_value()
            finally:
                thief.disconnect_socket()
            assert await value(friend, "pump/a:flow") == 0.001, "the friend is not disturbed"
