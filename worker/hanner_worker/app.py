"""Composition root of the worker: settings, model, Celery app, tasks. `celery -A hanner_worker worker` runs it.

Importing this module does not create an app; hanner_worker/celery.py does, where Celery looks for it.
"""

import gc
import logging
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from celery import Celery, Task, concurrency, signals
from celery.concurrency.prefork import TaskPool
from kombu.entity import Exchange, Queue
from redis.exceptions import RedisError

from hanner.address import redact_url
from hanner.contract import EXTRACT, EXTRACT_MANY
from hanner.errors import HannerError
from hanner.queue.keys import QueueKeys
from hanner.settings import Settings, removed_variables
from hanner.transport.celery_app import make_celery
from hanner.transport.server_mode import check_mode_of, unsupported_reason
from hanner.utils.packaging import install_hint
from hanner_worker import (
    early_loading,
    remote_control,  # noqa: F401 - registers its commands
)
from hanner_worker.batching.strategy import PREFORK_ONLY
from hanner_worker.context import WorkerContext, get_context, has_context, set_context
from hanner_worker.delivery.channel import INFLIGHT_OPTION, install
from hanner_worker.delivery.inflight import InFlightStore
from hanner_worker.execution.batch import run_task
from hanner_worker.observability import redaction
from hanner_worker.payload import TaskPayload
from hanner_worker.reload import DictionaryReloader, ignore_sighup
from hanner_worker.time_slices import use_long_slices

if TYPE_CHECKING:
    from hanner_inference import Recogniser

T = TypeVar("T")
logger = logging.getLogger(__name__)

PREFETCHED_BATCHES = 4
"""Full batches per process that a worker prefetches, so that a process that becomes idle never waits for Redis."""

GC_THRESHOLD = 10_000
"""New objects after which the garbage collector runs; with Python's 700 it took 5 µs per text in the parent."""

LoadModel = Callable[[Settings], "Recogniser"]


def load_model(settings: Settings) -> "Recogniser":
    """Return the model that the settings select.

    Raises:
        HannerError: if the model is missing or damaged.
    """
    if (early := early_loading.take(settings)) is not None:
        return early.result()
    from hanner_inference import load  # noqa: PLC0415 - imports numpy and onnxruntime

    return load(settings.model or None, settings=settings)


class BatchedTask(Task):  # type: ignore[misc]
    """A task whose requests are processed in batches; without hanner's worker, each request runs alone."""

    abstract = True
    Strategy = "hanner_worker.batching.strategy:start"
    acks_late = True
    throws = (HannerError,)


def make_worker_app(settings: Settings, load: LoadModel = load_model, *, broker: str = "") -> Celery:
    """Return the worker's Celery app. The model is loaded when a worker starts with this app.

    Args:
        settings: the worker's settings.
        load: loads the model.
        broker: the address of Redis, which distinguishes this worker from those of other addresses in logs and metrics;
            empty if it is the only one.

    Raises:
        InvalidSettings: if the broker URL is not valid, or has several addresses.
    """
    install()
    app = make_celery(settings)
    app.events.dispatcher_cls = "hanner_worker.batching.events:BufferedEventDispatcher"
    inflight = InFlightStore(
        QueueKeys(settings.queue),
        settings.lease,
        max_dead_letters=settings.max_dead_letters,
        dead_letter_ttl=settings.dead_letter_ttl,
        max_message_bytes=settings.message_bytes,
    )
    app.conf.update(
        # Any Celery app can send to either queue. `-Q` with one of the names restricts a worker to that queue.
        task_queues=[
            Queue(name, Exchange(name), routing_key=name)  # type: ignore[no-untyped-call]
            for name in (inflight.keys.queue, inflight.keys.bulk)
        ],
        worker_pool="prefork",
        worker_consumer="hanner_worker.batching.consumer:Consumer",
        worker_concurrency=settings.concurrency or "auto",  # auto respects the container's CPU quota
        worker_prefetch_multiplier=settings.batch_texts * PREFETCHED_BATCHES,
        # Celery counts a process per request, and would fetch too little after every reconnect.
        worker_enable_prefetch_count_reduction=False,
        broker_transport_options=app.conf.broker_transport_options | {INFLIGHT_OPTION: inflight},
        broker_channel_error_retry=True,  # a Redis error does not end the worker
    )
    if broker:
        _add_to_log_lines(app, broker)
    app.Task.Request = "hanner_worker.batching.redacted_request:UnbatchedRequest"
    loader = ModelLoader(app, settings, load, inflight, broker)
    _register_tasks(app, loader)
    signals.worker_init.connect(loader.on_worker_init, weak=False)
    signals.worker_process_init.connect(loader.on_process_init, weak=False)
    signals.worker_ready.connect(loader.on_ready, weak=False)
    return app


def _add_to_log_lines(app: Celery, broker: str) -> None:
    """Begin each log line's message with the address."""
    prefix = f"{broker}: ".replace("%", "%%")
    for name in ("worker_log_format", "worker_task_log_format"):
        app.conf[name] = app.conf[name].replace("%(message)s", f"{prefix}%(message)s")


