"""The Lua scripts of delivery, one file each. Their keys are those of hanner/queue/keys.py; `InFlightStore` calls them.

Redis refuses a script's first write when its memory is full, unless the script has freed some before: so each begins
with a command that does. Tags are numbers of fifteen digits, a space and the list that the message came from, so that
sorted tags are in the order of arrival.
"""

from hanner.utils.lua import load_script

SCHEDULE = load_script(__name__, "hanner.queue:final", "schedule")
FETCH, START, COMPLETE, ACK, REQUEUE, CRASHED, HEARTBEAT, DEREGISTER = (
    load_script(__name__, "common", name)
    for name in ("fetch", "start", "complete", "ack", "requeue", "crashed", "heartbeat", "deregister")
)
