"""All fault plans by name: the texts to send and the fault to inject meanwhile."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from chaos import faults, fuzz
from chaos.canvas import OTHER_APP, CanvasProducer
from chaos.producer import Producer
from chaos.proxy import ProxiedRedis
from chaos.redis_servers import RedisProcess, SeveralRedis, ShiftedClockRedis
from chaos.sentinels import SentinelSet
from support.systems import System


@dataclass(frozen=True)
class Plan:
    """One plan.

    Attributes:
        name: Its name on the command line.
        description: Its name in the table.
        fault: Gets the run and injects faults while texts are sent.
        texts: How many texts to send.
        commands: Commands for the fake model, and in how many texts to put each.
        workers: How many workers to run, with two pool processes each.
        settle_timeout: Seconds after the last fault within which every caller must get its outcome.
        env: Environment variables of the workers.
        redis: Creates the broker in a folder.
        producer: Sends the texts and logs their outcomes.
        other_app: Another Celery app, one worker of which runs beside; the plan does not harm it.
    """

    name: str
    description: str
    fault: Callable
    texts: int
    commands: Mapping[str, int] = field(default_factory=dict)
    workers: int = 3
    settle_timeout: float = 60.0
    env: Mapping[str, str] = field(default_factory=dict)
    redis: Callable = RedisProcess
    producer: Callable = Producer
    other_app: System | None = None


_ALL = [
    Plan("parents", "kill -9 of a worker's parent", faults.kill_parents, 20_000, workers=4),
    Plan("pool", "kill -9 of a pool process", faults.kill_pool_processes, 20_000),
    Plan("kills", "both, shuffled", faults.kill_both, 100_000, workers=4),
    Plan(
        "canvas",
        "both, under links, chains, chords and errbacks",
        partial(faults.kill_both, kills=300),
        4_000,
        workers=4,
        producer=CanvasProducer,
        other_app=OTHER_APP,
    ),
    Plan("poison", "texts that kill their process", faults.none, 10_000, {"!exit": 10}),
    Plan("raising", "texts that the model fails on", faults.none, 10_000, {"!raise": 10}),
    Plan(
        "hanging",
        "texts that hang until the hard limit",
        faults.none,
        2_000,
        {"!hang": 5},
        env={"CHAOS_TIME_LIMIT": "2"},
    ),
    Plan("rolling", "SIGTERM, one worker after the other", faults.rolling_restart, 20_000),
    Plan("stop-without-redis", "SIGTERM while Redis is down", faults.stop_without_redis, 4_000),
    Plan("frozen-worker", "SIGSTOP for longer than the lease, SIGCONT", faults.frozen_worker, 10_000),
    Plan("redis-stop", "Redis stopped and started", faults.redis_stop, 10_000),
    Plan("redis-kill", "Redis killed and started, everysec", faults.redis_kill, 10_000),
    Plan(
        "redis-kill-always",
        "Redis killed and started, always",
        faults.redis_kill,
        10_000,
        redis=lambda folder: RedisProcess(folder, appendfsync="always"),
    ),
    Plan(
        "one-redis",
        "one of two Redis killed and started, and workers killed",
        faults.one_redis_of_several,
        10_000,
        workers=4,
        redis=SeveralRedis,
    ),
    Plan("power-cut", "Redis killed, all data after its last fsync removed", faults.power_cut, 20_000),
    Plan("redis-freeze", "Redis frozen for 10 s", faults.redis_freeze, 6_000),
    Plan("client-kill", "CLIENT KILL of every connection", faults.kill_connections, 20_000),
    Plan("resets", "RST in the middle of commands and replies", faults.reset_connections, 20_000, redis=ProxiedRedis),
    Plan("script-flush", "SCRIPT FLUSH", faults.script_flush, 20_000),
    Plan("loading", "LOADING for seconds after a restart", faults.loading, 6_000),
    Plan("readonly", "READONLY for 3 s", faults.readonly, 6_000),
    Plan("failover", "Sentinel swaps master and replica", faults.failover, 10_000, redis=SentinelSet),
    Plan("master-lost", "Sentinel, the master killed", faults.master_lost, 10_000, redis=SentinelSet),
    Plan("clock", "Redis' clock jumps by an hour", faults.clock_jumps, 10_000, redis=ShiftedClockRedis),
    Plan("disk-full", "MISCONF: the disk is full for 5 s", faults.disk_full, 6_000),
    Plan("memory-full", "maxmemory reached for 5 s, noeviction", faults.memory_full, 6_000),
    Plan("mixed", "every short fault", faults.mixed, 3_000, {"!exit": 1, "!raise": 1}),
    Plan("fuzz", "malformed messages", fuzz.fault, 20_000),
]
PLANS = {plan.name: plan for plan in _ALL}
