"""Faults. Each function gets the run, draws its choices from the run's seed, and repairs what it broke."""

import signal
import threading
import time
from uuid import uuid4

import redis

from chaos.redis_servers import LIBFAKETIME

LONGER_THAN_LEASE = 12.0
"""Seconds; a worker's lease is 5."""
REPLICATION_LAG = 1.0
"""Seconds that a replica may be behind. On one machine it is milliseconds."""


def none(run):
    """Inject nothing: the commands in the texts are the faults."""
    run.faults = len(run.producer.commands)


def kill_parents(run):
    for _ in run.schedule(run.count(200)):
        run.kill_parent()


def kill_pool_processes(run):
    for _ in run.schedule(run.count(200)):
        run.kill_pool_process()


def kill_both(run, kills=1000):
    half = run.count(kills / 2)
    order = [run.kill_parent] * half + [run.kill_pool_process] * half
    run.random.shuffle(order)
    for number in run.schedule(2 * half):
        order[number]()


def rolling_restart(run):
    for _ in run.schedule(run.count(20)):
        replace_worker(run)


def replace_worker(run):
    """Start a worker, wait until it is ready, and stop another with SIGTERM. Its exit status must be 0."""
    run.workers.wait_ready(run.workers.start())
    stopping = run.workers.ready()[0]
    run.workers.remove(stopping)
    stopping.signal(signal.SIGTERM)
    expect_exit(run, stopping)


def expect_exit(run, stopping):
    """Wait until a worker exits by itself, with status 0."""
    try:
        status = run.workers.wait_exit(stopping, 30)
    except TimeoutError:
        run.unexpected.append(f"{stopping.name} did not exit within 30 s of SIGTERM")
    else:
        if status != 0:
            run.unexpected.append(f"{stopping.name} exited with {status} after SIGTERM")


def stop_without_redis(run):
    """Stop a worker with SIGTERM while Redis is down."""
    for _ in run.schedule(run.count(5)):
        run.workers.wait_ready(run.workers.start())
        stopping = run.workers.ready()[0]
        run.redis.kill()
        run.pause(run.random.uniform(0, 1))
        run.workers.remove(stopping)
        stopping.signal(signal.SIGTERM)
        expect_exit(run, stopping)
        run.redis.start()
        run.recovery.add_outage_end()


def frozen_worker(run):
    """Freeze a worker and its pool for longer than its lease, then resume it."""
    for _ in run.schedule(run.count(5)):
        victim = run.any_worker()
        victim.signal_all(signal.SIGSTOP)
        run.record_death(victim)
        run.pause(LONGER_THAN_LEASE)
        victim.signal_all(signal.SIGCONT)


def redis_stop(run):
    for _ in run.schedule(run.count(10)):
        restart_redis(run, run.redis.terminate)


def redis_kill(run):
    for _ in run.schedule(run.count(20)):
        restart_redis(run, run.redis.kill)


def restart_redis(run, stop):
    stop()
    run.pause(run.random.uniform(0, 1))
    run.redis.start()
    run.recovery.add_outage_end()


def one_redis_of_several(run):
    """Kill one Redis of several, again while its workers connect, then a worker. The others continue."""
    for _ in run.schedule(run.count(20)):
        broker = run.random.choice(run.redis.brokers)
        for longest in (3, 0.5):
            broker.kill()
            run.pause(run.random.uniform(0, longest))
            broker.start()
            run.pause(run.random.uniform(0, 0.5))
        run.recovery.add_outage_end()
        run.kill_parent()


def redis_freeze(run):
    for _ in run.schedule(run.count(2)):
        run.redis.freeze()
        run.pause(10)
        run.redis.thaw()
        run.recovery.add_outage_end()


def kill_connections(run):
    for _ in run.schedule(run.count(100)):
        kill_all_connections(run)


def kill_all_connections(run):
    for kind in ("normal", "pubsub"):
        run.client.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
    run.recovery.add_outage_end()


def reset_connections(run):
    for _ in run.schedule(run.count(100)):
        run.redis.reset()
        run.recovery.add_outage_end()


def failover(run):
    """Make the sentinel swap master and replica after the replica has caught up."""
    for _ in run.schedule(run.count(5)):
        run.redis.failover()
        run.recovery.add_outage_end()
        run.redis.wait_replicas()


