"""All fault plans by name: what is sent, and what is broken meanwhile."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from chaos import faults, fuzz
from chaos.clocks import UnsteadyRedis
from chaos.medley import medley
from chaos.proxy import ProxiedRedis
from chaos.redises import RedisProcess
from chaos.sentinels import SentinelSet


@dataclass(frozen=True)
class Plan:
    """One plan.

    Attributes:
        name: as the command line knows it.
        what: for the table.
        fault: breaks things while texts flow; gets the run.
        texts: how many are sent.
        commands: texts that do something to their worker, and how many of each.
        workers: of two pool processes each.
        settle: seconds after the last fault within which every caller must know.
        env: variables of the workers.
        redis: makes the broker in a folder.
    """

    name: str
    what: str
    fault: Callable
    texts: int
    commands: Mapping[str, int] = field(default_factory=dict)
    workers: int = 3
    settle: float = 60.0
    env: Mapping[str, str] = field(default_factory=dict)
    redis: Callable = RedisProcess


_ALL = [
    Plan("parents", "kill -9 of a worker's parent", faults.parents, 20_000, workers=4),
    Plan("pool", "kill -9 of a pool process", faults.pool, 20_000),
    Plan("kills", "both, shuffled", faults.kills, 100_000, workers=4),
    Plan("poison", "texts that end their process", faults.none, 10_000, {"!exit": 10}),
    Plan("raising", "texts that the model fails on", faults.none, 10_000, {"!raise": 10}),
    Plan(
        "hanging",
        "texts that hang until the hard limit",
        faults.none,
        2_000,
        {"!hang": 5},
        env={"CHAOS_TIME_LIMIT": "2"},
    ),
    Plan("rolling", "SIGTERM, one worker after the other", faults.rolling, 20_000),
    Plan("stop-while-away", "SIGTERM while there is no Redis", faults.stop_while_away, 4_000),
    Plan("frozen-worker", "SIGSTOP beyond the lease, SIGCONT", faults.frozen_worker, 10_000),
    Plan("redis-stop", "Redis stopped and started", faults.redis_stop, 10_000),
    Plan("redis-kill", "Redis killed and started, everysec", faults.redis_kill, 10_000),
    Plan(
        "redis-kill-always",
        "Redis killed and started, always",
        faults.redis_kill,
        10_000,
        redis=lambda folder: RedisProcess(folder, appendfsync="always"),
    ),
    Plan("power-cut", "Redis killed, all after its last fsync gone", faults.power_cut, 20_000),
    Plan("redis-freeze", "Redis frozen for 10 s", faults.redis_freeze, 6_000),
    Plan("client-kill", "CLIENT KILL of every connection", faults.client_kill, 20_000),
    Plan("resets", "RST in the middle of commands and replies", faults.resets, 20_000, redis=ProxiedRedis),
    Plan("script-flush", "SCRIPT FLUSH", faults.script_flush, 20_000),
    Plan("loading", "LOADING for seconds after a restart", faults.loading, 6_000),
    Plan("readonly", "READONLY for 3 s", faults.readonly, 6_000),
    Plan("failover", "Sentinel swaps master and replica", faults.failover, 10_000, redis=SentinelSet),
    Plan("master-lost", "Sentinel, the master killed", faults.master_lost, 10_000, redis=SentinelSet),
    Plan("clock", "Redis' clock jumps by an hour", faults.clock_jumps, 10_000, redis=UnsteadyRedis),
    Plan("disk-full", "MISCONF: the disk is full for 5 s", faults.disk_full, 6_000),
    Plan("memory-full", "maxmemory reached for 5 s, noeviction", faults.memory_full, 6_000),
    Plan("medley", "a bit of everything", medley, 3_000, {"!exit": 1, "!raise": 1}),
    Plan("fuzz", "messages that are none", fuzz.fault, 20_000),
]
PLANS = {plan.name: plan for plan in _ALL}
