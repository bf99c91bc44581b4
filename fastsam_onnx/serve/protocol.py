"""HTTP/1.1 by uvicorn, but for connections that neither send nor read: uvicorn itself would wait for them for ever."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


class ImpatientProtocol(H11Protocol):
    """Cuts a connection on which, from one look to the next, no request has begun or nothing of an answer was read.

    Attributes:
        seconds: Between two looks.
    """

    seconds = 15.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(transport)
        self._look_later(self._waiting_for())

    def _waiting_for(self) -> tuple[object, int] | None:
        """The request before the next one, and the bytes that the client has still to read; None if it is our turn.

        A body that is being received is our turn too: `Service` has its own limit for that.
        """
        unsent = self.transport.get_write_buffer_size()
        idle = self.cycle is None or self.cycle.response_complete
        return (self.cycle, unsent) if idle or unsent else None

    def _look_later(self, before: tuple[object, int] | None) -> None:
        self.loop.call_later(self.seconds, self._look, before)

    def _look(self, before: tuple[object, int] | None) -> None:
        if self.transport.is_closing():
            return
        now = self._waiting_for()
        if now is not None and now == before:
            self.transport.abort()
        else:
            self._look_later(now)
