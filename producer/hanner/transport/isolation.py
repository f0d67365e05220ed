"""A Celery app that ignores the configuration of the program around it.

Celery's own app prefers CELERY_BROKER_URL, CELERY_RESULT_BACKEND and their variants to its configuration, imports the
modules that CELERY_LOADER and CELERY_CONFIG_MODULE name, and becomes a Django app if DJANGO_SETTINGS_MODULE is set. All
of them belong to the program that imports hanner, and stay as they are for it.
"""

from typing import Any

from celery import Celery
from celery.app.utils import Settings
from celery.loaders.app import AppLoader


def _configured(name: str) -> Any:
    """Return a property that reads a setting, and no environment variable."""
    return property(lambda conf: conf[name])


class IsolatedSettings(Settings):  # type: ignore[misc]
    """Celery's settings. Addresses come from the app's own configuration."""

    broker_url = broker_read_url = broker_write_url = _configured("broker_url")
    result_backend = _configured("result_backend")


class IsolatedLoader(AppLoader):  # type: ignore[misc]
    """Celery's loader. Imports no configuration module."""

    def read_configuration(self, env: str = "") -> None:
        """Return None: the app is configured by code."""


class IsolatedCelery(Celery):  # type: ignore[misc]
    """A Celery app with its own settings and loader, and without Celery's support of Django."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options |= {"loader": f"{__name__}:{IsolatedLoader.__name__}", "fixups": [], "set_as_current": False}
        super().__init__(*args, **options)
        # Celery creates its settings itself; only their class differs. Assignment would add a setting.
        object.__setattr__(self.conf, "__class__", IsolatedSettings)
