"""Malformed messages among valid ones: random bytes, wrong types, deep JSON, huge numbers, wrong headers."""

import base64
import json
import random
import string
import uuid

from chaos.audit import QUEUE

CHUNK = 250


def fault(run):
    """Push malformed messages directly to the queue while texts are sent. No process may exit."""
    pools = {worker.pid: {process.pid for process in worker.pool()} for worker in run.workers.workers}
    total = run.count(100_000)
    messages = Fuzzer(run.random)
    for number in run.schedule(-(-total // CHUNK)):
        run.client.lpush(QUEUE, *(messages.next() for _ in range(min(CHUNK, total - number * CHUNK))))
    run.faults = total
    run.producer.allow(run.texts)
    run.log.wait_finished(run.texts, 120)
    if not run.wait_for(lambda: run.client.llen(QUEUE) == 0):
        run.unexpected.append(f"{run.client.llen(QUEUE)} messages are left in the queue")
    for worker in run.workers.workers:
        exited = pools[worker.pid] - {process.pid for process in worker.pool()}
        if exited:
            run.unexpected.append(f"{len(exited)} pool processes of {worker.name} exited")


class Fuzzer:
    """Generates messages; the same seed gives the same messages."""

    def __init__(self, random_: random.Random):
        self._random = random_
        self._kinds = [
            self._bytes,
            self._cut,
            self._wrong_document,
            self._deep,
            self._huge_number,
            self._wrong_part,
            self._wrong_property,
            self._wrong_header,
            self._wrong_body,
            self._wrong_payload,
            self._wrong_arguments,
            self._wrong_embedding,
        ]

    def next(self):
        """Return one message as bytes."""
        return self._random.choice(self._kinds)()

    def junk(self):
        """Return a JSON value of any type."""
        r = self._random
        return r.choice(
            [
                None,
                True,
                -1,
                0,
                10**30,
                1e308,
                float("nan"),
                float("-inf"),
                "",
                "x" * r.randrange(50),
                "\ud800",
                "\x00",
                [],
                [[]],
                {},
                {"x": None},
                [None, 1, "x"],
                {"id": 1, "task": []},
            ]
        )

    def valid(self):
        """Return a message as Celery's client sends it, and its payload."""
        r = self._random
        task_id = str(uuid.UUID(int=r.getrandbits(128)))
        headers = {
            "lang": "py",
            "task": r.choice(["hanner.extract", "hanner.extract_many"]),
            "id": task_id,
            "shadow": None,
            "eta": None,
            "expires": None,
            "group": None,
            "group_index": None,
            "retries": 0,
            "timelimit": [None, None],
            "root_id": task_id,
            "parent_id": None,
            "argsrepr": "('x',)",
            "kwargsrepr": "{}",
            "origin": "fuzz",
            "ignore_result": False,
            "replaced_task_nesting": 0,
            "stamped_headers": None,
            "stamps": {},
        }
        properties = {
            "correlation_id": task_id,
            "reply_to": str(uuid.UUID(int=r.getrandbits(128))),
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": QUEUE},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid.UUID(int=r.getrandbits(128))),
        }
        message = {
            "body": None,
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": headers,
            "properties": properties,
        }
        return message, [["马云"], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]

    def packed(self, message, payload):
        message["body"] = base64.b64encode(json.dumps(payload).encode()).decode()
        return json.dumps(message).encode()

    def _bytes(self):
        return self._random.randbytes(self._random.randrange(1, 400))

    def _cut(self):
        whole = self.packed(*self.valid())
        return whole[: self._random.randrange(1, len(whole))]

    def _wrong_document(self):
        return json.dumps(self.junk()).encode()

    def _deep(self):
        depth = self._random.choice([900, 1100, 100_000])
        deep = "[" * depth + "]" * depth
        message, _ = self.valid()
        where = self._random.choice(["document", "headers", "body"])
        if where == "document":
            return deep.encode()
        if where == "body":
            message["body"] = base64.b64encode(deep.encode()).decode()
            return json.dumps(message).encode()
        message["headers"]["argsrepr"] = "DEEP"
        return json.dumps(message).replace('"DEEP"', deep).encode()

    def _huge_number(self):
        message, payload = self.valid()
        huge = "9" * self._random.choice([400, 5000])
        name = self._random.choice(["retries", "eta", "expires", "timelimit", "id", "task"])
        message["headers"][name] = "HUGE"
        return self.packed(message, payload).replace(b'"HUGE"', huge.encode())

    def _wrong_part(self):
        message, payload = self.valid()
        whole = json.loads(self.packed(message, payload))
        name = self._random.choice(list(whole))
        if self._random.random() < 0.3:
            del whole[name]
        else:
            whole[name] = self.junk()
        return json.dumps(whole).encode()

    def _wrong_property(self):
        message, payload = self.valid()
        self._spoil(message["properties"])
        return self.packed(message, payload)

    def _wrong_header(self):
        message, payload = self.valid()
        for _ in range(self._random.randrange(1, 4)):
            self._spoil(message["headers"])
        return self.packed(message, payload)

    def _wrong_body(self):
        message, payload = self.valid()
        packed = self.packed(message, payload)
        message["body"] = "".join(self._random.choices(string.printable, k=self._random.randrange(80)))
        message["content-type"] = self._random.choice(
            ["application/json", "application/x-python-serialize", "application/data", "application/x-yaml", "", "x/y"]
        )
        message["content-encoding"] = self._random.choice(["utf-8", "binary", "utf-16", "base64", "no-such"])
        if self._random.random() < 0.5:
            message["body"] = json.loads(packed)["body"]
        return json.dumps(message).encode()

    def _wrong_payload(self):
        message, payload = self.valid()
        payload = self.junk() if self._random.random() < 0.5 else payload[: self._random.randrange(3)]
        return self.packed(message, payload)

    def _wrong_arguments(self):
        message, payload = self.valid()
        payload[0] = self._random.choice([self.junk(), [self.junk()], [[self.junk()] * 3], [], ["x", "y"]])
        payload[1] = self._random.choice([{}, {}, self.junk(), {"text": self.junk()}])
        return self.packed(message, payload)

    def _wrong_embedding(self):
        message, payload = self.valid()
        self._spoil(payload[2])
        return self.packed(message, payload)

    def _spoil(self, values):
        name = self._random.choice([*values, "unheard-of"])
        if name in values and self._random.random() < 0.2:
            del values[name]
        else:
            values[name] = self.junk()
