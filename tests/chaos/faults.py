"""What breaks while texts flow. Each fault gets the run, draws every choice from its seed, and mends what it broke."""

import signal
import threading
import time

import redis

from chaos import clocks

BEYOND = 12.0
"""Seconds that are longer than a worker's lease."""
REPLICATION = 1.0
"""Seconds by which a replica may be behind; here it is milliseconds."""


def none(run):
    """Break nothing; the texts do."""
    run.faults = len(run.producer.commands)


def parents(run):
    for _ in run.spread(run.count(200)):
        run.kill_parent()


def pool(run):
    for _ in run.spread(run.count(200)):
        run.kill_pool_process()


def kills(run):
    half = run.count(500)
    order = [run.kill_parent] * half + [run.kill_pool_process] * half
    run.random.shuffle(order)
    for number in run.spread(2 * half):
        order[number]()


def rolling(run):
    for _ in run.spread(run.count(20)):
        roll(run)


def roll(run):
    """Start a worker, wait until it works, end another by SIGTERM; its exit status must be 0."""
    run.fleet.wait_ready(run.fleet.start())
    leaving = run.fleet.ready()[0]
    run.fleet.leave(leaving)
    leaving.signal(signal.SIGTERM)
    expect_end(run, leaving)


def expect_end(run, leaving):
    """Wait until a worker that was told to has ended, by itself and well."""
    try:
        status = run.fleet.wait_end(leaving, 30)
    except TimeoutError:
        run.unmeant.append(f"{leaving.name} did not end within 30 s of SIGTERM")
    else:
        if status != 0:
            run.unmeant.append(f"{leaving.name} ended with {status} after SIGTERM")


def stop_while_away(run):
    """End a worker by SIGTERM while there is no Redis."""
    for _ in run.spread(run.count(5)):
        run.fleet.wait_ready(run.fleet.start())
        leaving = run.fleet.ready()[0]
        run.redis.kill()
        run.pause(run.random.uniform(0, 1))
        run.fleet.leave(leaving)
        leaving.signal(signal.SIGTERM)
        expect_end(run, leaving)
        run.redis.start()
        run.recovery.back()


def frozen_worker(run):
    """Freeze a worker and its pool for longer than its lease, and let it go on."""
    for _ in run.spread(run.count(5)):
        victim = run.any_worker()
        victim.signal_all(signal.SIGSTOP)
        run.died(victim)
        run.pause(BEYOND)
        victim.signal_all(signal.SIGCONT)


def redis_stop(run):
    for _ in run.spread(run.count(10)):
        restart_redis(run, run.redis.terminate)


def redis_kill(run):
    for _ in run.spread(run.count(20)):
        restart_redis(run, run.redis.kill)


def restart_redis(run, end):
    end()
    run.pause(run.random.uniform(0, 1))
    run.redis.start()
    run.recovery.back()


def redis_freeze(run):
    for _ in run.spread(run.count(2)):
        run.redis.freeze()
        run.pause(10)
        run.redis.thaw()
        run.recovery.back()


def client_kill(run):
    for _ in run.spread(run.count(100)):
        cut_connections(run)


def cut_connections(run):
    for kind in ("normal", "pubsub"):
        run.client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
    run.recovery.back()


def resets(run):
    for _ in run.spread(run.count(100)):
        run.redis.reset()
        run.recovery.back()


def failover(run):
    """Let sentinels swap master and replica after the replica has caught up."""
    for _ in run.spread(run.count(5)):
        run.redis.failover(coordinated=True)
        run.recovery.back()
        run.redis.wait_replicas()


def master_lost(run):
    """Kill the master; what it had not yet replicated is gone, and nobody promised otherwise."""
    unsafe = 0
    for _ in run.spread(run.count(5)):
        moment = time.monotonic() - REPLICATION
        run.redis.kill_master()
        unsafe += run.exempt(since=moment)
        run.recovery.back()
        run.redis.wait_replicas()
    run.notes.append(f"{unsafe} texts were accepted in the last {REPLICATION:g} s before a kill")


def clock_jumps(run):
    """Turn Redis' clock by an hour, to and fro."""
    if clocks.LIBRARY is None:
        run.notes.append("not run: libfaketime is not installed")
        return
    for number in run.spread(run.count(10)):
        run.redis.turn(0 if number % 2 else run.random.choice([3600, -3600]))
        run.recovery.back()
    run.redis.turn(0)


def script_flush(run):
    for _ in run.spread(run.count(100)):
        run.client.script_flush()


def loading(run):
    """Restart with so many keys, and so slowly read, that LOADING lasts for seconds."""
    with run.client.pipeline(transaction=False) as pipe:
        for number in range(4000):
            pipe.set(f"ballast:{number}", "x")
        pipe.execute()
    for _ in run.spread(run.count(3)):
        run.redis.kill()
        run.redis.start(wait=False, key_load_delay=500, loading_process_events_interval_bytes=1024)
        run.redis.wait()
        run.recovery.back()


def readonly(run):
    """Make it a replica of nobody: it keeps its data and refuses writes."""
    for _ in run.spread(run.count(5)):
        run.client.replicaof("127.0.0.1", 1)
        run.pause(3)
        run.client.replicaof("NO", "ONE")
        run.recovery.back()


def disk_full(run):
    for _ in run.spread(run.count(5)):
        run.redis.limit_files(run.redis.log().stat().st_size)
        run.pause(5)
        run.redis.limit_files(-1)
        run.recovery.back()


def memory_full(run):
    for _ in run.spread(run.count(5)):
        run.client.config_set("maxmemory", 1)
        run.pause(5)
        run.client.config_set("maxmemory", 0)
        run.recovery.back()


class Fsyncs:
    """Knows how much of the append-only file is certainly on disk, by WAITAOF; a context manager."""

    def __init__(self, server):
        self._server = server
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.size = 0
        self.moment = 0.0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        while not self._stop.is_set():
            try:
                with redis.Redis(port=self._server.port, socket_timeout=5) as client:
                    self._follow(client)
            except (redis.RedisError, OSError):
                self._stop.wait(0.02)

    def _follow(self, client):
        while not self._stop.is_set():
            size, moment = self._server.log().stat().st_size, time.monotonic()
            client.set("chaos:fsync", size)
            if client.execute_command("WAITAOF", 1, 0, 3000)[0] == 1:
                self.size, self.moment = size, moment


def power_cut(run):
    """Kill Redis and cut its file back to what was certainly on disk, as if the machine had lost its power."""
    unsafe = 0
    for _ in run.spread(run.count(10)):
        with Fsyncs(run.redis) as fsyncs:
            run.pause(run.random.uniform(1.5, 3))
            run.redis.kill()
            size, moment = fsyncs.size, fsyncs.moment
        with run.redis.log().open("r+b") as file:
            file.truncate(size)
        unsafe += run.exempt(since=moment)
        run.redis.start()
        run.recovery.back()
    run.notes.append(f"{unsafe} texts were accepted after the last fsync")
