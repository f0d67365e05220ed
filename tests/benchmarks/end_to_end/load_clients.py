"""Clients for load.py: hanner's client, or HTTP. Both are async context managers with a method `send`."""

import asyncio
import contextlib
import json

from hanner import AsyncClient

HEAD = "POST {} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"


class QueueClient:
    """Sends with hanner's client: a text as a request with one text, a list of texts as one request with several."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def __aenter__(self):
        self._client = AsyncClient(self.url, timeout=120)
        return self

    async def __aexit__(self, *_):
        await self._client.close()

    async def send(self, request) -> None:
        if isinstance(request, str):
            await self._client.extract(request)
            return
        for document in await self._client.extract_many(request):
            if document.error is not None:
                raise RuntimeError(document.error.message)


class HttpClient:
    """Sends by HTTP/1.1 with one keep-alive connection per request in flight. Uses little CPU time itself."""

    def __init__(self, port: int, path: str) -> None:
        self._port, self._path = port, path
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        for _, writer in self._idle:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def send(self, text: str) -> None:
        """Send a text. A server may close an idle connection at any time; then the text is sent on another one."""
        body = json.dumps({"text": text}).encode()
        request = HEAD.format(self._path, len(body)).encode() + body
        while connection := self._idle_connection():
            with contextlib.suppress(ConnectionResetError, BrokenPipeError, ClosedConnectionError):
                return await self._exchange(request, *connection)
        return await self._exchange(request, *await asyncio.open_connection("127.0.0.1", self._port))

    async def _exchange(self, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(writer.close)
            writer.write(request)
            status, _, head = (await read_head(reader)).lower().partition(b"\r\n")
            answer = await read_body(reader, head)
            if b" 200" not in status or "entities" not in json.loads(answer):
                raise RuntimeError(f"{status.decode()}: {answer[:200].decode(errors='replace')}")
            if b"connection: close" not in head:
                stack.pop_all()
                self._idle.append((reader, writer))

    def _idle_connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Return an idle connection that the server has not closed, or None."""
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return None


class ClosedConnectionError(ConnectionError):
    """The server has closed the connection instead of answering."""


async def read_head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        raise ClosedConnectionError("the server closed the connection and sent no response") from None


async def read_body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """Return the body of a response with the header `head`, in lower case. It may be chunked, without trailers."""
    if b"transfer-encoding: chunked" not in head:
        return await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return body
