"""Serves the page, the JSON and the metrics over HTTP; a sink that nobody feeds.

    /              the page for people              /kpi.json     figures of the links
    /metrics       text format of Prometheus        /clocks.json  clocks and findings
    /health        200 and a few counts while the gateway's loop turns

Promises: GET and HEAD only, nothing can be changed; on loopback unless the site says otherwise, and
there only under a name of this machine, so that no foreign page can read it by a name that it makes
point here; at most `CONNECTIONS_MAX` connections at once, each for `CONNECTION_S` at most,
whatever the other end does. What is shown is asked of the board at each request, so nothing queues.
Left to others: what is known (`time_board.py`), how it reads (`page.py`, `metrics.py`).
"""

import asyncio
import errno
import json
from collections.abc import Coroutine
from typing import Final, final

from aiohttp import web
from aiohttp.typedefs import Handler
from aiohttp.web_protocol import RequestHandler

from gateway.errors import PortInUseError
from gateway.loss import LossLedger
from gateway.records import Record
from gateway.site_rules import is_loopback
from gateway.site_web import WebSettings
from gateway.time_board import TimeBoard
from gateway.web.metrics import Metrics
from gateway.web.page import page

CONNECTIONS_MAX: Final = 32
CONNECTION_S: Final = 60.0
"""A scraper that wants to stay longer connects again."""
_SWEEP_S: Final = 5.0
_STOP_S: Final = 1.0
"""Longest wait for answers under way, at a stop."""
_LINE_BYTES_MAX: Final = 4096
_HEADERS_MAX: Final = 64
_BACKLOG: Final = 16
_METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "Server": "twinrig",
    "X-Content-Type-Options": "nosniff",
}


@final
class WebSink:
    """The HTTP server of a gateway; what it shows is on the board."""

    name = "web"

    def __init__(self, settings: WebSettings, board: TimeBoard, ledger: LossLedger) -> None:
        self._settings = settings
        self._board = board
        self._metrics = Metrics(board, ledger)
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._born: dict[RequestHandler, float] = {}
        """When each connection was first seen, by the loop's time."""
        self._sweeping: asyncio.TimerHandle | None = None
        self.url = ""

    async def start(self) -> None:
        """Listen; raise `PortInUseError` when the port is taken."""
        host, port = self._settings.host, self._settings.port
        self._runner = runner = web.AppRunner(
            self._application(),
            access_log=None,
            shutdown_timeout=_STOP_S,
            keepalive_timeout=CONNECTION_S,
            max_line_size=_LINE_BYTES_MAX,
            max_field_size=_LINE_BYTES_MAX,
            max_headers=_HEADERS_MAX,
            lingering_time=_STOP_S,
        )
        await runner.setup()
        try:
            self._server = await asyncio.get_running_loop().create_server(
                self._admit, host, port, backlog=_BACKLOG
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUseError(host, port, "web page") from error
            raise
        found = self._server.sockets[0].getsockname()[1]
        self._sweep()
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{found}/"

    def workers(self) -> tuple[Coroutine[None, None, None], ...]:
        """Return none: it answers when it is asked."""
        return ()

    async def settle(self) -> None:
        """Return at once: a started server works."""

    def put(self, record: Record) -> None:
        """Ignore the record: the board is told by the gateway."""

    async def drain(self) -> None:
        """Return at once: nothing queues here."""

    async def stop(self) -> None:
        """Close the port and all connections."""
        server, self._server = self._server, None
        runner, self._runner = self._runner, None
        if self._sweeping is not None:
            self._sweeping.cancel()
        if server is not None:
            server.close()
        if runner is not None:
            await runner.cleanup()

    def endpoints(self) -> dict[str, str]:
        """Return where the page is."""
        return {self.name: self.url}

    # --- connections -----------------------------------------------------------------------------

    def _admit(self) -> asyncio.Protocol:
        """Return what serves a new connection, or what closes it when there are too many."""
        server = self._runner.server if self._runner is not None else None
        if server is None or len(server.connections) >= CONNECTIONS_MAX:
            return _Closed()
        return server()

    def _sweep(self) -> None:
        """Close the connections that have lasted too long; call again while the server runs."""
        server = self._runner.server if self._runner is not None else None
        if server is None:
            return
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        self._born = {handler: self._born.get(handler, now_s) for handler in server.connections}
        for handler, born_s in self._born.items():
            if now_s - born_s >= CONNECTION_S:
                handler.force_close()
        self._sweeping = loop.call_later(_SWEEP_S, self._sweep)

    # --- answers ---------------------------------------------------------------------------------

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._guard])
        application.router.add_get("/", self._page)
        application.router.add_get("/metrics", self._scrape)
        application.router.add_get("/kpi.json", self._kpi)
        application.router.add_get("/clocks.json", self._clocks)
        application.router.add_get("/health", self._health)
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse names that are not of this machine; put the headers on every answer."""
        try:
            if is_loopback(self._settings.host) and not is_loopback(_name_in(request.host)):
                raise web.HTTPMisdirectedRequest(text="ask for localhost\n")
            response = await handler(request)
        except web.HTTPException as refused:
            refused.headers.update(_HEADERS)
            raise
        response.headers.update(_HEADERS)
        return response

    async def _page(self, _request: web.Request) -> web.Response:
        return web.Response(text=page(self._board), content_type="text/html")

    async def _scrape(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": _METRICS_TYPE})

    async def _kpi(self, _request: web.Request) -> web.Response:
        return _json(self._board.kpi_answer())

    async def _clocks(self, _request: web.Request) -> web.Response:
        return _json(self._board.clock_answer())

    async def _health(self, _request: web.Request) -> web.Response:
        links = self._board.links()
        up = sum(link.is_up for link in links)
        return _json(
            {
                "status": "ok",
                "site": self._board.site,
                "time_ns": self._board.now_ns(),
                "links_up": up,
                "links_down": len(links) - up,
                "active_checks": len(self._board.active()),
            }
        )


@final
class _Closed(asyncio.Protocol):
    """Closes a connection as soon as it is made."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _json(answer: dict[str, object]) -> web.Response:
    text = json.dumps(answer, allow_nan=False)
    return web.Response(text=text + "\n", content_type="application/json")


def _name_in(host: str) -> str:
    """Return the name in a Host header, without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
