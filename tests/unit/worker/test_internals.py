"""The private names of other libraries that we override or use: each still exists, and each is listed."""

import ast
import inspect
import re
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from hanner.flower.events import Events
from hanner.flower.internals import INTERNALS as FLOWER_INTERNALS
from hanner_worker.app import BatchedTask
from hanner_worker.batching.consumer import Consumer
from hanner_worker.batching.events import BufferedEventDispatcher
from hanner_worker.batching.redacted_request import RedactedRequest, UnbatchedRequest
from hanner_worker.batching.request import BatchRequest
from hanner_worker.celery_internals import INTERNALS
from hanner_worker.delivery.channel import (
    Poller,
    ReliableChannel,
    ReliableSentinelChannel,
    SentinelTransport,
    Transport,
)
from hanner_worker.delivery.qos import ReliableQoS

ROOT = Path(__file__).parents[3]
ALL = INTERNALS | FLOWER_INTERNALS
LISTED = [(owner, name) for owner, names in ALL.items() for name in names.split()]
SUBCLASSES = [
    BatchRequest, RedactedRequest, UnbatchedRequest,
    BatchedTask, BufferedEventDispatcher, Consumer, Events, Poller, ReliableChannel, ReliableQoS,
    ReliableSentinelChannel, SentinelTransport, Transport,
]  # fmt: skip


def load(owner):
    module, _, name = owner.partition(":")
    return getattr(import_module(module), name) if name else import_module(module)


def has(owner, name):
    """Return whether a module or class has a name, or a class or one of its bases assigns it to an instance.

    Celery's boot steps assign to their consumer, which they call `c`, and its pool to a process, `proc`.
    """
    if hasattr(owner, name) or not inspect.isclass(owner):
        return hasattr(owner, name)
    return any(re.search(rf"\b(self|c|proc)\.{name}\b[^=\n]*=[^=]", source_of(base)) for base in owner.__mro__)


@cache
def source_of(cls):
    if cls.__module__ == "builtins":
        return ""
    try:
        return inspect.getsource(cls)
    except OSError:  # Celery's boot steps have another __qualname__
        return inspect.getsource(import_module(cls.__module__))


def foreign_bases(cls):
    """Return the bases of a class that are not ours."""
    return [base for base in cls.__mro__[1:-1] if not base.__module__.startswith("hanner")]


def listed_names(cls):
    """Return the names that are listed for a class of ours, of all its bases."""
    bases = {f"{base.__module__}:{base.__qualname__}" for base in foreign_bases(cls)}
    loaded = {owner: load(owner) for owner in ALL if ":" in owner}
    owners = [owner for owner, loaded_ in loaded.items() if loaded_ in cls.__mro__ or owner in bases]
    return {name for owner in owners for name in ALL[owner].split()}


@pytest.mark.parametrize(("owner", "name"), LISTED, ids=[f"{owner}.{name}" for owner, name in LISTED])
def test_a_listed_name_exists(owner, name):
    assert has(load(owner), name), f"{owner} has no {name} in the installed version; see celery_internals.py"


def test_a_name_that_is_gone_is_found():
    assert has(load("kombu.transport.redis:QoS"), "_delivered")  # set by __init__ of a base
    assert not has(load("kombu.transport.redis:QoS"), "_gone")
    assert not has(load("kombu.transport"), "_gone")


@pytest.mark.parametrize("cls", SUBCLASSES)
def test_overridden_names_are_listed(cls):
    overridden = {name for name in vars(cls) if any(name in vars(base) for base in foreign_bases(cls))}
    dunder = {name for name in overridden if name.startswith("__") and name != "__trace__"}
    ignored = {"abstract", "acks_late", "throws"} if cls is BatchedTask else set()  # Celery's public options
    assert overridden - dunder - ignored <= listed_names(cls)


@pytest.mark.parametrize("cls", SUBCLASSES)
def test_overriding_methods_accept_the_arguments_of_the_overridden_ones(cls):
    for name, ours in vars(cls).items():
        theirs = next((getattr(base, name) for base in foreign_bases(cls) if name in vars(base)), None)
        if not inspect.isfunction(ours) or not inspect.isfunction(theirs) or name == "__init__":
            continue
        parameters = inspect.signature(ours).parameters.values()
        kinds = {parameter.kind for parameter in parameters}
        for parameter in inspect.signature(theirs).parameters.values():
            accepted = parameter.name in {ours_.name for ours_ in parameters}
            accepted |= parameter.kind in kinds and "VAR" in parameter.kind.name
            accepted |= inspect.Parameter.VAR_POSITIONAL in kinds or inspect.Parameter.VAR_KEYWORD in kinds
            assert accepted, f"{cls.__name__}.{name} does not take {parameter.name}"


def private_names(tree):
    """Yield the private names that code reads or sets as attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.endswith("__"):
            yield node


@pytest.mark.parametrize("cls", SUBCLASSES)
def test_private_names_of_bases_are_listed(cls):
    tree = ast.parse(inspect.getsource(cls))
    used = {node.attr for node in private_names(tree) if isinstance(node.value, ast.Name) and node.value.id == "self"}
    inherited = {name for name in used if any(has(base, name) for base in foreign_bases(cls))}
    assert inherited <= listed_names(cls)


def test_private_names_of_other_objects_are_listed():
    """Of objects that are not `self`: the linter marks each with SLF001, which must be silenced."""
    own = {"_text", "_create_client"}  # of our own classes
    listed = {name for _, name in LISTED} | own
    for file in [*ROOT.glob("producer/**/*.py"), *ROOT.glob("worker/**/*.py")]:
        lines = file.read_text("utf-8").splitlines()
        marked = {number for number, line in enumerate(lines, 1) if "SLF001" in line}
        if marked:
            names = {node.attr for node in private_names(ast.parse("\n".join(lines))) if node.lineno in marked}
            own_names = {
                node.attr
                for node in private_names(ast.parse("\n".join(lines)))
                if isinstance(node.value, ast.Name) and node.value.id == "self"
            }
            assert names - own_names <= listed, file
