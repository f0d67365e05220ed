"""The Lua scripts of delivery, one file each. Their keys are those of hanner/queue/keys.py; `InFlightStore` calls them.

Each is redis-py's Script without a client of its own, because processes and threads each pass theirs.

Redis refuses a script's first write when its memory is full, unless the script has freed some before: so each begins
with a command that does. Tags are numbers of fifteen digits, a space and the list that the message came from, so that
sorted tags are in the order of arrival.
"""

from importlib.resources import files

from redis.commands.core import Script


def _load(name: str) -> Script:
    folder = files(__name__)
    source = b"".join((folder / f"{part}.lua").read_bytes() for part in ("common", name))
    return Script(None, source)  # type: ignore[arg-type]  # bytes need no client's encoder


FETCH = _load("fetch")
START = _load("start")
COMPLETE = _load("complete")
ACK = _load("ack")
REQUEUE = _load("requeue")
CRASHED = _load("crashed")
HEARTBEAT = _load("heartbeat")
DEREGISTER = _load("deregister")
