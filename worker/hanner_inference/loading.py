"""Open a model for use in this process, with no queue."""

from pathlib import Path

from hanner.settings import Settings
from hanner_inference.engine.base import Engine
from hanner_inference.engine.registry import open_engine
from hanner_inference.memory import trim_heap
from hanner_inference.package import open_package
from hanner_inference.pipeline import Recogniser

FIRST = "马云在杭州阿里巴巴总部发表演讲"
"""Run once when a model is opened: one that cannot is not ready, and no real text pays for first steps."""


def load(
    path: str | Path | None = None, *, dictionary: str | Path | None = None, settings: Settings | None = None
) -> Recogniser:
    """Open the model package in `path`; by default the one that HANNER_MODEL names, else the bundled one.

    Args:
        path: folder of a model package.
        dictionary: file of terms that override the model, `term TAB type` on each line; by default the one that
            HANNER_DICTIONARY names.
        settings: engine and batch limits; read from HANNER_* by default.

    Raises:
        InvalidSettings: a setting cannot be used.
        ModelPackageError: the package is missing, damaged or does not fit together.
        DictionaryError: the dictionary cannot be read, or a line of it cannot be used.
        ModelFailed: the model cannot be run on a first text.
    """
    settings = settings or Settings.from_env()
    package = open_package(path or settings.model or None)
    engine = open_engine(settings.engine, package)
    settings = fitted(settings, engine)
    recogniser = Recogniser(
        package,
        engine,
        batch_texts=settings.batch_texts,
        batch_tokens=settings.batch_tokens,
        max_padding=settings.max_padding,
        max_text_chars=settings.max_text_chars,
        dictionary=dictionary or settings.dictionary or None,
    )
    if not getattr(engine, "late", False):
        recogniser.run([FIRST])
    trim_heap()
    return recogniser


def fitted(settings: Settings, engine: Engine) -> Settings:
    """Return the settings with the batch limits that the engine prefers, where none were set by hand."""
    budget = getattr(engine, "budget", None)
    if budget is None:
        return settings
    wanted = {"batch_texts": budget.texts, "batch_tokens": budget.tokens}
    return settings.model_copy(update={k: v for k, v in wanted.items() if k not in settings.model_fields_set})
