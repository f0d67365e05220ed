"""Load a model for use in this process, without a queue. Reads the model package and environment variables."""

from pathlib import Path

from hanner.contract import EXAMPLE_TEXT
from hanner.settings import Settings
from hanner_inference.engine.base import Engine
from hanner_inference.engine.registry import open_engine
from hanner_inference.memory import trim_heap
from hanner_inference.package import open_package
from hanner_inference.pipeline import Recogniser


def load(
    model: str | Path | None = None, *, dictionary: str | Path | None = None, settings: Settings | None = None
) -> Recogniser:
    """Return a model, ready for use.

    Args:
        model: the name of a bundled model, or the folder of a model package; any `Path` is a folder. By default
            HANNER_MODEL, else the default model.
        dictionary: file of terms that override the model, `term TAB type` on each line; by default HANNER_DICTIONARY.
        settings: engine and batch limits; by default read from HANNER_*.

    Raises:
        InvalidSettings: if a setting is not valid.
        ModelPackageError: if the package is missing, damaged or inconsistent.
        DictionaryError: if the dictionary cannot be read, or one of its lines is not valid.
        ModelFailed: if the model fails on a first text.
    """
    settings = settings or Settings.from_env()
    package = open_package(model or settings.model or None, read_all=False)  # engine and recogniser read all files
    engine = open_engine(settings.engine, package)
    settings = apply_engine_budget(settings, engine)
    recogniser = Recogniser(
        package,
        engine,
        batch_texts=settings.batch_texts,
        batch_tokens=settings.batch_tokens,
        max_text_chars=settings.max_text_chars,
        dictionary=dictionary or settings.dictionary or None,
    )
    if not getattr(engine, "skip_warm_up", False):
        recogniser.run([EXAMPLE_TEXT])  # a model that fails here is not ready
        _, recogniser.warm_up = recogniser.run([EXAMPLE_TEXT])  # the first run also imports and allocates
    trim_heap()
    return recogniser


def apply_engine_budget(settings: Settings, engine: Engine) -> Settings:
    """Return the settings with the engine's preferred batch limits, unless the user has set them."""
    budget = getattr(engine, "budget", None)
    if budget is None:
        return settings
    preferred = {"batch_texts": budget.texts, "batch_tokens": budget.tokens}
    return settings.model_copy(update={k: v for k, v in preferred.items() if k not in settings.model_fields_set})
