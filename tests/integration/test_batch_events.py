"""The listener for batch events, with events as a worker sends them."""

import pytest

from hanner import HannerError, Settings
from hanner.cli.batch_events import BatchEvent, BatchEventListener
from hanner.contract import BATCH_EVENT
from hanner.transport.celery_app import make_celery


def test_batch_events_are_collected(server):
    settings = Settings(broker_url=server.url)
    app = make_celery(settings)
    with (
        app.connection_for_write() as connection,
        app.events.Dispatcher(connection, hostname="w@h") as worker,
        BatchEventListener(settings) as listener,
    ):
        while True:  # events that are sent before the listener subscribes are lost
            worker.send("worker-heartbeat")
            try:
                listener.wait_until_subscribed(0.1)
            except HannerError:
                continue
            break
        worker.send(
            BATCH_EVENT, batch=1, texts=2, windows=3, tokens=90, padded_tokens=100, infer_ms=1.5, later_field="x"
        )
        worker.send(BATCH_EVENT, batch=2, texts=1, windows=1, tokens=10, padded_tokens=10)
        found = listener.take(3, timeout=5)
        assert found == [
            BatchEvent(batch=1, texts=2, windows=3, tokens=90, padded_tokens=100, infer_ms=1.5),
            BatchEvent(batch=2, texts=1, windows=1, tokens=10, padded_tokens=10),
        ]
        assert listener.take(1, timeout=0.01) == []
    app.close()


def test_missing_events_are_reported(server):
    with (
        BatchEventListener(Settings(broker_url=server.url)) as listener,
        pytest.raises(HannerError, match="start the worker with -E"),
    ):
        listener.wait_until_subscribed(0.1)


def test_unreachable_redis_is_reported():
    settings = Settings(broker_url="redis://127.0.0.1:1/0", connect_timeout=0.5)
    with BatchEventListener(settings) as listener, pytest.raises(HannerError, match="Connection refused"):
        listener.wait_until_subscribed(5)
