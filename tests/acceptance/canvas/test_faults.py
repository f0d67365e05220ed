"""The steps that follow a request survive kills of pool processes and errors of Redis."""

import json
from itertools import count

import pytest
from celery import chain, chord

from hanner import Client
from support.waiting import wait_until
from support.workers import found, pad_text, unacked

SCHEDULED = "hanner:hanner:scheduled"


def labels(server, task):
    """Return the last argument of each call of a task of the shop."""
    return [json.loads(call)[-1] for call in server.client.lrange(task, 0, -1)]


def send_link(app, point, label):
    app.send_task("hanner.extract", [f"!kill-at:{point}"], link=app.signature("shop.store", [label]))
    return "shop.store"


def send_errback(app, point, label):
    app.send_task("hanner.extract", [f"!fail-kill-at:{point}"], link_error=app.signature("shop.on_failure", [label]))
    return "shop.on_failure"


def send_chain(app, point, label):
    store = app.signature("shop.store", [label])
    chain(app.signature("hanner.extract", [f"!kill-at:{point}"]), store, app=app).apply_async()
    return "shop.store"


def send_chord(app, point, label):
    parts = [app.signature("hanner.extract", [text]) for text in (f"!kill-at:{point}", "马云")]
    chord(parts, app.signature("shop.count", [label]), app=app).apply_async()
    return "shop.count"


def send_chord_of_chains(app, point, label):
    failing = chain(app.signature("hanner.extract", [f"!fail-kill-at:{point}"]), app.signature("shop.echo"), app=app)
    body = app.signature("shop.count")
    body.link_error(app.signature("shop.on_failure", [label]))
    chord([failing, app.signature("hanner.extract", ["马云"])], body, app=app).apply_async()
    return "shop.on_failure"


def send_failed_chord(app, point, label):
    parts = [app.signature("hanner.extract", [text]) for text in (f"!fail-kill-at:{point}", "马云")]
    body = app.signature("shop.count")
    body.link_error(app.signature("shop.on_failure", [label]))
    chord(parts, body, app=app).apply_async()
    return "shop.on_failure"


def was_killed(server, label):
    """Return whether the process of a request was killed; it may be after the next step was sent."""

    def killed():
        return label in server.client.lrange("kills", 0, -1)

    wait_until(lambda: killed() or not (unacked(server.client) or server.client.exists("hanner")))
    return killed()


CANVASES = [send_link, send_errback, send_chain, send_chord, send_failed_chord, send_chord_of_chains]


@pytest.mark.parametrize("send", CANVASES)
def test_steps_run_once_wherever_the_process_is_killed(app, server, send):
    """The process is killed before each of its commands in turn, until it ends the request with fewer commands."""
    for number in count():
        label = f"{send.__name__} {number}"
        task = send(app, f"{number}:{label}", label)
        wait_until(lambda task=task, label=label: label in labels(server, task), why=lambda label=label: label)
        if not was_killed(server, label):
            break
    assert found(app.send_task("hanner.extract", ["!disarm"])) == 0
    assert number > 0
    ran = [label for label in labels(server, task) if label.startswith(f"{send.__name__} ")]
    assert ran == [f"{send.__name__} {n}" for n in range(number + 1)]


def occupy(app, server):
    """Occupy the worker's process until the returned function is called; what is sent meanwhile shares a batch."""
    app.send_task("hanner.extract", ["!wait:gate"])
    assert server.client.blpop(["waiting"], timeout=60)

    def release():
        wait_until(lambda: not server.client.exists("hanner"))  # the worker has fetched all
        server.client.rpush("gate", 1)

    return release


