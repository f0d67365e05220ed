"""Requests that name a model are sent to its queue, or rejected."""

import asyncio

import pytest

from hanner import AsyncClient, Client, QueueFull, UnknownModel
from hanner.queue.keys import QUEUES
from support.inflight import make_inflight
from support.stub_worker import StubWorker

VERBS = {
    "submit": lambda ner, **options: ner.submit("一", **options),
    "submit_many": lambda ner, **options: ner.submit_many(["一"], **options),
    "extract": lambda ner, **options: ner.extract("一", **options),
    "extract_many": lambda ner, **options: ner.extract_many(["一"], **options),
    "stream": lambda ner, **options: list(ner.stream(["一"], **options)),
}


@pytest.fixture
def news(server):
    """A worker of the model `news`."""
    server.client.sadd(QUEUES, "hanner.news")
    with StubWorker(server.url, "hanner.news") as stub:
        yield stub


@pytest.mark.parametrize("verb", VERBS)
def test_every_method_takes_a_model(ner, news, verb):
    VERBS[verb](ner, model="news")
    (request,) = news.wait_for(1)
    assert request["list"].removesuffix(".bulk") == "hanner.news"


@pytest.mark.parametrize("verb", VERBS)
def test_unknown_model_is_rejected(ner, server, verb):
    with pytest.raises(UnknownModel, match="no worker of model 'nwes' has ever run here") as caught:
        VERBS[verb](ner, model="nwes")
    assert caught.value.code == "unknown_model"
    assert not server.client.keys("hanner*")


@pytest.mark.parametrize("verb", VERBS)
def test_asyncio_client_behaves_the_same(server, news, verb):
    async def extract_with(ner, model):
        if verb == "stream":
            return [document async for document in ner.stream(["一"], model=model)]
        return await VERBS[verb](ner, model=model)

    async def body():
        async with AsyncClient(server.url, timeout=60) as ner:
            await extract_with(ner, "news")
            with pytest.raises(UnknownModel):
                await extract_with(ner, "nwes")

    asyncio.run(body())
    (request,) = news.wait_for(1)
    assert request["list"].removesuffix(".bulk") == "hanner.news"


def test_routes_are_used_without_a_check(server):
    """A route may exist before the first worker of its model."""
    with Client(server.url, routes="news=a-queue") as ner:
        ner.submit("一", model="news")
        ner.submit("一", model="news", priority="bulk")
        assert ner.queue_of("news") == "a-queue"
        assert ner.queue_of() == "hanner"
        assert (ner.backlog("news").depth, ner.backlog("news").bulk, ner.backlog().depth) == (2, 1, 0)
    assert (server.client.llen("a-queue"), server.client.llen("a-queue.bulk")) == (1, 1)


def test_model_is_known_after_its_first_worker(server, ner):
    with pytest.raises(UnknownModel):
        ner.queue_of("late")
    inflight = make_inflight(queue="hanner.late")
    inflight.heartbeat(server.client, {})
    inflight.deregister(server.client)
    with Client(server.url) as fresh:
        assert fresh.queue_of("late") == "hanner.late"
    assert ner.queue_of("late") == "hanner.late"


def test_each_queue_has_its_own_limit(server):
    with Client(server.url, routes="news=a,weibo=b", max_queue=1) as ner:
        for model in ("news", "weibo", None):
            ner.submit("一", model=model)
        for model, queue in (("news", "a"), ("weibo", "b"), (None, "hanner")):
            with pytest.raises(QueueFull, match=f"1 interactive requests wait in '{queue}'"):
                ner.submit("一", model=model)
