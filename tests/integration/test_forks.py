"""A client made before a fork works in the child, and continues to work in the parent."""

import os
import traceback

import pytest


def in_child(body):
    """Run `body` in a forked child; fail with its traceback."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            body()
            code = 0
        except BaseException:  # noqa: BLE001 - it must not run the parent's tests
            os.write(writing, traceback.format_exc().encode()[-4000:])
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read().decode()
    assert os.waitpid(pid, 0)[1] == 0, text


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_client_works_in_parent_and_child(ner, worker):
    assert ner.extract("马云")[0].text == "马云"
    worker.hold()
    sender = ner._sender
    waiting = sender.send(sender.request("云马云", sender.destination("interactive")), is_awaited=True)
    worker.wait_for(2)

    def child():
        assert ner.extract("马云", timeout=5)[0].text == "马云"
        assert waiting.result(60)[0].start == 1
        assert sum(1 for _ in ner.stream(["马云"] * 100)) == 100
        ner.close()

    worker.release()
    for _ in range(3):
        in_child(child)
    assert waiting.result(60)[0].start == 1
    assert ner.extract("马云")[0].text == "马云"


def test_unused_client_works_in_a_child(ner, worker):
    in_child(lambda: ner.extract("马云", timeout=5)[0])
    assert ner.extract("马云")