def test_a_full_redis_delays_what_follows_and_kills_nothing(app, server, running):
    first_line, send = len(running.lines), app.send_task
    send("hanner.extract", ["马云"], link=app.signature("shop.store", options={"queue": "unread"}))
    assert server.client.blpop(["unread"], timeout=60)  # the queue is declared from here on
    release = occupy(app, server)
    send("hanner.extract", [pad_text("!full:")])
    body, extract = app.signature("shop.count", ["full"]), app.signature("hanner.extract", [pad_text("马云")])
    chords = [chord([extract, extract], body, app=app).apply_async() for _ in range(5)]
    for _ in range(5):
        send("hanner.extract", [pad_text("马云")], link=app.signature("shop.store", options={"queue": "unread"}))
    neighbours = [send("hanner.extract", [pad_text("马云")]) for _ in range(5)]
    release()
    try:
        running.wait_for("requests are not complete (OutOfMemoryError)", timeout=60, times=5)
    finally:
        server.client.config_set("maxmemory", 0)
    assert [found(result) for result in neighbours] == [1] * 5
    wait_until(lambda: server.client.llen("unread") == 5)
    assert [result.get(timeout=60) for result in chords] == [[2, "full"]] * 5
    lines = running.lines[first_line:]
    assert not [line for line in lines if "worker_lost" in line or "Traceback" in line]
    assert sum("are not complete" in line for line in lines) < 10
    assert not server.client.exists("hanner:hanner:crashes")
    assert not unacked(server.client)


def revoke_by_celery(app, server, task_id):
    app.control.revoke(task_id)


def revoke_by_client(app, server, task_id):
    with Client(server.url) as ner:
        ner.job(task_id).revoke()


def raw_message(server, task_id):
    """Return the message of a request that a worker has, or that is scheduled."""
    keys = [*server.client.keys("hanner:hanner:unacked:*"), f"{SCHEDULED}:messages"]
    (message,) = [raw for key in keys for raw in server.client.hvals(key) if f'"id": "{task_id}"' in raw]
    return message[message.index("{") :]


@pytest.mark.parametrize("revoke", [revoke_by_celery, revoke_by_client])
@pytest.mark.parametrize("when", ["queued", "scheduled", "expired"])
def test_a_chord_fails_once_if_a_part_is_revoked_and_delivered_again(app, server, when, revoke):
    label = f"{revoke.__name__} {when}"
    body = app.signature("shop.count")
    body.link_error(app.signature("shop.on_failure", [label]))
    release = occupy(app, server)
    timing = {"queued": {}, "scheduled": {"countdown": 86_400}, "expired": {"expires": 1}}[when]
    parts = [app.signature("hanner.extract", ["马云"], options={"task_id": label, **timing})]
    result = chord([*parts, app.signature("hanner.extract", ["马云"])], body, app=app).apply_async()
    wait_until(lambda: not server.client.exists("hanner"))
    if when == "scheduled":
        wait_until(lambda: server.client.zscore(SCHEDULED, label))
    message = raw_message(server, label)
    revoke(app, server, label)
    release()
    for _ in range(2):
        wait_until(lambda: label in labels(server, "shop.on_failure"), why=lambda: label)
        with pytest.raises(Exception, match=r"revoked|expired"):
            result.get(timeout=60)
        wait_until(lambda: not unacked(server.client) and not server.client.exists("hanner"))
        server.client.lpush("hanner", message, message)
    wait_until(lambda: not unacked(server.client) and not server.client.exists("hanner", SCHEDULED))
    assert found(app.send_task("hanner.extract", ["马云"])) == 1
    assert labels(server, "shop.on_failure").count(label) == 1


def test_a_request_that_kills_its_process_tells_all_that_wait_for_it(app, server):
    body = app.signature("shop.count")
    body.link_error(app.signature("shop.on_failure", ["died in a chord"]))
    parts = [app.signature("hanner.extract", [text]) for text in ("!die", "马云")]
    parts[0].link_error(app.signature("shop.on_failure", ["died"]))
    result = chord(parts, body, app=app).apply_async()
    wait_until(lambda: {"died", "died in a chord"} <= set(labels(server, "shop.on_failure")))
    with pytest.raises(Exception, match="process died"):
        result.get(timeout=60)
    assert labels(server, "shop.on_failure").count("died") == 1
    assert not unacked(server.client)
