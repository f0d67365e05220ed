"""Flower in this process, set up for hanner. Touches Flower's internals, which is why its version is pinned.

What is set here are defaults: FLOWER_* variables, flowerconfig.py in the working folder and Flower's own options on the
command line count for more, in this order, as in plain Flower.
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
from hanner.flower import password
from hanner.flower.events import Events, show_fields
from hanner.flower.missed_events import Mender
from hanner.settings import Settings
from hanner.transport.celery_app import make_celery

logger = logging.getLogger(__name__)

DEFAULTS: dict[str, Any] = {
    "address": "127.0.0.1",
    "persistent": True,
    "max_tasks": 20_000,  # 4 kB each in memory; saving them holds Flower up for about half a second
    "state_save_interval": 300_000,  # ms; what kill -9 may cost
    "purge_offline_workers": 600,  # s; every start of a worker has another name
    "tasks_columns": "name,uuid,state,args,runtime,worker,received,started",
}
DATABASE = "flower"
LOOK = 5.0
"""Seconds between two looks for ends that were not heard of."""


class Service:
    """Flower with hanner's defaults, about to run.

    Args:
        settings: hanner's own: the broker, the password's file, whether texts may be shown.
        folder: Where its database lies, and the password unless the settings name a file.
        arguments: Options as on Flower's command line.

    Attributes:
        user: Who may log in; empty if that is not by hanner's password.
        password_file: Where the password stands; None if it is not hanner's.
        password: It, if it was made up just now.

    Raises:
        HannerError: a file or the address cannot be used, or an option is unknown.
    """

    def __init__(self, settings: Settings, folder: Path, arguments: Sequence[str]) -> None:
        self._settings = settings
        _parse(folder, arguments)
        self.password_file: Path | None = None
        self.password = ""
        if not (options.basic_auth or options.auth):
            self._protect(Path(settings.flower_password_file or folder / password.FILE))
        show_fields()
        flower_command.extract_settings()
        flower_command.setup_logging()
        self._flower = self._make()

    def _protect(self, file: Path) -> None:
        word, is_new = password.read_or_make(file)
        options.basic_auth = [f"{password.USER}:{word}"]
        self.password_file, self.password = file, word if is_new else ""

    def _make(self) -> Flower:
        log_text = self._settings.log_text
        app = make_celery(self._settings)
        if not log_text:
            app.conf.result_backend = "disabled://"  # results hold entities, which are words of the text
        app.set_default()  # Flower asks the default one for results
        loop = IOLoop.current()
        if options.persistent:
            _make_folder(options.db)
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
        return Flower(capp=app, options=options, events=events, io_loop=loop, **handler_settings)

    def run(self) -> None:
        """Serve until SIGTERM or Ctrl-C, and save what is known.

        Raises:
            HannerError: the address cannot be listened on.
        """
        try:
            port = self._flower.start_http_server()
        except (OSError, socket.gaierror) as error:
            where = options.unix_socket or f"port {options.port} of {options.address or 'this machine'}"
            raise HannerError(
                f"{where} cannot be used ({error.strerror}); name another with --port or --host"
            ) from None
        print(self._described(port), flush=True)  # noqa: T201 - a command's output
        mending = PeriodicCallback(Mending(self._settings, self._flower).round, LOOK * 1000)
        signal.signal(signal.SIGTERM, _stop)
        mending.start()
        try:
            self._flower.start()
        except (KeyboardInterrupt, SystemExit):
            pass
        finally:
            mending.stop()
            self._flower.stop()

    def _described(self, port: int | None) -> str:
        scheme = "https" if "ssl_options" in handler_settings else "http"
        prefix = f"{options.url_prefix.strip('/')}/" if options.url_prefix else ""
        host = options.address if options.address not in {"", "0.0.0.0", "::"} else "127.0.0.1"  # noqa: S104 - compared
        where = f"unix:{options.unix_socket}" if port is None else f"{scheme}://{host}:{port}/{prefix}"
        if self.password:
            return f"Flower: {where}  user {password.USER}, password {self.password} (kept in {self.password_file})"
        if self.password_file is not None:
            return f"Flower: {where}  user {password.USER}, password in {self.password_file}"
        return f"Flower: {where}"


def _parse(folder: Path, arguments: Sequence[str]) -> None:
    """Set Flower's options, the weakest source first."""
    for name, value in (DEFAULTS | {"db": str(folder / DATABASE)}).items():
        setattr(options, name, value)
    for argument in arguments:
        if not flower_command.is_flower_option(argument):  # Flower would take no notice of it
            raise InvalidSettings(f"{argument} is no option of Flower's; see https://flower.readthedocs.io")
    try:
        flower_command.apply_env_options()
        flower_command.apply_options("hanner flower", arguments)
    except Exception as error:
        raise InvalidSettings(f"Flower cannot be started with these options: {error}") from error


def _make_folder(path: str) -> None:
    """Make the database's folder. Flower takes a failure to write there for a broken file, and only at the end."""
    folder, reason = Path(path).absolute().parent, "no permission to write"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = str(error.strerror)
    if not os.access(folder, os.W_OK):
        raise HannerError(f"Flower's database cannot be kept in {folder} ({reason}); name another folder with --data")


def _stop(*_: object) -> None:
    sys.exit(0)


class Mending:
    """Tells Flower every LOOK seconds what it has not heard. Lives on Flower's event loop; Redis is asked beside it.

    Args:
        settings: Where the results are.
        flower: Who is told.
    """

    def __init__(self, settings: Settings, flower: Flower) -> None:
        self._flower = flower
        self._backend = make_celery(settings).backend
        self._mender = Mender(self._read)
        self._busy = False

    def _read(self, task_ids: Sequence[str]) -> list[bytes | None]:
        found: list[bytes | None] = self._backend.client.mget([self._backend.get_key_for_task(i) for i in task_ids])
        return found

    async def round(self) -> None:
        """Look once; if Redis is away, the next time will do."""
        if self._busy:
            return
        self._busy = True
        try:
            state = self._flower.events.state
            silent = self._mender.silent(state.tasks.data.items(), time.time())
            ends = await self._flower.io_loop.run_in_executor(None, self._mender.ends, silent)
        except (RedisError, OSError) as error:
            logger.warning("results could not be looked for: %s", type(error).__name__)
            return
        finally:
            self._busy = False
        for end in ends:
            if end["uuid"] in state.tasks.data:
                state.event(end)