def _register_tasks(app: Celery, loader: "ModelLoader") -> None:
    def register(name: str) -> None:
        @app.task(name=name, base=BatchedTask, bind=True, shared=False)  # type: ignore[untyped-decorator]
        def body(self: Any, *args: Any, **kwargs: Any) -> Any:
            loader.load()  # loaded already, unless the task is called eagerly
            return run_task(TaskPayload(self.request.id or "", name, args, kwargs))

    register(EXTRACT)
    register(EXTRACT_MANY)


class ModelLoader:
    """Loads the model in the parent before the pool forks, so that all processes share one copy of it."""

    def __init__(self, app: Celery, settings: Settings, load: LoadModel, inflight: InFlightStore, broker: str) -> None:
        self._app = app
        self._broker = broker
        self._inflight = inflight
        self._settings = settings
        self._load_model = load
        self._reloader = DictionaryReloader()

    def on_worker_init(self, sender: Any, **_: Any) -> None:
        """Check the pool, then load the model; exit if either fails."""
        if sender.app is not self._app:
            return
        self._inflight.renew_worker_id()
        if not sender.use_eventloop or not _is_prefork(sender.pool_cls):
            _exit(PREFORK_ONLY)
        if not self._settings.log_text:
            # Celery's tracer, which runs tasks without batches, logs results.
            logging.getLogger("celery.app.trace").setLevel(logging.WARNING)
            redaction.install()
        self._check_server()
        self._load_or_exit()
        _ = self._app.backend  # create it before the fork, because creating it would delay the first batch of a process
        batch_texts = get_context().settings.batch_texts
        if batch_texts != self._settings.batch_texts:  # the engine prefers another batch size
            sender.prefetch_multiplier = batch_texts * PREFETCHED_BATCHES
        # The garbage collector no longer touches existing objects, so their memory stays shared.
        gc.collect()
        gc.freeze()
        gc.enable()  # hanner_worker/__main__.py disables it
        gc.set_threshold(GC_THRESHOLD, *gc.get_threshold()[1:])

    def _check_server(self) -> None:
        """Exit if the server is of a kind that cannot be used; the consumer waits for one that is unreachable."""
        try:
            check_mode_of(self._app.backend.client.connection_pool)
        except (RedisError, OSError) as error:
            if (reason := unsupported_reason(error)) is not None:
                _exit(f"Redis at {redact_url(self._settings.broker_url)} cannot be used: {reason}")
            logger.info("Redis does not answer yet")

    def on_process_init(self, **_: Any) -> None:
        """Prepare a pool process; one that was not forked from the parent, as on macOS, loads the model."""
        use_long_slices()
        self._load_or_exit()
        if get_context().dictionary is not None:
            ignore_sighup()

    def on_ready(self, sender: Any, **_: Any) -> None:
        """Log model, processes, queue and limits of this worker, and settings without effect."""
        if sender.app is not self._app:
            return
        for sentence in removed_variables(os.environ):
            logger.warning("%s", sentence)
        settings, dictionary = get_context().settings, get_context().dictionary
        if dictionary is not None:
            self._reloader.install(dictionary)
            logger.info("opened: %s; SIGHUP reloads it", dictionary)
        logger.info(
            "ready: model %s, %d processes, queue %s, batches of %g ms, at most %d windows and %d tokens",
            get_context().model,
            sender.pool.num_processes,
            settings.queue,
            settings.batch_ms,
            settings.batch_texts,
            settings.batch_tokens,
        )

    def load(self) -> None:
        """Load the model and set the worker context, unless this process has one.

        Raises:
            HannerError: if the model is missing or damaged.
        """
        if has_context():
            return
        recogniser = self._load_model(self._settings)
        package = recogniser.package
        options = package.manifest.tokenizer
        limits = {"batch_texts": recogniser.batch_texts, "batch_tokens": recogniser.batch_tokens}
        set_context(
            WorkerContext(
                recogniser=recogniser,
                model=package.id,
                digest=package.digest,
                max_length=options.max_length,
                normalise=options.normalise,
                app=self._app,
                settings=self._settings.model_copy(update=limits),
                inflight=self._inflight,
                broker=self._broker,
            )
        )

    def _load_or_exit(self) -> None:
        load_or_exit(self.load)


def load_or_exit(load: Callable[[], T]) -> T:
    """Return the model that a function loads; print the reason and exit if that fails."""
    try:
        return load()
    except HannerError as error:
        _exit(str(error))
    except ImportError as error:
        _exit(f"the worker needs {error.name}: {install_hint('worker')}")


def _is_prefork(pool: Any) -> bool:
    try:
        return issubclass(concurrency.get_implementation(pool), TaskPool)
    except (ImportError, RuntimeError):  # the pool's library is not installed
        return False


def _exit(message: str) -> NoReturn:
    print(f"hanner: {message}", file=sys.stderr)  # noqa: T201 - logging is not set up yet
    raise SystemExit(1)
