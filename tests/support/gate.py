"""Holds the only process of a worker busy, so that what a test sends meanwhile leaves as one batch."""

from contextlib import contextmanager


@contextmanager
def gate(app, server, events, name="gate"):
    """Occupy a process, and let it go in the end. Yields a function that sends and waits until all is received."""
    blocker = app.send_task("hanner.extract", [f"!wait:{name}"])
    assert server.client.blpop(["waiting"], timeout=30)

    def send(*texts, task="hanner.extract", **options):
        results = [app.send_task(task, [text], **options) for text in texts]
        for result in results:
            events.wait_for(lambda e, result=result: "task-received" in e.of(result.id))
        return results

    try:
        yield send
    finally:
        server.client.rpush(name, 1)
    blocker.get(timeout=30)
