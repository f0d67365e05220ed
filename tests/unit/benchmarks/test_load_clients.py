"""The HTTP client of the benchmarks reuses connections and raises on error responses."""

import asyncio

import pytest

from benchmarks.end_to_end.load_clients import HttpClient

GOOD = b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"entities":[]}'
CHUNKED = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"ent\r\nA\r\nities":[]}\r\n0\r\n\r\n'


async def count_connections(answers, *, closes=False):
    """Send a text per answer to a server with these answers; return the number of connections.

    The server closes a connection without an answer if that is None.
    """
    remaining, opened = list(answers), []

    async def serve(reader, writer):
        opened.append(writer)
        while remaining:
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
            answer = remaining.pop(0)
            if answer is None:
                break
            writer.write(answer)
            await writer.drain()
            if closes:
                break
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, HttpClient(server.sockets[0].getsockname()[1], "/ner") as client:
        for _ in filter(None, answers):
            await client.send("马云")
            if closes:
                await client._idle[0][0].read()  # until the client has seen the end
    return len(opened)


def test_sequential_texts_share_one_connection():
    assert asyncio.run(count_connections([GOOD] * 3)) == 1


def test_chunked_responses_share_one_connection():
    assert asyncio.run(count_connections([CHUNKED, GOOD, CHUNKED])) == 1


def test_closed_connection_is_not_reused():
    assert asyncio.run(count_connections([GOOD] * 3, closes=True)) == 3


def test_text_is_sent_again_if_the_server_closes_an_idle_connection():
    assert asyncio.run(count_connections([GOOD, None, GOOD])) == 2


def test_new_connection_without_an_answer_raises():
    with pytest.raises(ConnectionError, match="no response"):
        asyncio.run(count_connections([None, GOOD]))


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\nsorry",
        b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"error": 1}',
    ],
)
def test_error_response_raises(answer):
    with pytest.raises(RuntimeError):
        asyncio.run(count_connections([answer]))
