"""Connections with an end: uvicorn itself lets a client take any time to send a request's head, or to read an answer."""

import asyncio
import socket
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

# From a connection's beginning, or an answer's end, to the next request's head.
HEAD_SECONDS = 10.0
# A client that takes nothing of its answer for so long is gone.
CHECK_SECONDS = 5.0
# Connections at once. When there are more, the one that has been sending its request for the longest has to go. Whole requests are answered; only
# when there are so many that memory is at stake goes that which has waited for the longest.
MOST, MOST_IN_ALL = 128, 2048
# Who has to go is decided so much later: by then what has arrived is read, so a whole request is not taken for one that is still being sent,
# and connections that sent no HTTP are closed.
DECIDE_SECONDS = 0.05
SENDING = (h11.IDLE, h11.SEND_BODY)


class Connection(H11Protocol):
    """A connection that is closed when its client is too slow, or when it is in the way of others."""

    def connection_made(self, transport: Any) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        # asyncio does this only for sockets that were opened with the protocol's number. Without it an answer waits 40 ms for its second packet.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._waits_since = self.loop.time()
        self._unsent = 0
        self._check: asyncio.TimerHandle | None = self.loop.call_later(CHECK_SECONDS, self._close_if_slow)
        if len(self.connections) > MOST:
            self.loop.call_later(DECIDE_SECONDS, self._make_room)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if self._check:
            self._check.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Starts to wait for the next request."""
        self._waits_since = self.loop.time()
        super().on_response_complete()

    def _make_room(self) -> None:
        there = [other for other in self.connections if isinstance(other, Connection) and not other.transport.is_closing()]
        if len(there) > MOST:
            may_go = [other for other in there if other.conn.their_state in SENDING] or (there if len(there) > MOST_IN_ALL else [])
            if may_go:
                min(may_go, key=lambda other: other._waits_since).transport.abort()

    def _close_if_slow(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        reads_nothing = 0 < unsent >= self._unsent > 0
        waits = self.cycle is None or self.cycle.response_complete
        if reads_nothing or (waits and self.loop.time() - self._waits_since > HEAD_SECONDS):
            self.transport.abort()
            return
        self._unsent = unsent
        self._check = self.loop.call_later(CHECK_SECONDS, self._close_if_slow)
