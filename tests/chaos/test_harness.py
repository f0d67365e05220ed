"""The harness detects every kind of loss that it counts."""

import json
import random
import time
from collections import Counter, defaultdict

import fakeredis
import pytest

from chaos import fake_model
from chaos.audit import audit, task_id
from chaos.fuzz import Fuzzer
from chaos.recovery import Death, Recovery
from chaos.request_log import ANSWERED, RequestLog, SentText


@pytest.fixture
def client():
    with fakeredis.FakeRedis(decode_responses=True) as client:
        yield client


@pytest.fixture
def log():
    return RequestLog()


def accept(log, serial, **values):
    now = time.monotonic()
    text = SentText(serial, f"id-{serial}", "", now, now, **values)
    log.accept(text)
    return text


def message(id_):
    return json.dumps({"headers": {"id": id_}, "body": ""})


def count(client, log, announced=(), starts=None):
    return audit([client], log, Counter(announced), starts or defaultdict(list))


def test_text_that_is_not_in_redis_is_lost(client, log):
    accept(log, 1)
    counts = count(client, log)
    assert (counts.lost, counts.unanswered, counts.hung) == (1, 0, 0)
    assert "id-1" in counts.examples[0]


def test_text_after_the_last_fsync_is_an_allowed_loss(client, log):
    accept(log, 1, may_be_lost=True)
    assert (count(client, log).lost, count(client, log).allowed_losses) == (0, 1)


@pytest.mark.parametrize(
    "put",
    [
        lambda client: client.lpush("hanner", message("id-1")),
        lambda client: client.hset("unacked", "tag", json.dumps([message("id-1"), "", "hanner"])),
        lambda client: client.hset("hanner:hanner:unacked:host:1:x", "tag", message("id-1")),
    ],
)
def test_text_that_is_in_redis_is_unanswered_and_not_lost(client, log, put):
    accept(log, 1)
    put(client)
    assert (count(client, log).lost, count(client, log).unanswered) == (0, 1)


def test_caller_that_waits_for_a_stored_result_hangs(client, log):
    accept(log, 1)
    client.set("celery-task-meta-id-1", "{}")
    assert count(client, log).hung == 1


def test_repeated_announcement_and_repeated_callback_are_duplicates(client, log):
    for serial in (1, 2, 3):
        log.end(accept(log, serial), ANSWERED)
    log.end(log.texts[2], ANSWERED)
    assert count(client, log, {"id-1": 2, "id-2": 1, "id-3": 1}).duplicates == 2


def test_outcomes_are_counted_separately(client, log):
    for serial, outcome in enumerate([ANSWERED, "wrong", "worker_lost"]):
        log.end(accept(log, serial), outcome)
    client.hset("hanner:hanner:dead", "id-2", "{}")
    counts = count(client, log)
    assert (counts.answered, counts.wrong, counts.failed, counts.dead) == (1, 1, {"worker_lost": 1}, 1)


@pytest.mark.parametrize("value", ["", "x", "[]", "1", "null", '{"headers": 1}', '["x"]'])
def test_value_that_is_not_a_message_has_no_id(value):
    assert task_id(value) is None


def test_recovery_counts_from_the_last_death(log):
    text = accept(log, 1)
    text.ended = 30.0
    recovery = Recovery([Death(10.0, frozenset({1})), Death(14.0, frozenset({1}))])
    assert recovery.longest(log, {1: [9.0, 19.0]}) == 5.0
    assert recovery.longest(log, {1: [9.0]}) == 16.0


def test_recovery_from_an_outage_ends_with_the_next_answer(log):
    for serial, ended in enumerate([9.0, 12.5, 20.0]):
        accept(log, serial).ended = ended
    assert Recovery(outages=[10.0]).longest(log, {}) == 2.5
    assert Recovery().longest(log, {}) is None


def test_same_seed_generates_same_messages():
    first, second = (Fuzzer(random.Random(5)) for _ in range(2))
    assert [first.next() for _ in range(200)] == [second.next() for _ in range(200)]


def test_text_contains_its_serial_number():
    text = fake_model.make_text(42, 5, "!raise")
    assert fake_model.serial_of(text) == 42
    assert fake_model.entities(text)[0]["text"] == "马云0000042" == text[:9]
    assert fake_model.serial_of("其他") == fake_model.serial_of(None) == -1
