"""One worker for several Redis: a parent that loads the model once, and a worker of its own for each address.

The workers are forked from the parent, so they share the model's memory. Each of them consists of its own parent, pool
and connections, so an address that is down does not affect the others. The parent here sends no command to Redis: it
starts the workers, passes signals on, and starts a worker again that has died. If the parent is killed, the workers get
SIGTERM.
"""

import atexit
import contextlib
import gc
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from celery import Celery

from hanner.address import parse_address
from hanner.settings import Settings, variable
from hanner.utils import processes
from hanner.utils.backoff import Backoff
from hanner_worker.app import LoadModel, load_model, load_or_exit, make_worker_app

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
"""Seconds between the death of a worker and its next start."""
STABLE_AFTER: Final = 10.0
"""Seconds after which a worker counts as started."""
FORWARDED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1)
UNSUPPORTED_OPTIONS: Final = ("--pidfile", "--statedb", "-S")
"""Options of Celery's worker that name a file, which several workers cannot share."""


def start_group(settings: Settings, load: LoadModel = load_model) -> Celery:
    """Start a worker for each address, and return the app of one of them in its process; the parent never returns.

    Args:
        settings: Settings with several addresses.
        load: Loads the model.
    """
    if used := [each for each in UNSUPPORTED_OPTIONS for one in sys.argv if one == each or one.startswith(f"{each}=")]:
        _exit_with(f"{used[0]} cannot be used with several addresses in {variable('broker_url')}; remove it")
    parts = [_settings_of(part, number) for number, part in enumerate(settings.per_address())]
    recogniser = load_or_exit(lambda: load(settings))
    gc.collect()
    gc.freeze()  # the memory of these objects stays shared
    gc.enable()  # hanner_worker/__main__.py disables it
    addresses = [str(parse_address(part.broker_url)) for part in parts]
    number = Supervisor(addresses, reloads=bool(settings.dictionary)).run()
    part = parts[number]
    # For a restart by SIGHUP, which executes this program again.
    os.environ |= {variable(name): str(getattr(part, name)) for name in ("broker_url", "metrics_port")}
    return make_worker_app(part, lambda _: recogniser, broker=addresses[number])


def run_and_exit(call: Callable[[], Any]) -> NoReturn:
    """Call in a worker of a group, and end its process.

    The model's library has state of the process that loaded it, so its destructors must not run here.
    """
    status: object = 0
    try:
        call()
    except SystemExit as ended:
        status = ended.code
    except BaseException:  # noqa: BLE001 - the interpreter would print it too
        traceback.print_exc()
        status = 1
    atexit._run_exitfuncs()  # noqa: SLF001 - there is no public name
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status if isinstance(status, int) else 0 if status is None else 1)


def _settings_of(part: Settings, number: int) -> Settings:
    """Return the settings of one worker, whose metrics have a port of their own."""
    port = part.metrics_port + number if part.metrics_port else 0
    return part.model_copy(update={"metrics_port": port})


@dataclass(frozen=True, slots=True)
class Child:
    """A running worker: the number of its address, and when it was started."""

    number: int
    started: float


