"""A pytest plugin for kombu's tests: every channel to Redis is hanner's reliable channel."""

from kombu.transport import TRANSPORT_ALIASES

from hanner.queue.keys import QueueKeys
from hanner_worker.delivery import channel
from hanner_worker.delivery.inflight import InFlightStore

_inflight = InFlightStore(QueueKeys("upstream"), lease=60.0)
channel.MAX_FETCH = 1  # the tests expect one message of each drain_events(); those of Celery run with the real limit


class Transport(channel.Transport):
    def __init__(self, client, **options):
        client.transport_options.setdefault(channel.INFLIGHT_OPTION, _inflight)
        super().__init__(client, **options)


channel.install()
for scheme in ("redis", "rediss"):
    TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
