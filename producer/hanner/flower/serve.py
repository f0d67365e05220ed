"""Runs Flower in this process, configured for hanner. Uses Flower's internals, so its version is pinned.

The values set here are defaults. FLOWER_* variables, flowerconfig.py in the working folder and options on the command
line override them, in this order, as in plain Flower.
"""

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flower import command as flower_command
from flower.app import Flower
from flower.options import options
from flower.urls import settings as handler_settings
from redis.exceptions import RedisError
from tornado.ioloop import IOLoop, PeriodicCallback

from hanner.errors import HannerError, InvalidSettings
from hanner.flower import dead_letters, password
from hanner.flower.events import Events, add_task_fields
from hanner.flower.missed_events import Reconciler
from hanner.queue.dead_letters import DeadLetters
from hanner.settings import Settings
from hanner.transport.celery_app import make_celery

logger = logging.getLogger(__name__)

DEFAULTS: dict[str, Any] = {
    "address": "127.0.0.1",
    "persistent": True,
    "max_tasks": 20_000,  # 4 kB each in memory; saving them blocks Flower for about half a second
    "state_save_interval": 300_000,  # ms; kill -9 loses at most this much
    "purge_offline_workers": 600,  # s; a worker has a new name after each start
    "tasks_columns": "name,uuid,state,args,runtime,worker,received,started",
}
DATABASE = "flower"
RECONCILE_INTERVAL = 5.0
"""Seconds between two searches for missed events."""


class FlowerService:
    """Flower with hanner's defaults.

    Args:
        settings: hanner's settings: the broker, the password's file, whether to show texts.
        folder: Folder for the database, and for the password unless the settings name a file.
        arguments: Options of Flower's command line.

    Attributes:
        password_file: File with the password; None if Flower's own options set the login.
        password: The password if it was just generated, else empty.

    Raises:
        HannerError: a file cannot be used, or an option is unknown.
    """

    def __init__(self, settings: Settings, folder: Path, arguments: Sequence[str]) -> None:
        self._settings = settings
        _set_options(folder, arguments)
        self.password_file: Path | None = None
        self.password = ""
        if not (options.basic_auth or options.auth):
            self._set_password(Path(settings.flower_password_file or folder / password.FILE))
        add_task_fields()
        flower_command.extract_settings()
        flower_command.setup_logging()
        self._flower = self._make_flower()

    def _set_password(self, file: Path) -> None:
        secret, is_new = password.read_or_generate(file)
        options.basic_auth = [f"{password.USER}:{secret}"]
        self.password_file, self.password = file, secret if is_new else ""

    def _make_flower(self) -> Flower:
        log_text = self._settings.log_text
        app = make_celery(self._settings)
        if not log_text:
            app.conf.result_backend = "disabled://"  # results contain entities, which are parts of the text
        app.set_default()  # Flower reads results through the default app
        loop = IOLoop.current()
        if options.persistent:
            _make_database_folder(options.db)
        events = Events(
            app,
            db=options.db,
            persistent=options.persistent,
            state_save_interval=options.state_save_interval,
            enable_events=options.enable_events,
            io_loop=loop,
            max_workers_in_memory=options.max_workers,
            max_tasks_in_memory=options.max_tasks,
            log_text=log_text,
        )
        flower = Flower(capp=app, options=options, events=events, io_loop=loop, **handler_settings)
        redis = make_celery(self._settings).backend.client
        dead_letters.install(flower, DeadLetters(redis, self._settings.queue), with_text=log_text)
        return flower

    def run(self) -> None:
        """Serve until SIGTERM or Ctrl-C, then save the database.

        Raises:
            HannerError: the address or port cannot be used.
        """
        try:
            port = self._flower.start_http_server()
        except (OSError, socket.gaierror) as error:
            address = options.unix_socket or f"port {options.port} of {options.address or 'this machine'}"
            raise HannerError(
                f"{address} cannot be used ({error.strerror}); choose another with --port or --host"
            ) from None
        print(self._ready_line(port), flush=True)  # noqa: T201 - a command's output
        reconciliation = PeriodicCallback(Reconciliation(self._settings, self._flower).run, RECONCILE_INTERVAL * 1000)
        signal.signal(signal.SIGTERM, _exit)
        reconciliation.start()
        try:
            self._flower.start()
        except (KeyboardInterrupt, SystemExit):
            pass
        finally:
            reconciliation.stop()
            self._flower.stop()

    def _ready_line(self, port: int | None) -> str:
        scheme = "https" if "ssl_options" in handler_settings else "http"
        prefix = f"{options.url_prefix.strip('/')}/" if options.url_prefix else ""
        host = options.address if options.address not in {"", "0.0.0.0", "::"} else "127.0.0.1"  # noqa: S104 - compared
        url = f"unix:{options.unix_socket}" if port is None else f"{scheme}://{host}:{port}/{prefix}"
        if self.password:
            return f"Flower: {url}  user {password.USER}, password {self.password} (kept in {self.password_file})"
        if self.password_file is not None:
            return f"Flower: {url}  user {password.USER}, password in {self.password_file}"
        return f"Flower: {url}"


def _set_options(folder: Path, arguments: Sequence[str]) -> None:
    """Set Flower's options, in order of precedence."""
    for name, value in (DEFAULTS | {"db": str(folder / DATABASE)}).items():
        setattr(options, name, value)
    for argument in arguments:
        if not flower_command.is_flower_option(argument):  # Flower would ignore it
            raise InvalidSettings(f"{argument} is not an option of Flower; see https://flower.readthedocs.io")
    try:
        flower_command.apply_env_options()
        flower_command.apply_options("hanner flower", arguments)
    except Exception as error:
        raise InvalidSettings(f"Flower cannot be started with these options: {error}") from error


def _make_database_folder(path: str) -> None:
    """Create the database's folder. Flower reports an unwritable folder only when it stops, as a broken file."""
    folder, reason = Path(path).absolute().parent, "no permission to write"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = str(error.strerror)
    if not os.access(folder, os.W_OK):
        raise HannerError(f"Flower's database cannot be stored in {folder} ({reason}); choose another with --data")


def _exit(*_: object) -> None:
    sys.exit(0)


class Reconciliation:
    """Feeds missed events to Flower. Runs on Flower's event loop, and reads Redis in a thread.

    Args:
        settings: The broker's URL.
        flower: Receives the events.
    """

    def __init__(self, settings: Settings, flower: Flower) -> None:
        self._flower = flower
        self._backend = make_celery(settings).backend
        self._reconciler = Reconciler(self._read_results)
        self._is_running = False

    def _read_results(self, task_ids: Sequence[str]) -> list[bytes | None]:
        keys = [self._backend.get_key_for_task(task_id) for task_id in task_ids]
        results: list[bytes | None] = self._backend.client.mget(keys)
        return results

    async def run(self) -> None:
        """Search once for missed events; if Redis is unreachable, leave it to the next round."""
        if self._is_running:
            return
        self._is_running = True
        try:
            state = self._flower.events.state
            overdue = self._reconciler.overdue(state.tasks.data.items(), time.time())
            events = await self._flower.io_loop.run_in_executor(None, self._reconciler.missed_events, overdue)
        except (RedisError, OSError) as error:
            logger.warning("results cannot be read: %s", type(error).__name__)
            return
        finally:
            self._is_running = False
        for event in events:
            if event["uuid"] in state.tasks.data:
                state.event(event)
