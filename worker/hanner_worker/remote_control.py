"""Commands of Celery's remote control: this worker adds `hanner_about` and `hanner_probe`, and replaces `revoke`.

Importing this module registers them. They run on the event loop of the worker's parent and do not use the queue.
"""

import logging
import time
from collections.abc import Collection
from importlib import metadata
from typing import TYPE_CHECKING, Any

from billiard.common import TERM_SIGNAME
from celery.platforms import signals
from celery.utils.functional import maybe_list
from celery.worker import control
from celery.worker import state as worker_state
from celery.worker.control import control_command, inspect_command
from redis.exceptions import RedisError

from hanner.queue.keys import QUEUES, as_text
from hanner.queue.revocation import revoke as revoke_in_redis
from hanner_worker.batching.request import BatchRequest
from hanner_worker.context import get_context, has_context

if TYPE_CHECKING:
    from hanner_worker.probes import Probes

logger = logging.getLogger(__name__)

REPORTED_SETTINGS = ("queue", "max_text_chars", "result_ttl", "engine", "batch_texts", "batch_tokens")


@inspect_command()  # type: ignore[untyped-decorator]
def hanner_about(state: Any) -> dict[str, Any]:
    """Return version, model, clock, and the settings that matter to clients; for `hanner doctor`."""
    pool = getattr(state.consumer, "pool", None)
    reply: dict[str, Any] = {
        "version": metadata.version("hanner"),
        "now": time.time(),
        "processes": getattr(pool, "num_processes", None),
    }
    if has_context():
        settings = get_context().settings
        reply |= {"model": get_context().model, **{name: getattr(settings, name) for name in REPORTED_SETTINGS}}
    return reply


@control_command(variadic="task_id", signature="[id1 [id2 [... [idN]]]]")  # type: ignore[untyped-decorator]
def revoke(state: Any, task_id: Any, *, terminate: bool = False, signal: Any = None, **options: Any) -> dict[str, Any]:
    """Revoke tasks, as Celery's command does, but store a result only for those that end here.

    In Celery each worker that receives the command stores REVOKED as the result, of any task that has none. That would
    announce it several times, replace results that are stored in the same moment, and end tasks of other apps that run.
    hanner's requests are discarded, and their results stored, by the worker that has them. Scheduled ones no worker
    has, so they are revoked in Redis.

    Args:
        state: Celery's state of the worker.
        task_id: an id, or a list of ids.
        terminate: end the process of those that run.
        signal: name of the signal for that.
        **options: passed to Celery.
    """
    ids = {one for one in maybe_list(task_id) or [] if isinstance(one, str)}
    worker_state.revoked.update(ids)
    known = {one: worker_state.requests[one] for one in ids if one in worker_state.requests}
    ours = {one: request for one, request in known.items() if isinstance(request, BatchRequest)}
    if others := known.keys() - ours.keys():
        control._revoke(state, others, terminate, signal, **options)  # noqa: SLF001 - of tasks that are not batched
    _revoke_scheduled(ids - known.keys())
    if terminate:
        number = signals.signum(signal or TERM_SIGNAME)
        for request in ours.values():
            request.terminate(state.consumer.pool, signal=number)
    logger.info("%s %d tasks", "terminated" if terminate else "revoked", len(ids))
    return {"ok": f"{'terminate' if terminate else 'revoke'}: {', '.join(sorted(ids))}"}


@control_command(variadic="task_id", args=[("signal", str)], signature="<signal> [id1 [id2 [... [idN]]]]")  # type: ignore[untyped-decorator]
def terminate(state: Any, signal: Any, task_id: Any, **options: Any) -> dict[str, Any]:
    """Revoke tasks and end the processes of those that run."""
    reply: dict[str, Any] = revoke(state, task_id, terminate=True, signal=signal, **options)
    return reply


def _revoke_scheduled(ids: Collection[str]) -> None:
    if not ids or not has_context():
        return
    backend = get_context().app.backend
    try:
        revoke_in_redis(
            backend.client,
            {as_text(queue) for queue in backend.client.smembers(QUEUES)},
            sorted(ids),
            expires=backend.expires or 0,
            scheduled_only=True,
        )
    except (RedisError, OSError) as error:
        logger.warning("scheduled requests could not be revoked: %s", type(error).__name__)


@inspect_command()  # type: ignore[untyped-decorator]
def hanner_probe(state: Any, *, start: bool = True) -> dict[str, int]:
    """Return the number of the last probe that was started, of the last that succeeded and of the last that failed.

    Probes are numbered from 1. `hanner probe` reads the reply.

    A probe runs the model in a pool process of this worker, so it proves that the worker's event loop runs, that it
    receives messages from Redis, and that its processes can run the model. Because probes do not use the queue, a long
    queue does not make a worker look unhealthy.

    Args:
        state: Celery's state of the worker.
        start: start a probe, unless one is running.
    """
    consumer = state.consumer
    probes: Probes = consumer.hanner_probes
    now = time.monotonic()
    if start and not probes.is_running(now):
        probes.start(consumer.pool, now)
    return {"started": probes.started, "succeeded": probes.succeeded, "failed": probes.failed}
