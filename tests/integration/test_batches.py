"""The demo's listener for batch events, with events sent the way a worker sends them."""

import pytest

from hanner import HannerError, Settings
from hanner.cli.batch_events import Batch, BatchListener
from hanner.contract import BATCH_EVENT
from hanner.transport.celery_app import make_celery


def test_batches_are_collected(server):
    settings = Settings(broker_url=server.url)
    app = make_celery(settings)
    with (
        app.connection_for_write() as connection,
        app.events.Dispatcher(connection, hostname="w@h") as worker,
        BatchListener(settings) as batches,
    ):
        while True:  # what is sent before the listener subscribes is lost, as for every listener
            worker.send("worker-heartbeat")
            try:
                batches.wait_until_heard(0.1)
            except HannerError:
                continue
            break
        worker.send(
            BATCH_EVENT, batch=1, texts=2, windows=3, tokens=90, padded_tokens=100, infer_ms=1.5, later_field="x"
        )
        worker.send(BATCH_EVENT, batch=2, texts=1, windows=1, tokens=10, padded_tokens=10)
        found = batches.take(3, timeout=5)
        assert found == [
            Batch(batch=1, texts=2, windows=3, tokens=90, padded_tokens=100, infer_ms=1.5),
            Batch(batch=2, texts=1, windows=1, tokens=10, padded_tokens=10),
        ]
        assert batches.take(1, timeout=0.01) == []
    app.close()


def test_silence_is_named(server):
    with (
        BatchListener(Settings(broker_url=server.url)) as batches,
        pytest.raises(HannerError, match="is it started with -E"),
    ):
        batches.wait_until_heard(0.1)


def test_an_absent_redis_is_named():
    settings = Settings(broker_url="redis://127.0.0.1:1/0", connect_timeout=0.5)
    with BatchListener(settings) as batches, pytest.raises(HannerError, match="Connection refused"):
        batches.wait_until_heard(5)
