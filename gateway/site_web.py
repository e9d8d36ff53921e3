"""[web] of `site.toml`: the page of clocks and links, and the metrics.

Promises: beyond loopback only when the site says that everybody there may read it, since there is
neither a password nor TLS. Left to others: what is served (`gateway/web/`).
"""

from typing import Self

from pydantic import model_validator

from gateway.site_fields import Host, ListenPort, Table
from gateway.site_rules import is_loopback


class WebSettings(Table):
    """[web] A page for people and metrics for Prometheus; nothing can be changed there."""

    host: Host = "127.0.0.1"
    port: ListenPort = 9464
    """Where a scraper looks for an exporter of metrics by habit; 0 = any free port."""
    allow_unencrypted: bool = False
    """Also beyond loopback, to whoever can reach the port."""

    @model_validator(mode="after")
    def _is_asked_for(self) -> Self:
        if not self.allow_unencrypted and not is_loopback(self.host):
            raise ValueError(
                f"{self.host} is not loopback, and there is neither a password nor TLS; put a "
                "proxy that has both before it, or set allow_unencrypted = true"
            )
        return self