def master_lost(run):
    """Kill the master. Writes that it had not replicated are lost; no guarantee covers them."""
    unsafe = 0
    for _ in run.schedule(run.count(5)):
        moment = time.monotonic() - REPLICATION_LAG
        run.redis.kill_master()
        unsafe += run.allow_loss(since=moment)
        run.recovery.add_outage_end()
        run.redis.wait_replicas()
    run.notes.append(f"{unsafe} texts were accepted in the last {REPLICATION_LAG:g} s before a kill")


def clock_jumps(run):
    """Shift Redis' clock by an hour and back."""
    if LIBFAKETIME is None:
        run.notes.append("not run: libfaketime is not installed")
        return
    for number in run.schedule(run.count(10)):
        run.redis.shift_clock(0 if number % 2 else run.random.choice([3600, -3600]))
        run.recovery.add_outage_end()
    run.redis.shift_clock(0)


def script_flush(run):
    for _ in run.schedule(run.count(100)):
        run.client.script_flush()


def loading(run):
    """Restart Redis with so many keys, loaded so slowly, that it replies LOADING for seconds."""
    with run.client.pipeline(transaction=False) as pipe:
        for number in range(4000):
            pipe.set(f"ballast:{number}", "x")
        pipe.execute()
    for _ in run.schedule(run.count(3)):
        run.redis.kill()
        run.redis.start(wait=False, key_load_delay=500, loading_process_events_interval_bytes=1024)
        run.redis.wait()
        run.recovery.add_outage_end()


def readonly(run):
    """Make Redis a replica of an unreachable master: it keeps its data and refuses writes."""
    for _ in run.schedule(run.count(5)):
        run.client.replicaof("127.0.0.1", 1)
        run.pause(3)
        run.client.replicaof("NO", "ONE")
        run.recovery.add_outage_end()


def disk_full(run):
    for _ in run.schedule(run.count(5)):
        run.redis.limit_file_size(run.redis.append_only_file().stat().st_size)
        run.pause(5)
        run.redis.limit_file_size(-1)
        run.recovery.add_outage_end()


def memory_full(run):
    for _ in run.schedule(run.count(5)):
        run.client.config_set("maxmemory", 1)
        run.pause(5)
        run.client.config_set("maxmemory", 0)
        run.recovery.add_outage_end()


class FsyncTracker:
    """Tracks how much of the append-only file is certainly on disk, with WAITAOF; a context manager."""

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
            # All that was answered before this moment precedes the mark in the file. The file's size is not enough: if
            # an fsync takes long, Redis answers before it writes.
            moment, mark = time.monotonic(), uuid4().hex
            client.set("chaos:fsync", mark)
            if client.execute_command("WAITAOF", 1, 0, 3000)[0] == 1:
                self.size, self.moment = self.size + self._end_of(mark), moment

    def _end_of(self, mark):
        """Return the number of bytes in the file from `size` to the end of the command with the mark."""
        with self._server.append_only_file().open("rb") as file:
            file.seek(self.size)
            return file.read().index(mark.encode()) + len(mark) + len("\r\n")


def power_cut(run):
    """Kill Redis and truncate its file to the part that was certainly on disk, as a power failure would."""
    unsafe = 0
    for _ in run.schedule(run.count(10)):
        with FsyncTracker(run.redis) as tracker:
            run.pause(run.random.uniform(1.5, 3))
            run.redis.kill()
            size, moment = tracker.size, tracker.moment
        with run.redis.append_only_file().open("r+b") as file:
            file.truncate(size)
        unsafe += run.allow_loss(since=moment)
        run.redis.start()
        run.recovery.add_outage_end()
    run.notes.append(f"{unsafe} texts were accepted after the last fsync")


def mixed(run):
    """Run every short fault once or more, in an order drawn from the seed: the selection for `make test`."""
    steps = [run.kill_parent] * 3 + [run.kill_pool_process] * 4
    steps += [lambda: kill_all_connections(run)] * 3 + [run.client.script_flush] * 2
    steps += [lambda: restart_redis(run, run.redis.kill), lambda: restart_redis(run, run.redis.terminate)]
    steps += [lambda: replace_worker(run)]
    run.random.shuffle(steps)
    for number in run.schedule(len(steps)):
        steps[number]()
