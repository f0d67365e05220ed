"""Runs the checks: reads environment, Redis and workers, and sends a test text."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import metadata, util
from typing import Any

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError, ResponseError

from hanner.address import BrokerAddress, parse_address
from hanner.cli.doctor import environment, server, workers
from hanner.cli.doctor.permissions import check_permissions
from hanner.cli.doctor.result import CheckResult, Level, fail, ok
from hanner.cli.plugins import load_local
from hanner.client import Client
from hanner.contract import EXAMPLE_TEXT
from hanner.errors import HannerError
from hanner.queue.keys import QueueKeys
from hanner.queue.stats import read_worker_names
from hanner.settings import Settings
from hanner.transport.celery_app import make_celery
from hanner.utils.packaging import install_hint
from hanner.utils.stack_file import find_running_stack

REPLY_TIMEOUT = 1.5
"""Seconds that workers have to answer a remote-control command."""


def run_checks(broker: str | None, timeout: float) -> Iterator[CheckResult]:
    """Yield the results of all checks, from this process to the workers."""
    yield environment.check_python()
    yield from environment.check_packages()
    yield from environment.check_variables(os.environ)
    stack = find_running_stack()
    settings, results = environment.read_settings(os.environ, broker, stack)
    yield from results
    if settings is None:
        return
    yield environment.check_address(settings, os.environ, broker, stack)
    yield from _check_local_worker(settings)
    parts = settings.per_address()
    for part in parts:
        address = parse_address(part.broker_url)
        for result in _check_address(part, address, timeout):
            yield result if len(parts) == 1 else _name_address(result, address)


def _check_address(settings: Settings, address: BrokerAddress, timeout: float) -> Iterator[CheckResult]:
    """Check one Redis and its workers."""
    yield server.check_address(address)
    app = make_celery(settings)
    try:
        yield from _check_remote(app, settings, timeout)
    except (RedisError, OperationalError, OSError) as error:
        yield server.unreachable(error, address)
    finally:
        app.close()


def _name_address(result: CheckResult, address: BrokerAddress) -> CheckResult:
    """Return a result whose message names the address that was checked, one of several."""
    is_named = str(address) in result.message
    return result if is_named else replace(result, message=f"{address}: {result.message}")


def _check_local_worker(settings: Settings) -> Iterator[CheckResult]:
    """Check what a worker needs on this machine, if its packages are installed."""
    if util.find_spec("onnxruntime") is None:
        yield ok("engine", f"not installed, which a client does not need; for a worker, {install_hint('worker')}")
        return
    yield from load_local("checks")(settings)


def _check_remote(app: Any, settings: Settings, timeout: float) -> Iterator[CheckResult]:
    """Check Redis and the workers."""
    redis = app.backend.client
    permissions = check_permissions(redis, settings.queue, parse_address(settings.broker_url).database)
    yield permissions
    if permissions.level is Level.FAIL:  # the other checks would be denied too
        return
    info = redis.info()
    yield from server.check_server(info)
    if server.loads_as_default_user(info):
        yield server.check_default_user(info, _default_user(redis))
    before = time.time()
    seconds, micros = redis.time()
    yield server.check_clock(seconds + micros / 1e6, before, time.time())
    waiting = sum(int(redis.llen(name)) for name in QueueKeys(settings.queue).lists)
    yield ok("queue", f"{settings.queue!r} has {waiting:,} messages")
    before = time.time()
    names = read_worker_names(redis)
    ask = app.control.broadcast
    replies = ask("hanner_about", destination=names, reply=True, timeout=REPLY_TIMEOUT) if names else []
    reports = workers.merge_replies(replies or [])
    local = workers.LocalSide(settings, metadata.version("hanner"), before, time.time())
    yield from workers.check_workers(reports, local)
    yield _check_result(settings, timeout, waiting)


def _default_user(redis: Any) -> Any:
    """Return the permissions of the user `default`, or None if this client is not permitted to read them."""
    try:
        return redis.acl_getuser("default")
    except ResponseError:  # also NoPermissionError, and servers without this command
        return None


def _check_result(settings: Settings, timeout: float, waiting: int) -> CheckResult:
    """Send a test text through the queue."""
    began = time.perf_counter()
    try:
        with Client(settings=settings) as ner:
            ner.extract(EXAMPLE_TEXT, timeout=timeout)
    except HannerError as error:
        fix = f"{waiting:,} messages wait before it; start more workers" if waiting else "see the results above"
        return fail("result", f"no result for a test text: {error}", fix)
    return ok("result", f"a test text was answered in {(time.perf_counter() - began) * 1000:.0f} ms")
