"""Find an engine by name: an entry point of the group `hanner.engines`, or `module:attribute`."""

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from hanner.errors import InvalidSettings
from hanner_inference.engine.base import Engine
from hanner_inference.package import ModelPackage

GROUP = "hanner.engines"

EngineFactory = Callable[[ModelPackage], Engine]


def open_engine(name: str, package: ModelPackage) -> Engine:
    """Return the engine `name` for `package`.

    Raises:
        InvalidSettings: if there is no such engine, or it cannot be imported.
        ModelPackageError: if the engine cannot use the package.
    """
    return _find_factory(name)(package)


def _find_factory(name: str) -> EngineFactory:
    known = {point.name: point for point in entry_points(group=GROUP)}
    try:
        if name in known:
            return cast("EngineFactory", known[name].load())
        if ":" in name:
            return cast("EngineFactory", EntryPoint(name=name, value=name, group=GROUP).load())
    except Exception as error:  # the module may raise anything while it is imported
        reason = str(error) or type(error).__name__
        raise InvalidSettings(f"the engine {name!r} of HANNER_ENGINE cannot be imported: {reason}") from error
    names = ", ".join(sorted(known)) or "none"
    raise InvalidSettings(f"HANNER_ENGINE={name!r} is not a known engine; use one of {names}, or module:attribute")
