"""Find an engine by name and open it on a package: an entry point of `hanner.engines`, or `module:attribute`."""

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import cast

from hanner.errors import InvalidSettings
from hanner_inference.engine.base import Engine
from hanner_inference.package import ModelPackage

GROUP = "hanner.engines"

EngineFactory = Callable[[ModelPackage], Engine]


def open_engine(name: str, package: ModelPackage) -> Engine:
    """Open the engine `name` on `package`.

    Raises:
        InvalidSettings: there is no such engine, or it cannot be imported; the sentence has the known names.
        ModelPackageError: the engine cannot use the package.
    """
    return _factory(name)(package)


def _factory(name: str) -> EngineFactory:
    known = {point.name: point for point in entry_points(group=GROUP)}
    try:
        if name in known:
            return cast("EngineFactory", known[name].load())
        if ":" in name:
            return cast("EngineFactory", EntryPoint(name=name, value=name, group=GROUP).load())
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidSettings(f"the engine {name!r} of HANNER_ENGINE cannot be imported: {error}") from error
    names = ", ".join(sorted(known)) or "none"
    raise InvalidSettings(f"HANNER_ENGINE names no engine: {name!r}; known are {names}, or give module:attribute")
