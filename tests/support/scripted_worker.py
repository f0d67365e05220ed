"""The real worker with a fake model that obeys commands in the texts: `celery -A support.scripted_worker worker`.

The model finds every `马云` as PER. `!raise` makes the model fail, `!die` kills the process, `!die-once:NAME` kills it
only the first time, `!die-until:NAME` kills it until the key NAME exists, `!wait:NAME` blocks until something is pushed
to the list NAME. `!wait-ended:NAME` blocks the same way once, when the results of its batch are stored and not yet
reported. `!kill-at:N:NAME` kills the process once, after the run, when it is about to send command N to Redis;
`!fail-kill-at:N:NAME` makes the model fail too. A later one replaces it, and `!disarm` cancels it. `!full` fills the
memory of Redis. Each run is appended to the list `runs`, and the id of its process to `runners`. A message whose id
starts with `!die` kills the worker's parent when it is decoded. When one whose id starts with `!no-writes` is decoded
for the first time, Redis refuses writes from then on.

FAKE_CLOCK_OFFSET: seconds by which the clock of this worker's machine is ahead. FAKE_VISIBILITY_TIMEOUT: seconds.
"""

import json
import os
import signal
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count

import redis
import time_machine
from redis.backoff import ConstantBackoff
from redis.connection import AbstractConnection
from redis.retry import Retry

from hanner.address import parse_address
from hanner.settings import Settings
from hanner_worker.app import make_worker_app
from hanner_worker.delivery import channel
from hanner_worker.delivery.channel import INFLIGHT_OPTION
from hanner_worker.delivery.decoding import FAULT
from hanner_worker.delivery.decoding import decode as decode_message
from hanner_worker.execution import batch
from support.fakes.recogniser import FakeRecogniser
from support.waiting import DEADLINE

SEND = AbstractConnection.send_packed_command


class ScriptedRecogniser(FakeRecogniser):
    def __init__(self, url):
        super().__init__("fake", self._find_entities)
        self._url = url

    def _find_entities(self, texts):
        if not self._url.startswith("sentinel:"):  # those tests move the master, and read no records
            self._execute(texts)
        return map(find, texts)

    def _execute(self, texts):
        # A real model works without Redis, so this one retries until Redis is reachable.
        retry = {"retry": Retry(ConstantBackoff(0.05), 400), "retry_on_error": [redis.ConnectionError]}
        address = parse_address(self._url).client_options()
        with redis.Redis(**{**address, "socket_timeout": None}, **retry) as client:
            with suppress(redis.OutOfMemoryError), client.pipeline() as pipe:
                pipe.rpush("runs", json.dumps([len(text) for text in texts]))
                pipe.rpush("runners", os.getpid())
                pipe.execute()
            for text in texts:
                self._execute_command(text, client)

    def _execute_command(self, text, client):
        command, _, name = text.partition(":")
        if command == "!raise":
            raise ValueError(text)
        once = command == "!die-once" and client.setnx(f"died:{name}", 1)
        if command == "!die" or once or (command == "!die-until" and not client.exists(name)):
            client.rpush("deaths", text)
            os.kill(os.getpid(), signal.SIGKILL)
        if command.endswith("kill-at") and client.setnx(f"armed:{name}", 1):
            number, _, name = name.partition(":")
            kill_at(int(number), lambda: client.rpush("kills", name))
        if command == "!disarm":
            AbstractConnection.send_packed_command = SEND
        if command == "!fail-kill-at":
            raise ValueError(text)
        if command == "!full":
            client.config_set("maxmemory", "1kb")
        if command == "!wait":
            wait_for(name, client)
        if command == "!wait-ended" and client.setnx(f"armed:{name}", 1):
            wait_before_report(name, self._url)


def wait_for(name, client):
    client.rpush("waiting", name)
    client.blpop([name], timeout=DEADLINE)


def wait_before_report(name, url):
    """Block this process when the results of its batch are stored, before it reports them."""

    def wait():
        with redis.Redis.from_url(url) as client:
            wait_for(name, client)

    batch._heap_trimmer.after_batch = wait  # it is called last


def kill_at(number, before):
    """Kill this process when it is about to send this command to Redis, counted from 0; call `before` first."""
    numbers = count()

    def send_or_die(connection, *args, **kwargs):
        if next(numbers) < number:
            return SEND(connection, *args, **kwargs)
        AbstractConnection.send_packed_command = SEND
        before()
        os.kill(os.getpid(), signal.SIGKILL)
        return None

    AbstractConnection.send_packed_command = send_or_die


def find(text):
    starts = [n for n in range(len(text)) if text.startswith("马云", n)]
    return [{"text": "马云", "type": "PER", "start": n, "end": n + 2, "score": 1.0} for n in starts]


def decode(raw, max_bytes):
    message = decode_message(raw, max_bytes)
    task_id = str(message["headers"].get("id"))
    if task_id.startswith("!die") and FAULT not in message["properties"]:
        os.kill(os.getpid(), signal.SIGKILL)
    if task_id.startswith("!no-writes"):
        with redis.Redis.from_url(os.environ["HANNER_BROKER_URL"]) as client:
            if client.setnx(f"armed:{task_id}", 1):
                client.config_set("min-replicas-to-write", 1)
    return message


def make(settings):
    channel.decode = decode
    app = make_worker_app(settings, load=lambda settings: ScriptedRecogniser(settings.broker_url))
    if seconds := os.environ.get("FAKE_VISIBILITY_TIMEOUT"):
        app.conf.broker_transport_options[INFLIGHT_OPTION].visibility_timeout = float(seconds)
    options = json.loads(os.environ.get("FAKE_TRANSPORT", "{}"))
    app.conf.broker_transport_options = app.conf.broker_transport_options | options
    app.conf.worker_pool_restarts = bool(os.environ.get("FAKE_RESTARTS"))
    return app


if offset := os.environ.get("FAKE_CLOCK_OFFSET"):
    time_machine.travel(datetime.now(UTC) + timedelta(seconds=float(offset))).start()
if os.environ.get("HANNER_BROKER_URL"):
    app = make(Settings.from_env())
