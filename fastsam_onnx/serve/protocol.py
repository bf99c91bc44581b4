"""HTTP/1.1 by uvicorn, with connections cut that neither send nor read: uvicorn itself waits for them for ever.

It looks at what uvicorn does not document, the protocol's `transport`, `loop`, `cycle` and `connections` and the
cycle's `response_complete`; tests/serve/test_protocol.py checks them with the uvicorn that is installed.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


class ImpatientProtocol(H11Protocol):
    """Cuts a connection on which, from one look to the next, no request has begun or nothing of an answer was read.

    Answers that nobody reads stay in memory; uvicorn closes such a connection, and waits for it to send them.

    Attributes:
        seconds: Time between two looks, in seconds.
        most: Number of connections beyond which further ones are cut as they come: each is an open file, and where a
            process may open no more, asyncio fills the log with some megabytes a second.
    """

    seconds = 15.0
    most = 750

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has come."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            transport.abort()
            return
        self._look_later(self._waiting_for())

    def _waiting_for(self) -> tuple[object, int] | None:
        """The last request, and the bytes of its answer that are still unread; None while we wait for nothing.

        A body that is being received counts as ours to wait for: `Service` has a limit of its own for that.
        """
        unsent = self.transport.get_write_buffer_size()
        idle = self.cycle is None or self.cycle.response_complete
        return (self.cycle, unsent) if idle or unsent else None

    def _look_later(self, before: tuple[object, int] | None) -> None:
        self.loop.call_later(self.seconds, self._look, before)

    def _look(self, before: tuple[object, int] | None) -> None:
        if self.transport.is_closing() and not self.transport.get_write_buffer_size():
            return  # one that is closed ends by itself when it has sent all
        now = self._waiting_for()
        if now is not None and now == before:
            self.transport.abort()
        else:
            self._look_later(now)
