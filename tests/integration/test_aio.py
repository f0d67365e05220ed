"""The asyncio client with a real server and a stub worker."""

import asyncio
import threading

import pytest

from hanner import AsyncClient, BrokerUnreachable, HannerError, InvalidText, TimedOut


def in_loop(body, server, **overrides):
    """Run `body(client)` in a new event loop."""

    async def run():
        async with AsyncClient(server.url, **{"timeout": 10, **overrides}) as ner:
            return await body(ner)

    return asyncio.run(run())


def test_every_method(server, worker):
    async def body(ner):
        assert (await ner.extract("马云"))[0].text == "马云"
        assert [len(d.entities) for d in await ner.extract_many(["马云", "无", None])] == [1, 0, 0]
        job = await ner.submit("马云")
        assert (await job.result())[0].text == "马云"
        assert await job.done()
        assert (await ner.job(job.id).result())[0].text == "马云"
        many = await ner.submit_many(["马云"])
        assert len(await ner.job(many.id, many=True).result()) == 1
        await job.revoke()

    in_loop(body, server)


def test_every_method_selects_entities(server, worker):
    text = "昨天马云在杭州"

    async def main():
        async with AsyncClient(server.url, timeout=60) as ner:
            for options, count in (({"types": ["LOC"]}, 0), ({"min_score": 0.95}, 0), ({"types": {"PER"}}, 1)):
                assert len(await ner.extract(text, **options)) == count
                assert len(await (await ner.submit(text, **options)).result()) == count
                documents = await ner.extract_many([text], **options)
                documents += await (await ner.submit_many([text], **options)).result()
                documents += [document async for document in ner.stream([text], **options)]
                assert [len(document.entities) for document in documents] == [count] * 3

    asyncio.run(main())


def test_thousand_concurrent_requests(server, worker):
    async def body(ner):
        answers = await asyncio.gather(*(ner.extract("字" * n + "马云") for n in range(1000)))
        assert [entities[0].start for entities in answers] == list(range(1000))
        assert ner._sender.blocking.connection.listener.subscribed_count == 0

    before = threading.active_count()
    in_loop(body, server, timeout=120)
    assert threading.active_count() <= before + 8


def test_cancelling_stops_waiting_and_revokes_the_request(server, worker):
    worker.hold()

    async def body(ner):
        waiting = asyncio.ensure_future(ner.extract("马云"))
        await asyncio.to_thread(worker.wait_for, 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert ner._sender.blocking.connection.listener.subscribed_count == 0

    with server.client.pubsub() as workers:
        workers.psubscribe("*pidbox")
        assert workers.get_message(timeout=60)["type"] == "psubscribe"
        in_loop(body, server)
        assert workers.get_message(timeout=60)["type"] == "pmessage"


def test_all_cancelled_requests_are_revoked(server, worker):
    worker.hold()

    async def body(ner):
        waiting = [asyncio.ensure_future(ner.extract(f"{n}马云")) for n in range(20)]
        await asyncio.to_thread(worker.wait_for, 20)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    with server.client.pubsub() as workers:
        workers.psubscribe("*pidbox")
        assert workers.get_message(timeout=60)["type"] == "psubscribe"
        in_loop(body, server)
        for _ in range(20):
            assert workers.get_message(timeout=60)["type"] == "pmessage"


def test_cancelling_one_waiting_task_does_not_affect_others(server, worker):
    worker.hold()

    async def body(ner):
        job = await ner.submit("马云")
        first, second = asyncio.ensure_future(job.result()), asyncio.ensure_future(job.result())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.to_thread(worker.wait_for, 1)
        worker.release()
        assert (await second)[0].text == "马云"
        assert first.cancelled()

    in_loop(body, server)


def test_errors_are_those_of_the_blocking_client(server):
    async def body(ner):
        with pytest.raises(InvalidText):
            await ner.extract(5)
        with pytest.raises(TimedOut):
            await ner.extract("马云", timeout=0.1)

    in_loop(body, server)

    async def unreachable():
        async with AsyncClient("redis://127.0.0.1:1/0") as ner:
            await ner.extract("马云")

    with pytest.raises(BrokerUnreachable):
        asyncio.run(unreachable())


def test_close_fails_waiting_calls(server, worker):
    worker.hold()

    async def body():
        ner = AsyncClient(server.url)
        waiting = asyncio.ensure_future(ner.extract("马云"))
        await asyncio.to_thread(worker.wait_for, 1)
        await ner.close()
        with pytest.raises(HannerError, match="closed"):
            await waiting

    asyncio.run(body())


@pytest.mark.parametrize("kind", ["plain", "async"])
@pytest.mark.parametrize("window", [1, 10, 1024])
def test_stream_keeps_order_and_window(server, worker, kind, window):
    taken = given = 0

    def plain():
        nonlocal taken
        for number in range(500):
            taken += 1
            yield "字" * (number % 50) + "马云" if number % 100 else None

    async def asynchronous():
        for text in plain():
            yield text

    async def body(ner):
        nonlocal given
        starts = []
        async for document in ner.stream(plain() if kind == "plain" else asynchronous(), window=window):
            assert taken - given <= window
            given += 1
            starts.append(None if document.error else document.entities[0].start)
        assert starts == [number % 50 if number % 100 else None for number in range(500)]
        assert ner._sender.blocking.connection.listener.subscribed_count == 0

    in_loop(body, server)


def test_stream_yields_results_while_an_async_source_is_idle(server, worker):
    async def body(ner):
        requested = asyncio.Event()

        async def source():
            yield "马云"
            await requested.wait()
            yield "云马云"

        stream = ner.stream(source())
        assert (await anext(stream)).entities[0].start == 0
        requested.set()
        assert (await anext(stream)).entities[0].start == 1
        with pytest.raises(StopAsyncIteration):
            await anext(stream)

    in_loop(body, server)


def test_cancelled_stream_unsubscribes_all_results(server, worker):
    worker.hold()

    async def body(ner):
        async def consume():
            async for _ in ner.stream("马云" for _ in range(10_000)):
                raise AssertionError

        consuming = asyncio.ensure_future(consume())
        await asyncio.to_thread(worker.wait_for, 16)
        consuming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consuming
        assert ner._sender.blocking.connection.listener.subscribed_count == 0

    in_loop(body, server)


def test_stream_without_results_times_out(server):
    async def body(ner):
        with pytest.raises(TimedOut):
            await anext(ner.stream(["马云"], timeout=0.1))

    in_loop(body, server)


def test_error_of_the_source_is_raised(server, worker):
    async def source():
        yield "马云"
        raise LookupError("source")

    async def body(ner):
        with pytest.raises(LookupError, match="source"):
            async for _ in ner.stream(source()):
                pass

    in_loop(body, server)
