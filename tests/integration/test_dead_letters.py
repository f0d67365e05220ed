"""Dead letters in a real server: stored, shown, retried, purged."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from hanner import HannerError, WorkerLost
from hanner.queue.dead_letters import DeadLetters
from hanner.queue.keys import KEYS_PER_COMMAND, QueueKeys, result_key
from support import dead_letters
from support.stub_worker import decoded, failed, store

KEYS = QueueKeys("hanner")
REASON = "its process died each time it was tried"


@pytest.fixture
def dead(server):
    return DeadLetters(server.client, "hanner")


def add_dead_letter(server, task_id, **options):
    return dead_letters.add_dead_letter(server.client, task_id, reason=REASON, **options)


def die(server, ner, text="马云"):
    """Send a text and move it to the dead letters as a worker would; return its job and its message."""
    job = ner.submit(text)
    message = server.client.rpop("hanner")
    server.client.hset(KEYS.crashes, job.id, 3)
    add_dead_letter(server, job.id, message=message)
    store(server.client, job.id, failed("WorkerLost", REASON, module="hanner.errors"))
    return job, message


def test_stored_letter_is_read_unchanged(server, dead):
    letter = add_dead_letter(server, "a", message='{"body": "字"}')
    assert dead.get("a") == letter
    assert dead.get("b") is None
    assert dead.count() == 1


def test_letters_come_oldest_first(server, dead):
    for task_id, at in (("b", 2.0), ("c", 3.0), ("a", 1.0)):
        add_dead_letter(server, task_id, at=at)
    assert [letter.id for letter in dead.letters()] == ["a", "b", "c"]
    assert dead.ids(before=2.0) == ["a", "b"]


def test_caller_gets_the_same_error_code(server, ner):
    job, _ = die(server, ner)
    with pytest.raises(WorkerLost, match=REASON):
        job.result()


def test_retried_letter_keeps_its_id(server, ner, dead, request):
    job, message = die(server, ner)
    assert dead.retry([job.id]) == 1
    assert server.client.lrange("hanner", 0, -1) == [message]
    assert decoded(message)["id"] == job.id
    assert dead.count() == len(dead.ids()) == 0
    assert not server.client.exists(KEYS.crashes, result_key(job.id))
    request.getfixturevalue("worker")
    assert ner.job(job.id).result()[0].text == "马云"


def test_retried_letter_goes_to_the_end_of_the_queue(server, ner, dead):
    job, message = die(server, ner)
    ner.submit("先")
    dead.retry([job.id])
    assert server.client.lindex("hanner", 0) == message  # workers take from the other end


def test_concurrent_retries_send_a_letter_once(server, ner, dead):
    jobs = [die(server, ner)[0].id for _ in range(20)]
    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(lambda _: dead.retry(jobs), range(4))) == 20
    assert server.client.llen("hanner") == 20


def test_retry_at_the_memory_limit_keeps_the_letter(server, ner, dead):
    job, _ = die(server, ner)
    server.client.config_set("maxmemory", "1")
    try:
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            dead.retry([job.id])
    finally:
        server.client.config_set("maxmemory", "0")
    assert dead.count() == 1
    assert server.client.llen("hanner") == 0
    assert dead.retry([job.id]) == 1


def test_purge_counts_existing_letters(server, dead):
    for number in range(KEYS_PER_COMMAND + 1):
        add_dead_letter(server, str(number))
    assert dead.purge(["0", "0", "unknown"]) == 1
    assert dead.purge(dead.ids()) == KEYS_PER_COMMAND
    assert dead.count() == len(dead.ids()) == 0


def test_queues_have_separate_letters(server, dead):
    add_dead_letter(server, "a")
    assert DeadLetters(server.client, "other").count() == 0


def test_invalid_letter_is_an_error(server, dead):
    server.client.hset(KEYS.dead, "a", "[]")
    with pytest.raises(HannerError, match="the dead letter a cannot be read"):
        dead.get("a")


def test_client_without_decoding_reads_the_same(server):
    letter = add_dead_letter(server, "a", message='{"body": "字"}')
    with redis.Redis.from_url(server.url) as raw:
        assert list(DeadLetters(raw, "hanner").letters()) == [letter]


def test_large_dead_letters_are_read_in_groups(server):
    letters = DeadLetters(server.client, "hanner")
    for n in range(6):
        add_dead_letter(server, str(n), at=n, message="x" * 1_500_000)
    server.client.config_resetstat()
    assert [letter.id for letter in letters.letters()] == [str(n) for n in range(6)]
    assert server.client.info("commandstats")["cmdstat_hmget"]["calls"] == 3
