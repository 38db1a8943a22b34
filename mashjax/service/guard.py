"""What stands before the service: who may ask, how much, how long, and what browsers may do.

An ASGI middleware around everything, so that no answer is without its headers.
"""

import asyncio
import hmac
import ipaddress
import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import HTTPException
from starlette.requests import ClientDisconnect

from mashjax.service.settings import Settings, is_loopback

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

SAFE = ("GET", "HEAD", "OPTIONS")
UPLOADS = "/api/uploads"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
"""Of every answer that does not say otherwise."""
FAILED = "something went wrong; the server's log says what"


class Guard:
    """`app`, guarded as `settings` say."""

    def __init__(self, app: Callable, settings: Settings):
        self.app, self.settings = app, settings

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                given = {name.lower() for name, _ in message["headers"]}
                missing = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
                message["headers"] = [
                    *message["headers"],
                    *(pair for pair in missing if pair[0] not in given),
                ]
            await send(message)

        try:
            self._admit(scope)
            await self.app(scope, self._measured(scope, receive), sending)
        except HTTPException as error:
            if not started:
                await _answer(sending, error.status_code, str(error.detail))
        except ClientDisconnect:
            logging.info("%s %s: the client has gone", scope["method"], scope["path"])
        except Exception:
            logging.exception("%s %s failed", scope["method"], scope["path"])
            if not started:
                await _answer(sending, 500, FAILED)

    def _admit(self, scope: Message) -> None:
        """Raise for a request that is not what this service's own page, or a program, sends."""
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        hosts = headers.get("host", [])
        if len(hosts) != 1 or not self._known(hosts[0]):
            raise HTTPException(421, "this host name is not served; start with --names=NAME")
        site = headers.get("sec-fetch-site", ["none"])
        if scope["path"].startswith("/api") and not {*site} <= {"same-origin", "none"}:
            raise HTTPException(403, "asked by another site's page")
        if scope["method"] in SAFE:
            return
        for origin in headers.get("origin", []):
            if origin.partition("://")[2].lower() != hosts[0].lower():
                raise HTTPException(403, "asked by another site's page")
        token = self.settings.token.encode()
        given = headers.get("authorization", [""])[0].encode()
        if token and not hmac.compare_digest(given, b"Bearer " + token):
            raise HTTPException(401, "needs the token that was printed when the service started")

    def _known(self, host: str) -> bool:
        """Whether a Host header names this service. No DNS answer can turn an address, or
        localhost, into another's name; every other name must have been told to us."""
        name = host.lower()
        if name.startswith("["):
            name = name[1:].partition("]")[0]
        else:
            name = name.rpartition(":")[0] if ":" in name else name
        if name in ("localhost", *(n.lower() for n in self.settings.names)):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return is_loopback(name) or not self.settings.loopback

    def _measured(self, scope: Message, receive: Receive) -> Receive:
        """`receive`, as long as the body is neither too large nor too slow."""
        limits = self.settings.limits
        upload = scope["path"] == UPLOADS and scope["method"] == "POST"
        largest = limits.upload_bytes if upload else limits.body_bytes
        seconds = limits.upload_wait if upload else limits.body_seconds
        too_large = HTTPException(413, f"too large: {largest >> 10} KiB are allowed")
        for name, value in scope["headers"]:
            if name.lower() == b"content-length" and int(value) > largest:
                raise too_large
        received, ended = 0, False
        deadline = asyncio.get_running_loop().time() + seconds

        async def measured() -> Message:
            nonlocal received, ended
            if ended:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError as error:
                raise HTTPException(408, f"did not arrive within {seconds:g} s") from error
            received += len(message.get("body", b""))
            if received > largest:
                raise too_large
            ended = not message.get("more_body", False)
            return message

        return measured


async def _answer(send: Send, status: int, detail: str) -> None:
    """A refusal; the connection ends with it, since the body may not have been read."""
    body = json.dumps({"detail": detail}).encode()
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
    }
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
