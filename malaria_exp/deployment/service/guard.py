"""What every request passes before it reaches the service, and every answer on its way back: host, token, counting, headers."""

import hmac
import json
import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from malaria_exp.deployment.service.metrics import Metrics

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# These need the token, if there is one. The page and the two signs of life do not.
GUARDED = ("/predict", "/together", "/explain", "/model", "/metrics")
OPEN = ("/", "/health", "/ready", "/openapi.json")
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}
ENCODED = [(name.encode(), value.encode()) for name, value in HEADERS.items()]


class Guard:
    """Wraps the service.

    Args:
        app: the service.
        token: that requests to `GUARDED` have to bring; None lets all through.
        hosts: names under which it may be asked for; None for any. A web page that has its own name point to this machine
            (DNS rebinding) is refused by it.
        metrics: in which requests are counted.
    """

    def __init__(self, app: "ASGIApp", token: str | None, hosts: Collection[str] | None, metrics: Metrics) -> None:
        self._app, self._hosts, self._metrics = app, hosts, metrics
        self._expected = None if token is None else f"Bearer {token}".encode()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Handles a request, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, path = time.perf_counter(), scope["path"]
        status = 500

        async def sent(message: "Message") -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *ENCODED]
            await send(message)

        try:
            refused = self._refusal(scope, dict(scope["headers"]))
            if refused:
                await _answer(*refused, sent)
            else:
                await self._app(scope, receive, sent)
        finally:
            # Any other path is one label, so that nobody can fill the memory with paths.
            label = path if path in (*GUARDED, *OPEN) else "/static" if path.startswith("/static/") else "other"
            self._metrics.requests.labels(label, str(status)).inc()
            self._metrics.seconds.labels(label).observe(time.perf_counter() - start)

    def _refusal(self, scope: "Scope", headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        if self._hosts is not None and _host(headers.get(b"host", b"")) not in self._hosts:
            return 421, "This service is for this machine alone; ask for it as localhost or 127.0.0.1, or start it with task.host=..."
        if scope["method"] == "POST" and headers.get(b"sec-fetch-site") == b"cross-site":
            return 403, "Pages of other sites may not use this service."
        if self._expected is not None and scope["path"] in GUARDED:
            given = headers.get(b"authorization", b"")
            # Takes the same time wherever the first difference is.
            if not hmac.compare_digest(given, self._expected):
                return 401, "This service needs its token: Authorization: Bearer ..."
        return None


def _host(header: bytes) -> str:
    """Returns the name in a Host header, without port and brackets."""
    name = header.decode("latin-1").lower()
    return name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]


async def _answer(status: int, message: str, send: "Send") -> None:
    headers = [(b"content-type", b"application/json")]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"error": message}).encode()})
