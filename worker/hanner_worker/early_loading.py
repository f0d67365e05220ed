"""Load the model in a thread while the main thread imports Celery.

ONNX Runtime opens a model without Python's global lock, so a worker on two cores is ready earlier. The thread has ended
before the pool forks.
"""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hanner.settings import Settings
from hanner_inference.memory import share_heap

if TYPE_CHECKING:
    from hanner_inference import Recogniser

_PREVENTING = frozenset({"--workdir", "--uid", "--gid", "--umask", "--detach", "--help"})
"""Options of Celery's worker that change its folder, user or process before the model is loaded, or only print."""


class EarlyLoad:
    """A model that a thread loads.

    Args:
        settings: of the model.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._recogniser: Recogniser | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="hanner-early-load")
        self._thread.start()

    def _run(self) -> None:
        try:
            from hanner_inference import load  # noqa: PLC0415 - imports numpy and onnxruntime

            self._recogniser = load(self.settings.model or None, settings=self.settings)
        except BaseException as error:  # noqa: BLE001 - raised again by result()
            self._error = error

    def join(self) -> None:
        """Wait for the thread."""
        self._thread.join()

    def result(self) -> "Recogniser":
        """Wait for the thread and return the model.

        Raises:
            HannerError: the model is missing or damaged.
            ImportError: a library of the extra `worker` is not installed.
        """
        self.join()
        if self._error is not None:
            raise self._error
        assert self._recogniser is not None
        return self._recogniser


_early: EarlyLoad | None = None


def start(settings: Settings, arguments: Sequence[str]) -> None:
    """Begin to load the model that the settings select, unless an argument prevents it.

    Another engine than hanner's own might need the main thread.
    """
    global _early  # noqa: PLW0603 - one per process
    options = {argument.partition("=")[0] for argument in arguments if argument.startswith("-")}
    detaches = any("D" in option for option in options if not option.startswith("--"))  # also -ED
    default = Settings.model_fields["engine"].default
    if settings.engine == default and _PREVENTING.isdisjoint(options) and not detaches:
        share_heap()
        _early = EarlyLoad(settings)


def take(settings: Settings) -> EarlyLoad | None:
    """Return the load that was started for these settings, once.

    One for other settings has ended when this returns, so that no thread runs when the pool forks.
    """
    global _early
    early, _early = _early, None
    if early is None or early.settings == settings:
        return early
    early.join()
    return None
