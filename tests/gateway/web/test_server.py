"""The HTTP server, asked by another library over real sockets: what it gives, what it refuses."""

import asyncio
import http.client
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html.parser import HTMLParser

import pytest

from gateway.clock import ManualClock
from gateway.errors import PortInUseError
from gateway.loss import LossLedger
from gateway.site_web import WebSettings
from gateway.time_answers import read_clocks, read_links
from gateway.time_board import TimeBoard
from gateway.web import server
from gateway.web.server import CONNECTIONS_MAX, WebSink
from tests.gateway.plant import START_NS, verified
from tests.gateway.time_records import NASTY, check, clock, event, link


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str


@dataclass
class Web:
    sink: WebSink
    board: TimeBoard

    @property
    def port(self) -> int:
        return int(self.sink.url.rstrip("/").rpartition(":")[2])

    async def ask(self, path: str, method: str = "GET", host: str = "") -> Answer:
        """Ask with the standard library's client, in a thread of its own."""
        return await asyncio.to_thread(self._ask, path, method, host)

    def _ask(self, path: str, method: str, host: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request(method, path, headers={"Host": host} if host else {})
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read().decode())
        finally:
            connection.close()


@asynccontextmanager
async def serving(*records) -> AsyncIterator[Web]:
    board = TimeBoard("skid", ManualClock(START_NS))
    for record in records:
        board.tell(record)
    sink = WebSink(WebSettings(port=0), board, LossLedger())
    await sink.start()
    try:
        yield Web(sink, board)
    finally:
        await sink.stop()


async def test_it_gives_the_page_the_figures_and_the_metrics() -> None:
    async with serving(clock("a"), link("a"), check("a"), event()) as web:
        page = await web.ask("/")
        assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "skid: time and links" in page.text
        links = await web.ask("/kpi.json")
        assert links.headers["content-type"] == "application/json; charset=utf-8"
        assert read_links(json.loads(links.text)).links == tuple(web.board.links())
        clocks = await web.ask("/clocks.json")
        assert read_clocks(json.loads(clocks.text)).clocks == tuple(web.board.clocks())
        metrics = await web.ask("/metrics")
        assert metrics.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert 'twinrig_communication_service_up{link="serial",source="a"} 1.0' in metrics.text
        health = json.loads((await web.ask("/health")).text)
        assert (health["status"], health["links_up"], health["active_checks"]) == ("ok", 1, 1)


async def test_it_is_a_sink_that_nobody_has_to_feed() -> None:
    async with serving() as web:
        web.sink.put(verified())
        await web.sink.settle()
        await web.sink.drain()
        assert web.sink.workers() == ()
        assert web.sink.endpoints() == {"web": f"http://127.0.0.1:{web.port}/"}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_nothing_can_be_changed(method: str) -> None:
    async with serving() as web:
        assert (await web.ask("/", method)).status == 405


async def test_every_answer_forbids_what_a_page_does_not_need() -> None:
    async with serving() as web:
        for path in ("/", "/metrics", "/kpi.json", "/none", "/../../etc/passwd"):
            answer = await web.ask(path)
            assert answer.status == (200 if path in ("/", "/metrics", "/kpi.json") else 404)
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["server"] == "twinrig"


async def test_on_loopback_it_answers_to_names_of_this_machine_only() -> None:
    async with serving() as web:
        for host in (f"127.0.0.1:{web.port}", "localhost", "[::1]:80"):
            assert (await web.ask("/kpi.json", host=host)).status == 200
        for host in ("evil.example", f"evil.example:{web.port}", "192.168.1.1", "[::2]"):
            assert (await web.ask("/kpi.json", host=host)).status == 421


async def test_a_taken_port_is_told() -> None:
    async with serving() as web:
        second = WebSink(WebSettings(port=web.port), web.board, LossLedger())
        with pytest.raises(PortInUseError, match="is in use"):
            await second.start()
        await second.stop()


async def test_connections_are_bounded_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_SWEEP_S", 0.01)
    monkeypatch.setattr(server, "CONNECTION_S", 0.05)
    async with serving() as web:
        idle = [
            await asyncio.open_connection("127.0.0.1", web.port) for _ in range(CONNECTIONS_MAX + 3)
        ]
        # Those that found no room end at once, those that say nothing when their time is over.
        ended = [await reader.read() for reader, _ in idle]
        assert ended == [b""] * len(idle)
        for _, writer in idle:
            writer.close()
        assert (await web.ask("/health")).status == 200


@pytest.mark.parametrize(
    "said",
    [
        b"\x00\xff\xfe\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: 1\r\n" * 500 + b"\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
    ],
)
async def test_what_is_no_request_concerns_its_sender_alone(said: bytes) -> None:
    async with serving() as web:
        reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
        writer.write(said)
        status = await reader.readline()
        assert status == b"" or status.split()[1] == b"400"
        writer.close()
        assert (await web.ask("/health")).status == 200


async def test_a_stop_ends_clients_that_stay() -> None:
    async with serving() as web:
        with socket.create_connection(("127.0.0.1", web.port)) as stays:
            stays.setblocking(False)
            await web.ask("/health")
            await web.sink.stop()
            loop = asyncio.get_running_loop()
            assert await loop.sock_recv(stays, 1) == b""


class _Tags(HTMLParser):
    """Notes every tag, to see what a page really holds."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))


async def test_no_word_from_outside_becomes_a_tag() -> None:
    nasty = (
        clock("a", text=NASTY),
        check("a", text=NASTY, signal=NASTY),
        link("a", link=NASTY),
    )
    async with serving(*nasty) as web:
        page = (await web.ask("/")).text
        parser = _Tags()
        parser.feed(page)
        names = {tag for tag, _ in parser.tags}
        assert names.isdisjoint({"script", "img", "link", "iframe", "object", "form"})
        assert page.count("&lt;script&gt;") >= 4
        assert not any("src" in attributes or "href" in attributes for _, attributes in parser.tags)
        metrics = (await web.ask("/metrics")).text
        assert '\\"' in metrics
