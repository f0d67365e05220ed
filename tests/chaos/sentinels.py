"""A master, a replica and a sentinel, behind the face of a RedisProcess."""

import time
from pathlib import Path

import redis

from chaos.redises import PATIENCE, RedisProcess
from support.ports import free_port

NAME = "mymaster"


class SentinelSet:
    """Two servers that replicate and one sentinel that decides; `client` and `port` are the present master's."""

    def __init__(self, folder):
        folder = Path(folder)
        self.servers = [RedisProcess(folder / name, repl_diskless_sync_delay=0) for name in ("a", "b")]
        port = free_port()
        self._watch = RedisProcess(folder / "sentinel", port=port, sentinel=True)
        self.url = f"sentinel://127.0.0.1:{port}/0?master_name={NAME}"

    def start(self):
        for server in self.servers:
            server.start()
        first, second = self.servers
        second.client.replicaof("127.0.0.1", first.port)
        until = time.monotonic() + PATIENCE
        while second.client.info("replication")["master_link_status"] != "up" and time.monotonic() < until:
            time.sleep(0.05)
        conf = self._watch.folder / "sentinel.conf"
        lines = [
            f"sentinel monitor {NAME} 127.0.0.1 {first.port} 1",
            # A busy machine lets a server be silent for a second; a failover for that would not be the one meant.
            f"sentinel down-after-milliseconds {NAME} 5000",
            f"sentinel failover-timeout {NAME} 10000",
        ]
        conf.write_text("\n".join([*lines, ""]), "ascii")
        self._watch.start()
        self.wait_replicas()
        return self

    def wait_replicas(self):
        """Wait until the sentinel knows the replica as one that could take over."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            replicas = self._watch.client.sentinel_slaves(NAME)
            if any(not r["is_odown"] and not r["is_sdown"] and r["master-link-status"] == "ok" for r in replicas):
                return
            time.sleep(0.1)
        raise RuntimeError("the sentinel finds no replica")

    @property
    def port(self):
        return int(self._watch.client.sentinel_get_master_addr_by_name(NAME)[1])

    @property
    def master(self):
        port = self.port
        return next(server for server in self.servers if server.port == port)

    @property
    def client(self):
        return self.master.client

    def failover(self, *, coordinated):
        """Swap the two; `coordinated` lets the replica catch up first (Valkey 9). Return when it is done."""
        before = self.port
        self._watch.client.execute_command("SENTINEL", "FAILOVER", NAME, *(["COORDINATED"] if coordinated else []))
        self._wait_moved(before)

    def kill_master(self):
        """Kill the master; return when the other has been promoted, with the dead one started again as its replica."""
        dead = self.master
        dead.kill()
        self._wait_moved(dead.port)
        dead.start(wait=False)

    def _wait_moved(self, before):
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if self.port != before:
                try:
                    if self.client.info("replication")["role"] == "master":
                        return
                except redis.RedisError:
                    pass
            time.sleep(0.05)
        raise RuntimeError("no failover came about")

    def close(self):
        self._watch.close()
        for server in self.servers:
            server.close()
