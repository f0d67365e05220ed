"""A master, a replica and a sentinel, with the interface of a RedisProcess."""

import time
from pathlib import Path

import redis

from chaos.redis_servers import TIMEOUT, RedisProcess
from support.ports import free_port

NAME = "mymaster"


class SentinelSet:
    """Two servers and one sentinel. `client` and `port` belong to the current master."""

    def __init__(self, folder):
        folder = Path(folder)
        self.servers = [RedisProcess(folder / name, repl_diskless_sync_delay=0) for name in ("a", "b")]
        port = free_port()
        self._sentinel = RedisProcess(folder / "sentinel", port=port, sentinel=True)
        self.url = f"sentinel://127.0.0.1:{port}/0?master_name={NAME}"

    def start(self):
        for server in self.servers:
            server.start()
        first, second = self.servers
        second.client.replicaof("127.0.0.1", first.port)
        until = time.monotonic() + TIMEOUT
        while second.client.info("replication")["master_link_status"] != "up" and time.monotonic() < until:
            time.sleep(0.05)
        conf = self._sentinel.folder / "sentinel.conf"
        lines = [
            f"sentinel monitor {NAME} 127.0.0.1 {first.port} 1",
            # On a busy machine a server may not answer for a second, which must not cause a failover.
            f"sentinel down-after-milliseconds {NAME} 5000",
            f"sentinel failover-timeout {NAME} 10000",
        ]
        conf.write_text("\n".join([*lines, ""]), "ascii")
        self._sentinel.start()
        self.wait_replicas()
        return self

    def wait_replicas(self):
        """Wait until the sentinel knows a replica that could be promoted."""
        until = time.monotonic() + TIMEOUT
        while time.monotonic() < until:
            replicas = self._sentinel.client.sentinel_slaves(NAME)
            if any(not r["is_odown"] and not r["is_sdown"] and r["master-link-status"] == "ok" for r in replicas):
                return
            time.sleep(0.1)
        raise RuntimeError("the sentinel does not know a healthy replica")

    @property
    def port(self):
        return int(self._sentinel.client.sentinel_get_master_addr_by_name(NAME)[1])

    @property
    def master(self):
        port = self.port
        return next(server for server in self.servers if server.port == port)

    @property
    def client(self):
        return self.master.client

    def failover(self, *, coordinated):
        """Swap master and replica. `coordinated` makes the replica catch up first (Valkey 9)."""
        before = self.port
        self._sentinel.client.execute_command("SENTINEL", "FAILOVER", NAME, *(["COORDINATED"] if coordinated else []))
        self._wait_for_new_master(before)

    def kill_master(self):
        """Kill the master, wait until the replica is promoted, and restart the old master as its replica."""
        dead = self.master
        dead.kill()
        self._wait_for_new_master(dead.port)
        dead.start(wait=False)

    def _wait_for_new_master(self, before):
        until = time.monotonic() + TIMEOUT
        while time.monotonic() < until:
            if self.port != before:
                try:
                    if self.client.info("replication")["role"] == "master":
                        return
                except redis.RedisError:
                    pass
            time.sleep(0.05)
        raise RuntimeError("the sentinel did not promote the replica")

    def close(self):
        self._sentinel.close()
        for server in self.servers:
            server.close()
