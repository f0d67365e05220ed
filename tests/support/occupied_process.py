"""Occupies the only pool process of a worker, so that the texts sent meanwhile run as one batch."""

from contextlib import contextmanager

from support.waiting import DEADLINE


@contextmanager
def occupied_process(app, server, events, name="gate"):
    """Occupy the process until the block ends. Yield a function that sends texts and waits until all are received."""
    blocker = app.send_task("hanner.extract", [f"!wait:{name}"])
    assert server.client.blpop(["waiting"], timeout=DEADLINE)

    def send(*texts, task="hanner.extract", **options):
        results = [app.send_task(task, [text], **options) for text in texts]
        for result in results:
            events.wait_for(lambda e, result=result: "task-received" in e.of(result.id))
        return results

    try:
        yield send
    finally:
        server.client.rpush(name, 1)
    blocker.get(timeout=DEADLINE)
