"""A list in memory behind a connection like redis-py's, which fails when told to and waits when told to."""

import threading


class PretendedRedis:
    """Makes connections to a list. `replies` has what happens next: an error, or None to work."""

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
        return PretendedConnection(self)


class PretendedConnection:
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

    def read_response(self, *, disconnect_on_error):
        redis = self._redis
        redis.entered.set()
        assert redis.gate.wait(10)
        name, *arguments = self._command
        redis.commands.append(name)
        if redis.replies and (error := redis.replies.pop(0)):
            raise error
        if name == "LPUSH":
            redis.queue += arguments[1:]
            return len(redis.queue)
        _, _, _, limit, *messages = arguments
        taken = max(0, min(len(messages), limit - len(redis.queue)))
        redis.queue += messages[:taken]
        return [taken, len(redis.queue)]
