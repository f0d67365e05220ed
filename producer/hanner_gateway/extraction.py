"""Texts go to the queue for a request: only while whoever asked is there, and counted."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from hanner.contract import Document, Entity
from hanner_gateway import metrics
from hanner_gateway.state import State

T = TypeVar("T")


async def entities(request: Request, text: str, model: str | None = None) -> list[Entity]:
    """Return the entities of one text; hanging up revokes it.

    Raises:
        ClientDisconnect: the client has gone.
        HannerError: its child that names why there is no answer.
    """
    with metrics.counting([text]) as counted:
        found = await while_connected(request, State.of(request).client.extract(text, model=model))
        counted([Document()])
    return found


async def documents(request: Request, texts: list[str], model: str | None = None) -> list[Document]:
    """Return one document per text, in order; hanging up revokes them. Raises what `entities` does."""
    with metrics.counting(texts) as counted:
        found = await while_connected(request, State.of(request).client.extract_many(texts, model=model))
        counted(found)
    return found


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns; cancel it when the client hangs up, so that its request in the queue is revoked.

    Raises:
        ClientDisconnect: the client has gone.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        watching.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait((working,))


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
