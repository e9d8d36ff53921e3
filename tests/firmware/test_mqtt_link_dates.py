"""Certificates have dates and a node has none: what it does about that."""

from pathlib import Path

import pytest
from cryptography import x509

from firmware.mqtt_link import PAUSE_US_MIN, MqttLink
from firmware.mqtt_stream import MqttStream
from firmware.mqtt_tls import Calendar, certificates, span
from tests.firmware.mqtt_bench import IDENTITY, umqtt
from tests.firmware.test_mqtt_link_trouble import SETTINGS, Hal
from tests.gateway.links.test_node_mqtt import make_certificates

__all__ = ["umqtt"]
pytestmark = pytest.mark.usefixtures("umqtt")


def test_the_days_of_a_certificate_are_read(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    (authority,) = certificates((tmp_path / "ca.pem").read_bytes())
    found = x509.load_der_x509_certificate(authority)
    first, last = found.not_valid_before_utc, found.not_valid_after_utc
    assert span(authority) == (
        (first.year, first.month, first.day),
        (last.year, last.month, last.day),
    )
    late = b"\x30\x20\x17\x0d990101000000Z\x18\x0f20500228000000Z"
    assert span(b"abc" + late) == ((1999, 1, 1), (2050, 2, 28))
    with pytest.raises(ValueError, match="no dates"):
        span(b"abc")


class Dated:
    """A board whose calendar stands at `day`."""

    def __init__(self, *day: int) -> None:
        self.day = day
        self.given: list[tuple[int, ...]] = []

    def date(self, day: tuple[int, ...] | None = None) -> tuple[int, ...]:
        if day is not None:
            self.day = day
            self.given.append(day)
        return self.day


AUTHORITY = b"\x30\x1e\x17\x0d251130000000Z\x17\x0d260228000000Z"


def test_a_board_without_a_date_goes_through_the_authoritys_months() -> None:
    hal = Dated(2000, 1, 1)
    calendar = Calendar(hal)
    assert not calendar.later()
    for _ in range(5):
        calendar.prepare(AUTHORITY)
        assert calendar.later()
    months = [(2025, 11, 30), (2025, 12, 28), (2026, 1, 28), (2026, 2, 28), (2025, 11, 30)]
    assert hal.given == months


def test_a_board_with_a_date_keeps_it() -> None:
    hal = Dated(2026, 11, 21)
    calendar = Calendar(hal)
    calendar.prepare(AUTHORITY)
    assert hal.given == []
    assert not calendar.later()
    Calendar(object()).prepare(AUTHORITY)


def test_a_certificate_that_is_not_valid_yet_is_tried_a_month_later_without_a_longer_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_arguments: object) -> None:
        raise ValueError("The certificate validity starts in the future")

    monkeypatch.setattr(MqttStream, "encrypt", refuse)
    monkeypatch.setattr("firmware.mqtt_tls.context", lambda _authority: None)
    hal = Hal()
    dated = Dated(2000, 1, 1)
    hal.date = dated.date  # type: ignore[attr-defined]
    hal.files["ca"] = AUTHORITY
    link = MqttLink(hal, {**SETTINGS, "tls_ca": "ca"}, IDENTITY)
    for _ in range(3):
        hal.now_us = link._due_us
        link._step = link._greet
        link.service(hal.now_us)
        assert link._due_us - hal.now_us < 2 * PAUSE_US_MIN
    assert dated.given == [(2025, 11, 30), (2025, 12, 28), (2026, 1, 28)]
