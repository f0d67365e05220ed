"""Links, errbacks, chains and chords into another Celery app, whose own worker runs beside hanner's."""

import json

import pytest
from celery import chain, chord, group
from celery.exceptions import NotRegistered

from hanner.queue.dead_letters import DeadLetters
from support.waiting import wait_until
from support.workers import Events


@pytest.fixture(autouse=True)
def empty_lists(server):
    for name in ("shop.store", "shop.count", "shop.on_failure"):
        server.client.delete(name)


@pytest.fixture
def calls(server):
    """Return a function that waits for so many calls of a task of the shop, and returns what they were called with."""

    def calls(task, count=1):
        wait_until(lambda: server.client.llen(task) >= count)
        return [json.loads(call) for call in server.client.lrange(task, 0, -1)]

    return calls


def extract(app, text="马云", **options):
    return app.signature("hanner.extract", [text], **options)


def test_a_link_runs_in_the_app_that_it_belongs_to(app, calls):
    extract(app).apply_async(link=app.signature("shop.store", [7]))
    assert calls("shop.store") == [[1, 7]]


def test_several_links_and_a_group_run_once_each(app, calls):
    store = app.signature("shop.store")
    extract(app).apply_async(link=[store.clone([1]), group([store.clone([2]), store.clone([3])], app=app)])
    assert sorted(calls("shop.store", 3)) == [[1, 1], [1, 2], [1, 3]]


@pytest.mark.parametrize("options", [{"queue": "shop"}, {"exchange": "shop", "routing_key": "shop"}])
def test_a_link_goes_where_its_signature_says(app, calls, options):
    extract(app).apply_async(link=app.signature("shop.store", options=options))
    assert calls("shop.store") == [[1]]


def test_an_errback_runs_in_the_app_that_it_belongs_to(app, calls):
    failed = extract(app, 7).apply_async(link_error=app.signature("shop.on_failure", [8]))
    assert calls("shop.on_failure") == [[failed.id, 8]]


def test_a_chain_continues_in_the_app_and_comes_back(app, calls):
    steps = [extract(app), app.signature("shop.store", [9], options={"task_id": "stored"})]
    assert chain(*steps, app=app).apply_async().get(timeout=60) == [1, 9]
    assert calls("shop.store") == [[1, 9]]
    again = chain(extract(app), extract(app, "马云和马云", immutable=True), app=app)
    assert len(again.apply_async().get(timeout=60)["entities"]) == 2


def test_a_chain_that_fails_fails_its_last_step_and_runs_no_other(app, server):
    last = chain(extract(app, 7), app.signature("shop.store"), app=app).apply_async()
    with pytest.raises(Exception, match="string"):
        last.get(timeout=60)
    assert not server.client.exists("shop.store")


def test_a_chord_counts_its_parts_and_runs_its_body(app, calls):
    body = app.signature("shop.count", ["three"])
    assert chord([extract(app) for _ in range(3)], body, app=app).apply_async().get(timeout=60) == [3, "three"]
    assert calls("shop.count") == [[3, "three"]]


def test_a_chord_whose_part_fails_fails_and_calls_its_errback(app, calls):
    body = app.signature("shop.count")
    body.link_error(app.signature("shop.on_failure", ["body"]))
    result = chord([extract(app), extract(app, 7)], body, app=app).apply_async()
    with pytest.raises(Exception, match="must be a string"):
        result.get(timeout=60)
    assert calls("shop.on_failure") == [[result.id, "body"]]


def test_a_chord_may_be_a_step_of_a_chain(app, calls):
    inner = chord([extract(app, immutable=True) for _ in range(2)], app.signature("shop.count"), app=app)
    assert chain(extract(app), inner, app=app).apply_async().get(timeout=60) == [2]
    assert calls("shop.count") == [[2]]


def test_an_unregistered_task_becomes_a_dead_letter_with_its_reason(app, server, running):
    with Events(app) as events:
        lost = app.send_task("shop.store", ["马云的秘密"], queue="hanner")
        with pytest.raises(NotRegistered, match=r"shop\.store"):
            lost.get(timeout=60)
        events.wait_for(lambda e: "task-failed" in e.of(lost.id))
    letter = DeadLetters(server.client, "hanner").get(lost.id)
    assert letter.task == "shop.store"
    assert "shop.store is not a task of this worker" in letter.reason
    assert json.loads(letter.message)["headers"]["id"] == lost.id
    assert "马云的秘密" not in running.output
    assert not server.client.keys("hanner:hanner:unacked:*")
