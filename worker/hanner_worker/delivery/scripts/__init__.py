"""The Lua scripts of delivery, one file each. Their keys are those of hanner/queue/keys.py; `InFlightStore` calls them.

Redis refuses a script's first write when its memory is full, unless the script has freed some before: so each begins
with a command that does. Tags are numbers of fifteen digits, a space and the list that the message came from, so that
sorted tags are in the order of arrival.
"""

from collections.abc import Iterable

from hanner.utils.lua import load_script

COUNT = load_script(__name__, "count")
SCHEDULE = load_script(__name__, "hanner.queue:final", "schedule")
FETCH, START, COMPLETE, ACK, REQUEUE, CRASHED, HEARTBEAT, DEREGISTER, FINISH_CHORD = (
    load_script(__name__, "common", name)
    for name in (
        "fetch", "start", "complete", "ack", "requeue", "crashed", "heartbeat", "deregister", "finish_chord",
    )
)  # fmt: skip


def follower_args(
    messages: Iterable[tuple[str, str]], results: Iterable[tuple[str, bytes, int]]
) -> tuple[list[str], list[str | bytes | int]]:
    """Return the keys and arguments of `queue_followers` in common.lua.

    Args:
        messages: a list of Redis and a raw message each.
        results: key, document and expiry in seconds of results of other tasks.
    """
    keys: list[str] = []
    args: list[str | bytes | int] = []
    for name, message in messages:
        keys.append(name)
        args += ["queue", message]
    for key, document, expiry in results:
        keys.append(key)
        args += [expiry, document]
    return keys, args
