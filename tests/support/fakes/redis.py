"""A fake Redis that holds one list in memory, behind redis-py's connection interface. It fails or blocks on demand."""

import threading


class FakeRedis:
    """Creates connections to one list.

    Attributes:
        queue: The list.
        commands: Names of the commands received so far.
        opened: Number of connections opened so far.
        replies: For each of the next commands: an error to raise, or None to execute the command.
        refused: For each of the next connections: an error to raise, or None to accept it.
        gate: Commands wait until it is set; it is set at first.
        entered: Set when a command arrives.
    """

    def __init__(self):
        self.queue = []
        self.commands = []
        self.opened = 0
        self.replies = []
        self.refused = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def connect(self):
        return FakeConnection(self)


class FakeConnection:
    def __init__(self, redis):
        self._redis = redis
        self._open = False

    def connect(self):
        if self._redis.refused and (error := self._redis.refused.pop(0)):
            raise error
        self._redis.opened += 1
        self._open = True

    def disconnect(self):
        self._open = False

    def send_command(self, *command):
        assert self._open
        self._command = command

    def read_response(self, *, disconnect_on_error=True):
        redis = self._redis
        if self._command[0] == "HELLO":  # it belongs to the opening of a connection
            return [b"mode", b"standalone"]
        redis.entered.set()
        assert redis.gate.wait(60)
        name, *arguments = self._command
        redis.commands.append(name)
        if redis.replies and (error := redis.replies.pop(0)):
            raise error
        if name == "TIME":
            return [b"1000", b"500000"]
        if name == "LPUSH":
            redis.queue += arguments[1:]
            return len(redis.queue)
        _, _, _, limit, *messages = arguments
        accepted = max(0, min(len(messages), limit - len(redis.queue)))
        redis.queue += messages[:accepted]
        return [accepted, len(redis.queue)]