class Supervisor:
    """Forks a process for each address, and starts it again if it dies.

    A worker that exits with status 0, as after Celery's command `shutdown`, is not started again.

    Args:
        addresses: The addresses, without passwords, for messages.
        reloads: SIGHUP reloads the dictionary; otherwise it restarts all processes.
    """

    def __init__(self, addresses: Sequence[str], *, reloads: bool) -> None:
        self._addresses = addresses
        self._reloads = reloads
        self._children: dict[int, Child] = {}
        self._due: dict[int, float] = {}
        self._backoffs = [Backoff(FIRST_PAUSE, LONGEST_PAUSE) for _ in addresses]
        self._is_stopping = False
        self._restarts = False
        self._was_stable = False
        self._failed: set[int] = set()
        self._status = 0
        self._parent = os.getpid()
        self._wakeup = os.pipe()

    def run(self) -> int:
        """Return the number of its address in each child; in the parent, exit when all children have ended."""
        for end in self._wakeup:
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wakeup[1], warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # wakes `select`
        for each in FORWARDED:
            if each is not signal.SIGHUP or self._reloads or not sys.stdin or not sys.stdin.isatty():
                signal.signal(each, self._on_signal)
        self._due = dict.fromkeys(range(len(self._addresses)), 0.0)
        while self._children or self._due:
            for number in [number for number, due in self._due.items() if due <= time.monotonic()]:
                del self._due[number]
                if self._fork(number):
                    return number
            self._wait()
            self._reap()
        return self._end()

    def _wait(self) -> None:
        """Wait for a signal, or until a worker has to be started."""
        timeout = None if not self._due else max(0.0, min(self._due.values()) - time.monotonic())
        if select.select([self._wakeup[0]], [], [], timeout)[0]:
            os.read(self._wakeup[0], 4096)

    def _fork(self, number: int) -> bool:
        """Start a worker; return True in its process."""
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
        try:
            pid = os.fork()
            if pid:
                self._children[pid] = Child(number, time.monotonic())
                return False
            signal.set_wakeup_fd(-1)
            for end in self._wakeup:
                os.close(end)
            for each in (*FORWARDED, signal.SIGCHLD):
                signal.signal(each, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            processes.end_with_parent(self._parent)
            return True
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def _on_signal(self, number: int, _: Any) -> None:
        """Pass a signal on. A terminal sends Ctrl-C to all processes, so the first one only ends the workers warmly."""
        forwarded = number
        if number == signal.SIGINT:
            forwarded = signal.SIGQUIT if self._is_stopping else signal.SIGTERM
        elif number == signal.SIGHUP and not self._reloads:
            forwarded, self._restarts = signal.SIGTERM, True
        if number not in {signal.SIGUSR1, signal.SIGHUP} or self._restarts:
            self._stop(forwarded)
        else:
            self._send(forwarded)

    def _stop(self, number: int) -> None:
        """End all workers with a signal, and start none again."""
        self._is_stopping = True
        self._due.clear()
        self._send(number)

    def _send(self, number: int) -> None:
        for pid in list(self._children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _reap(self) -> None:
        """Handle the workers that have ended."""
        while self._children:
            pid, wait_status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            if (child := self._children.pop(pid, None)) is not None:
                self._on_exit(child, os.waitstatus_to_exitcode(wait_status))

    def _on_exit(self, child: Child, status: int) -> None:
        self._status = self._status or (status if status >= 0 else 128 - status)
        is_stable = time.monotonic() - child.started >= STABLE_AFTER
        self._was_stable = self._was_stable or is_stable
        if self._is_stopping:
            return
        address = self._addresses[child.number]
        if status == 0:
            _print(f"the worker of {address} was shut down")
            return
        backoff = self._backoffs[child.number]
        if is_stable:
            backoff.reset()
        self._failed.add(child.number)
        if len(self._failed) == len(self._addresses) and not self._was_stable:
            self._stop(signal.SIGTERM)  # none of them starts: the reason is not one of the addresses
            return
        pause = backoff.next_pause(time.monotonic()) or 0.0
        reason = f"exited with status {status}" if status > 0 else f"was killed by {signal.Signals(-status).name}"
        _print(f"the worker of {address} {reason}; it is started again in {pause:g} s")
        self._due[child.number] = time.monotonic() + pause

    def _end(self) -> NoReturn:
        if self._restarts:
            sys.stdout.flush()
            os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606 - no shell
        raise SystemExit(self._status)


def _print(message: str) -> None:
    print(f"hanner: {message}", file=sys.stderr, flush=True)  # noqa: T201 - this process has no logging


def _exit_with(message: str) -> NoReturn:
    _print(message)
    raise SystemExit(1)
