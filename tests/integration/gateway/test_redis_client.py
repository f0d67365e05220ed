"""The gateway's own Redis client."""

import asyncio

from hanner.settings import Settings
from hanner_gateway.redis_client import close_redis, make_redis


def test_every_cancellation_of_a_command_is_raised(server):
    """Whatever the task does at that moment: a lost cancellation would keep the gateway from shutting down."""

    async def send_commands(redis):
        while True:
            await redis.ping()

    async def body():
        redis = make_redis(Settings(broker_url=server.url))
        lost = []
        for steps in range(300):
            sending = asyncio.create_task(send_commands(redis))
            for _ in range(steps % 50):
                await asyncio.sleep(0)
            sending.cancel()
            await asyncio.wait({sending}, timeout=2)
            if not sending.done():
                lost.append(steps)
            while not sending.done():
                sending.cancel()
                await asyncio.sleep(0)
            if len(lost) == 3:
                break
        await close_redis(redis)
        assert not lost

    asyncio.run(body())
