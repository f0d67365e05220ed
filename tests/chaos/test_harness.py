"""The harness counts what it says it counts: every loss it is there to find is found here."""

import json
import random
import time
from collections import Counter, defaultdict

import fakeredis
import pytest

from chaos import stub
from chaos.audit import audit, task_id
from chaos.fuzz import Fuzzer
from chaos.ledger import ANSWERED, Entry, Ledger
from chaos.recovery import Death, Recovery


@pytest.fixture
def client():
    with fakeredis.FakeRedis(decode_responses=True) as client:
        yield client


@pytest.fixture
def ledger():
    return Ledger()


def accept(ledger, serial, **values):
    now = time.monotonic()
    entry = Entry(serial, f"id-{serial}", "", now, now, **values)
    ledger.accept(entry)
    return entry


def message(id_):
    return json.dumps({"headers": {"id": id_}, "body": ""})


def count(client, ledger, announced=(), begun=None):
    return audit(client, ledger, Counter(announced), begun or defaultdict(list))


def test_a_text_that_is_nowhere_is_lost(client, ledger):
    accept(ledger, 1)
    counted = count(client, ledger)
    assert (counted.lost, counted.left, counted.hung) == (1, 0, 0)
    assert "id-1" in counted.examples[0]


def test_a_text_after_the_last_fsync_is_counted_apart(client, ledger):
    accept(ledger, 1, exempt=True)
    assert (count(client, ledger).lost, count(client, ledger).exempt) == (0, 1)


@pytest.mark.parametrize(
    "put",
    [
        lambda client: client.lpush("hanner", message("id-1")),
        lambda client: client.hset("unacked", "tag", json.dumps([message("id-1"), "", "hanner"])),
        lambda client: client.hset("hanner:hanner:unacked:host:1:x", "tag", message("id-1")),
    ],
)
def test_a_text_that_redis_has_is_left_and_not_lost(client, ledger, put):
    accept(ledger, 1)
    put(client)
    assert (count(client, ledger).lost, count(client, ledger).left) == (0, 1)


def test_a_caller_who_waits_for_what_is_stored_hangs(client, ledger):
    accept(ledger, 1)
    client.set("celery-task-meta-id-1", "{}")
    assert count(client, ledger).hung == 1


def test_two_announcements_and_two_tellings_are_counted_once_each(client, ledger):
    for serial in (1, 2, 3):
        ledger.end(accept(ledger, serial), ANSWERED)
    ledger.end(ledger.entries[2], ANSWERED)
    assert count(client, ledger, {"id-1": 2, "id-2": 1, "id-3": 1}).twice == 2


def test_outcomes_are_told_apart(client, ledger):
    for serial, outcome in enumerate([ANSWERED, "wrong", "worker_lost"]):
        ledger.end(accept(ledger, serial), outcome)
    client.hset("hanner:hanner:dead", "id-2", "{}")
    counted = count(client, ledger)
    assert (counted.answered, counted.wrong, counted.failed, counted.dead) == (1, 1, {"worker_lost": 1}, 1)


@pytest.mark.parametrize("value", ["", "x", "[]", "1", "null", '{"headers": 1}', '["x"]'])
def test_what_is_no_message_has_no_id(value):
    assert task_id(value) is None


def test_recovery_counts_from_the_death_of_the_last_holder(ledger):
    entry = accept(ledger, 1)
    entry.ended = 30.0
    recovery = Recovery([Death(10.0, frozenset({1})), Death(14.0, frozenset({1}))])
    assert recovery.longest(ledger, {1: [9.0, 19.0]}) == 5.0
    assert recovery.longest(ledger, {1: [9.0]}) == 16.0


def test_recovery_from_an_outage_ends_with_the_next_answer(ledger):
    for serial, ended in enumerate([9.0, 12.5, 20.0]):
        accept(ledger, serial).ended = ended
    assert Recovery(outages=[10.0]).longest(ledger, {}) == 2.5
    assert Recovery().longest(ledger, {}) is None


def test_the_same_seed_draws_the_same_messages():
    first, second = (Fuzzer(random.Random(5)) for _ in range(2))
    assert [first.next() for _ in range(200)] == [second.next() for _ in range(200)]


def test_a_text_says_its_number():
    text = stub.compose(42, 5, "!raise")
    assert stub.serial_of(text) == 42
    assert stub.entities(text)[0]["text"] == "马云0000042" == text[:9]
    assert stub.serial_of("其他") == stub.serial_of(None) == -1
