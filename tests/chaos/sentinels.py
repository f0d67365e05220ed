"""A master, a replica and a sentinel, with the interface of a RedisProcess."""

from pathlib import Path

import redis

from chaos.redis_servers import RedisProcess
from support.bare_server import shorten_periods
from support.ports import free_port
from support.servers import server_version
from support.waiting import DEADLINE, wait_until

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
        wait_until(lambda: second.client.info("replication")["master_link_status"] == "up")
        conf = self._sentinel.folder / "sentinel.conf"
        lines = [
            f"sentinel monitor {NAME} 127.0.0.1 {first.port} 1",
            # On a busy machine a server may not answer for a second, which must not cause a failover.
            f"sentinel down-after-milliseconds {NAME} 5000",
            f"sentinel failover-timeout {NAME} 10000",
        ]
        conf.write_text("\n".join([*lines, ""]), "ascii")
        self._sentinel.start()
        shorten_periods(self._sentinel.client)
        self.wait_replicas()
        return self

    def wait_replicas(self):
        """Wait until the sentinel knows a replica that could be promoted."""

        def healthy():
            replicas = self._sentinel.client.sentinel_slaves(NAME)
            return any(not r["is_odown"] and not r["is_sdown"] and r["master-link-status"] == "ok" for r in replicas)

        wait_until(healthy, why=lambda: "the sentinel does not know a healthy replica")

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

    @property
    def brokers(self):
        """The master: the replica has the same texts."""
        return [self]

    def failover(self):
        """Swap master and replica after the replica has caught up, so that no write is lost.

        Valkey 9 has a command for it. Earlier versions and Redis need a pause of all writes during the swap.
        """
        before = self.port
        name, version = server_version()
        if name == "Valkey" and version >= (9,):
            self._order_failover("COORDINATED")
            self._wait_for_new_master(before)
            return
        master = self.master
        replica = next(server for server in self.servers if server is not master)
        master.client.execute_command("CLIENT", "PAUSE", int(DEADLINE * 1000), "WRITE")
        offset = master.client.info("replication")["master_repl_offset"]
        wait_until(lambda: replica.client.info("replication")["slave_repl_offset"] >= offset)
        self._order_failover()
        self._wait_for_new_master(before)
        master.client.replicaof("127.0.0.1", replica.port)  # as the sentinel does, which may take it half a minute
        master.client.execute_command("CLIENT", "UNPAUSE")

    def _order_failover(self, *options):
        """Order a failover; on a busy machine the sentinel may not know a healthy replica for a moment."""
        command = ("SENTINEL", "FAILOVER", NAME, *options)
        wait_until(lambda: self._sentinel.client.execute_command(*command), ignore=redis.ResponseError)

    def kill_master(self):
        """Kill the master, wait until the replica is promoted, and restart the old master as its replica."""
        dead = self.master
        dead.kill()
        self._wait_for_new_master(dead.port)
        dead.start(wait=False)

    def _wait_for_new_master(self, before):
        wait_until(
            lambda: self.port != before and self.client.info("replication")["role"] == "master",
            why=lambda: "the sentinel did not promote the replica",
            ignore=redis.RedisError,
        )

    def close(self):
        self._sentinel.close()
        for server in self.servers:
            server.close()
