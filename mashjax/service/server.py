"""The web server around the service: it waits for nobody for ever."""

import asyncio
from collections.abc import Callable

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from mashjax.service.settings import Limits

HEADERS_BYTES = 16 << 10
GRACE = 5  # seconds that answers have to end in when the service does


def make_server(app: Callable, *, limits: Limits) -> uvicorn.Server:
    """What answers, on sockets that its `run` is given, until SIGINT or SIGTERM."""

    class Impatient(H11Protocol):
        """Ends a connection on which no request's headers come to their end; uvicorn waits."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.loop.call_later(limits.header_seconds, self._look, None, True)

        def _look(self, cycle: object, idle: bool) -> None:
            """Look again and again whether anything has changed."""
            now = self.cycle, self.cycle is None or self.cycle.response_complete
            if self.transport.is_closing():
                return
            if idle and now == (cycle, idle):
                self.transport.close()
            else:
                self.loop.call_later(limits.header_seconds, self._look, *now)

    config = uvicorn.Config(
        app,
        http=Impatient,
        loop="asyncio",  # uvloop, where it is, forks to start a job, as threads may not survive
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=limits.connections,
        h11_max_incomplete_event_size=HEADERS_BYTES,
        timeout_graceful_shutdown=GRACE,
    )
    return uvicorn.Server(config)
