"""Composition root of the worker: settings, model, Celery app, batching. `celery -A hanner_worker worker` runs it.

The app itself is in hanner_worker/celery.py, where Celery looks for it; importing this module makes none.
"""

import gc
import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from celery import Celery, Task, concurrency, signals
from celery.concurrency.prefork import TaskPool
from kombu.entity import Exchange, Queue

from hanner.contract import EXTRACT, EXTRACT_MANY
from hanner.errors import HannerError
from hanner.queue.keys import QueueKeys
from hanner.settings import Settings
from hanner.transport.celery_app import make_celery
from hanner_worker import remote_control as about  # noqa: F401 - each registers a command of the remote control
from hanner_worker.batching.strategy import PREFORK_ONLY
from hanner_worker.context import WorkerContext, get_context, has_context, set_context
from hanner_worker.delivery.channel import INFLIGHT_OPTION, install
from hanner_worker.delivery.inflight import InFlightStore
from hanner_worker.execution.batch import run_task
from hanner_worker.payload import TaskPayload
from hanner_worker.reload import Reloader, ignore

if TYPE_CHECKING:  # numpy, which only a worker has
    from hanner_inference.pipeline import Recogniser

logger = logging.getLogger(__name__)

BATCHES_AHEAD = 4
"""Full batches per process that a worker fetches: one runs, and texts of like length are chosen from the others."""


Load = Callable[[Settings], "Recogniser"]


def load_model(settings: Settings) -> "Recogniser":
    """Open the model that the settings name.

    Raises:
        HannerError: it is missing or damaged.
    """
    from hanner_inference import load  # noqa: PLC0415 - numpy and onnxruntime, which only a worker has

    return load(settings.model or None, settings=settings)


class BatchedTask(Task):  # type: ignore[misc]
    """A task whose requests are answered in batches; called without our worker it answers by itself."""

    abstract = True
    Strategy = "hanner_worker.batching.strategy:start"
    acks_late = True
    throws = (HannerError,)


def make_worker_app(settings: Settings, load: Load = load_model) -> Celery:
    """Return the worker's Celery app; the model is opened when a worker starts with it.

    Args:
        settings: the worker's settings.
        load: opens the model.

    Raises:
        InvalidSettings: the broker's URL cannot be used.
    """
    install()
    app = make_celery(settings)
    app.events.dispatcher_cls = "hanner_worker.batching.events:BufferedEventDispatcher"
    inflight = InFlightStore(QueueKeys(settings.queue), settings.lease)
    app.conf.update(
        # Both of them for any Celery app to send to. `-Q` with one of the names makes a worker for that one alone.
        task_queues=[
            Queue(name, Exchange(name), routing_key=name)  # type: ignore[no-untyped-call]
            for name in (inflight.keys.queue, inflight.keys.bulk)
        ],
        worker_pool="prefork",
        worker_consumer="hanner_worker.batching.consumer:Consumer",
        worker_concurrency=settings.concurrency or "auto",  # auto heeds the container's CPU quota
        worker_prefetch_multiplier=settings.batch_texts * BATCHES_AHEAD,
        # It counts requests as if each had a process, and would fetch too little after every reconnect.
        worker_enable_prefetch_count_reduction=False,
        broker_transport_options=app.conf.broker_transport_options | {INFLIGHT_OPTION: inflight},
        broker_channel_error_retry=True,  # a refusal of Redis' ends no worker
    )
    opener = ModelLoader(app, settings, load, inflight)
    _register(app, opener)
    signals.worker_init.connect(opener.on_worker_init, weak=False)
    signals.worker_process_init.connect(opener.on_process_init, weak=False)
    signals.worker_ready.connect(opener.on_ready, weak=False)
    return app


def _register(app: Celery, opener: "ModelLoader") -> None:
    def register(name: str) -> None:
        @app.task(name=name, base=BatchedTask, bind=True, shared=False)  # type: ignore[untyped-decorator]
        def body(self: Any, *args: Any, **kwargs: Any) -> Any:
            opener.open()  # done already, unless it is called eagerly
            return run_task(TaskPayload(self.request.id or "", name, args, kwargs))

    register(EXTRACT)
    register(EXTRACT_MANY)


class ModelLoader:
    """Opens the model in the parent before the pool forks, so that all processes share one copy of it."""

    def __init__(self, app: Celery, settings: Settings, load: Load, inflight: InFlightStore) -> None:
        self._app = app
        self._inflight = inflight
        self._settings = settings
        self._load = load
        self._reloader = Reloader()

    def on_worker_init(self, sender: Any, **_: Any) -> None:
        """Refuse what cannot work, then open the model."""
        if sender.app is not self._app:
            return
        self._inflight.renew_worker_id()
        if not sender.use_eventloop or not _is_prefork(sender.pool_cls):
            _stop(PREFORK_ONLY)
        if not self._settings.log_text:
            # Celery's tracer, which ends chains and chords, logs results as they are.
            logging.getLogger("celery.app.trace").setLevel(logging.WARNING)
        self._open_or_stop()
        _ = self._app.backend  # made and imported here, so that no process spends its first batch on that
        if (
            texts := get_context().settings.batch_texts
        ) != self._settings.batch_texts:  # the engine prefers other batches
            sender.prefetch_multiplier = texts * BATCHES_AHEAD
        # Objects made so far are never looked at by the collector again, so their memory stays shared.
        gc.collect()
        gc.freeze()

    def on_process_init(self, **_: Any) -> None:
        """Open the model in a pool process that was not forked from the parent (macOS starts them afresh)."""
        self._open_or_stop()
        if get_context().dictionary is not None:
            ignore()

    def on_ready(self, sender: Any, **_: Any) -> None:
        """Say in one line what this worker does."""
        if sender.app is not self._app:
            return
        settings, dictionary = get_context().settings, get_context().dictionary
        if dictionary is not None:
            self._reloader.install(dictionary)
            logger.info("opened: %s; SIGHUP reloads it", dictionary)
        logger.info(
            "ready: model %s, %d processes, queue %s, batches of up to %d windows and %d tokens with %.0f %% padding",
            get_context().model,
            sender.pool.num_processes,
            settings.queue,
            settings.batch_texts,
            settings.batch_tokens,
            settings.max_padding * 100,
        )

    def open(self) -> None:
        """Open the model, unless this process has it.

        Raises:
            HannerError: it is missing or damaged.
        """
        if has_context():
            return
        recogniser = self._load(self._settings)
        package, options = recogniser.package, recogniser.package.manifest.tokenizer
        limits = {"batch_texts": recogniser.batch_texts, "batch_tokens": recogniser.batch_tokens}
        set_context(
            WorkerContext(
                recogniser=recogniser,
                model=package.id,
                digest=package.digest,
                max_length=options.max_length,
                lowercase=options.lowercase,
                half_width=options.half_width,
                app=self._app,
                settings=self._settings.model_copy(update=limits),
                inflight=self._inflight,
            )
        )

    def _open_or_stop(self) -> None:
        try:
            self.open()
        except HannerError as error:
            _stop(str(error))
        except ImportError as error:
            _stop(f"the worker needs {error.name}; install it with: pip install 'hanner[worker]'")


def _is_prefork(pool: Any) -> bool:
    try:
        return issubclass(concurrency.get_implementation(pool), TaskPool)
    except (ImportError, RuntimeError):  # a pool whose library is not there
        return False


def _stop(sentence: str) -> NoReturn:
    print(f"hanner: {sentence}", file=sys.stderr)  # noqa: T201 - logging is not set up yet
    raise SystemExit(1)
