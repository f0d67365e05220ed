"""Extraction through the queue on behalf of an HTTP request: cancelled when the client disconnects, and counted."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from hanner.results import Document, EntityList
from hanner_gateway import metrics
from hanner_gateway.state import get_state

T = TypeVar("T")


async def extract(request: Request, text: str, model: str | None = None) -> EntityList:
    """Return the entities of one text; the text is revoked when the client disconnects.

    Raises:
        ClientDisconnect: the client has disconnected.
        HannerError: the subclass names the reason.
    """
    with metrics.count_texts([text]) as count:
        entities = await _run_while_connected(request, get_state(request).client.extract(text, model=model))
        count([Document()])
    return entities


async def extract_many(request: Request, texts: list[str], model: str | None = None) -> list[Document]:
    """Return one document per text, in order; the texts are revoked when the client disconnects.

    Raises:
        ClientDisconnect: the client has disconnected.
        HannerError: the subclass names the reason.
    """
    with metrics.count_texts(texts) as count:
        documents = await _run_while_connected(request, get_state(request).client.extract_many(texts, model=model))
        count(documents)
    return documents


async def _run_while_connected(request: Request, coroutine: Coroutine[Any, Any, T]) -> T:
    """Return the coroutine's result; cancel it when the client disconnects, which revokes its queued requests."""
    work = asyncio.ensure_future(coroutine)
    disconnect = asyncio.ensure_future(_wait_for_disconnect(request))
    try:
        await asyncio.wait((work, disconnect), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        raise ClientDisconnect
    finally:
        disconnect.cancel()
        if not work.done():
            work.cancel()
            await asyncio.wait((work,))


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
