"""Backups of Redis, and changing passwords, with the scripts of the folder compose."""

import urllib.error
import urllib.request

import pytest
import redis

from hanner import Client
from hanner.queue.keys import QueueKeys
from support.docker_stack import get, run
from support.waiting import wait_until

TEXT = "马云在杭州阿里巴巴总部发表演讲"
SERVICES = ("redis", "worker", "gateway", "flower")


def test_backup_is_restored_with_waiting_requests_results_jobs_and_dead_letters(stack, tmp_path):
    with Client(stack.broker_url(), timeout=60) as ner:
        done = ner.submit(TEXT)
        assert done.result()[0].text == "马云"
        finished = stack.create_job([TEXT] * 3)
        wait_until(lambda: stack.job(finished)["state"] == "done")
        stack.admin("HSET", QueueKeys("hanner").dead, "an-id", "a dead letter")
        stack.compose("stop", "worker")
        waiting = [ner.submit(f"第{number}次，{TEXT}") for number in range(5)]
        queued = stack.create_job([TEXT] * 4)
        stack.script("backup.sh", tmp_path / "backup.rdb")
        assert (tmp_path / "backup.rdb").stat().st_mode & 0o077 == 0

        stack.admin("FLUSHALL")
        (tmp_path / "broken.rdb").write_bytes((tmp_path / "backup.rdb").read_bytes()[:200])
        refused = stack.script("restore.sh", tmp_path / "broken.rdb", check=False)
        assert refused.returncode != 0
        assert "not a backup" in refused.stdout + refused.stderr
        assert stack.admin("EXISTS", QueueKeys("hanner").dead).strip() == "0"

        stack.script("restore.sh", tmp_path / "backup.rdb")
        stack.compose("start", "worker")
        assert [job.result()[0].text for job in waiting] == ["马云"] * 5
        assert ner.job(done.id).result()[0].text == "马云"
        assert stack.job(finished)["documents"][0]["entities"]
        wait_until(lambda: stack.job(queued)["state"] == "done")
        assert stack.admin("HGET", QueueKeys("hanner").dead, "an-id").strip() == "a dead letter"
        stack.admin("HDEL", QueueKeys("hanner").dead, "an-id")
    stack.wait_healthy(*SERVICES)


def test_running_redis_is_not_overwritten(stack, tmp_path):
    with pytest.raises(AssertionError, match="stop it first"):
        stack.compose("run", "--rm", "--no-deps", "-T", "admin", "restore", input="")


def test_passwords_are_changed_while_requests_wait(stack):
    before = stack.broker_url()
    with Client(before, timeout=120) as ner:
        ner.extract(TEXT)
        stack.script("change-passwords.sh")
        after = stack.broker_url()
        assert after != before
    with redis.Redis.from_url(before) as old, pytest.raises(redis.AuthenticationError):
        old.ping()
    with Client(after, timeout=60) as ner:
        assert ner.extract(TEXT)[0].text == "马云"
    stack.wait_healthy(*SERVICES)
    assert "previous-url" not in stack.compose("run", "--rm", "--no-deps", "-T", "init", "ls", "/volumes/secrets/admin")


def test_api_keys_are_set_without_a_variable(stack):
    key = "a-key-that-is-in-no-variable"
    stack.set_secret("api-keys", key)
    try:
        stack.compose("up", "--detach", "gateway", env={"HANNER_API_KEYS_FILE": "/run/secrets/hanner/api-keys"})
        stack.wait_healthy("gateway")
        with pytest.raises(urllib.error.HTTPError, match="401") as refused:
            get(stack.url("gateway", "/api/v1/status"))
        refused.value.close()
        request = urllib.request.Request(
            stack.url("gateway", "/api/v1/status"), headers={"Authorization": f"Bearer {key}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 200
        assert key not in run("docker", "inspect", stack.container("gateway")).stdout
    finally:
        stack.compose("up", "--detach", "gateway")
        stack.wait_healthy("gateway")
