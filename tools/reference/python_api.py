"""The page of the Python API, from signatures and docstrings of the public names."""

import inspect
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import griffe
from griffe import DocstringSectionKind as Kind
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import hanner
import hanner_inference
from reference.markdown import anchor, block, code, page, table

ROOT = Path(__file__).parents[2]
WIDTH = 79
"""Signatures that are longer have one parameter per line."""
GROUPS = {
    "hanner": {
        "Clients": ("Client", "AsyncClient", "Job", "AsyncJob"),
        "Results": ("Entity", "EntityList", "Document", "Failure"),
        "State of the queue": ("Backlog", "WorkerState"),
        "Settings": ("Settings",),
        "Errors": (
            "ErrorCode",
            "HannerError",
            "InvalidSettings",
            "InvalidText",
            "UnknownModel",
            "QueueFull",
            "TimedOut",
            "BrokerUnreachable",
            "ModelFailed",
            "WorkerLost",
            "Expired",
            "Revoked",
        ),
        "Version": ("__version__",),
    },
    "hanner_inference": {
        "Recognition without a queue": ("load", "Recogniser", "RunStats"),
        "Model packages": ("open_package", "ModelPackage", "ModelPackageError"),
        "Errors of inference": ("DictionaryError",),
    },
}
"""Package → heading → public names, in the order of the page."""
INTRODUCTION = """\
# Python API

The public names of the packages `hanner` (the client library) and `hanner_inference` (the model without a queue). All
other names are private. The guides show how to use them; [errors](errors.md) and [settings](settings.md) have their own
pages.

The type `Timeout` is a number of seconds, None for no limit, or `DEFAULT` for `Settings.timeout`."""


def render() -> str:
    """Return the page."""
    parts = []
    for package, groups in GROUPS.items():
        for heading, names in groups.items():
            parts.append(f"## {heading}\n\n`from {package} import {', '.join(names)}`")
            parts += [_object(package, name) for name in names]
    return _link(page(INTRODUCTION, *parts))


@cache
def load(package: str) -> griffe.Object:
    """Return a package, parsed by griffe."""
    for name in GROUPS:
        griffe.load(name, search_paths=[ROOT / "producer", ROOT / "worker"], modules_collection=COLLECTION)
    found: griffe.Object = COLLECTION[package]
    return found


COLLECTION = griffe.ModulesCollection()


def public_objects() -> Iterator[tuple[str, Any]]:
    """Yield name and griffe object of each public class, function, method and property."""
    for package, groups in GROUPS.items():
        for name in (name for names in groups.values() for name in names if name != "__version__"):
            found = _find(package, name)
            yield name, found
            if found.is_class:
                yield from ((f"{name}.{member.name}", member) for member in _members(found))


def _find(package: str, name: str) -> Any:
    found = load(package)[name]
    return found.final_target if found.is_alias else found


def _members(cls: Any) -> list[Any]:
    """Return the public methods and properties of a class, in the order of the source."""
    members = [member for name, member in cls.members.items() if not name.startswith("_") and not member.is_alias]
    return [member for member in members if member.is_function or "property" in member.labels]


def _object(package: str, name: str) -> str:
    if name == "__version__":
        return "### `__version__`\n\nThe version of hanner, a string."
    found = _find(package, name)
    parts = [f"### `{name}`"]
    if found.is_function:
        return "\n\n".join([*parts, block(_signature(name, found), "python"), *_docstring(found)])
    model = getattr(_module(package), name)
    init = found.members.get("__init__")
    if init is not None and _is_documented(found, init):
        parts.append(block(_signature(name, init, returns=False), "python"))
    bases = [str(base) for base in found.bases if str(base) in _names()]
    if bases:
        parts.append(f"Subclass of {', '.join(map(code, bases))}.")
    parts += _docstring(found)
    if init is not None and init.docstring and init.docstring.value:
        parts += _sections(init, text=False)
    parts += _attributes(found, model)
    parts += [_member(name, member) for member in _members(found)]
    return "\n\n".join(parts)


def _module(package: str) -> Any:
    return {"hanner": hanner, "hanner_inference": hanner_inference}[package]


def _names() -> set[str]:
    return {name for groups in GROUPS.values() for names in groups.values() for name in names}


def _member(owner: str, member: Any) -> str:
    name = f"{owner}.{member.name}"
    if member.is_function:
        return "\n\n".join([f"#### `{name}`", block(_signatures(member.name, member), "python"), *_docstring(member)])
    return "\n\n".join([f"#### `{name}`", block(f"{member.name}: {member.annotation}", "python"), *_docstring(member)])


def _signatures(name: str, function: Any) -> str:
    return "\n".join(_signature(name, each) for each in function.overloads or [function])


def _signature(name: str, function: Any, *, returns: bool = True) -> str:
    """Return a signature as source code, without `self`."""
    parts: list[str] = []
    kinds = griffe.ParameterKind
    for parameter in function.parameters:
        if parameter.name in {"self", "cls"}:
            continue
        keyword_only = parameter.kind is kinds.keyword_only
        if keyword_only and not any(part.startswith("*") for part in parts):
            parts.append("*")
        stars = {kinds.var_positional: "*", kinds.var_keyword: "**"}.get(parameter.kind, "")
        annotation = f": {parameter.annotation}" if parameter.annotation else ""
        default = "" if parameter.default is None or stars else f" = {parameter.default}"
        parts.append(f"{stars}{parameter.name}{annotation}{default}")
    prefix = "async " if "async" in function.labels else ""
    result = f" -> {function.returns}" if returns and function.returns else ""
    line = f"{prefix}{name}({', '.join(parts)}){result}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"{prefix}{name}(", *(f"    {part}," for part in parts), f"){result}"])


def _docstring(found: Any) -> list[str]:
    if "abstractmethod" in found.labels or not found.docstring:
        return []
    return _sections(found)


def _sections(found: Any, *, text: bool = True) -> list[str]:
    """Return the sections of a docstring: text, arguments and errors."""
    parts = []
    for section in found.docstring.parse("google", warnings=False):
        if section.kind is Kind.text and text:
            parts.append(section.value)
        elif section.kind is Kind.parameters:
            rows = [(code(each.name), _capitalise(each.description)) for each in section.value]
            parts.append(table(["argument", "meaning"], rows))
        elif section.kind is Kind.raises:
            rows = [(code(each.annotation), _capitalise(each.description)) for each in section.value]
            parts.append(table(["raises", "if"], rows))
    return parts


def _capitalise(text: str) -> str:
    text = text.removeprefix("if ")
    return text[:1].upper() + text[1:]


def _attributes(cls: Any, runtime: Any) -> list[str]:
    """Return the table of a class's attributes, from its docstring, its fields, or their own docstrings."""
    rows = [(code(name), _capitalise(text)) for name, text in attributes(cls, runtime).items()]
    if cls.name == "Settings":
        return ["Each attribute is a setting of [this page](settings.md), without `HANNER_` and in lower case."]
    return [table(["attribute", "meaning"], rows)] if rows else []


def attributes(cls: Any, runtime: Any) -> dict[str, str]:
    """Return name → description of a class's public attributes; empty if it is not described."""
    found: dict[str, str] = {}
    sections = cls.docstring.parse("google", warnings=False) if cls.docstring else []
    for section in sections:
        if section.kind is Kind.attributes:
            found |= {each.name: each.description for each in section.value}
    for name, member in cls.members.items():
        declared = "instance-attribute" not in member.labels or "class-attribute" in member.labels
        public = member.is_attribute and not name.startswith("_") and name != "model_config"
        if public and declared and "property" not in member.labels:
            found.setdefault(name, member.docstring.value if member.docstring else _value(runtime, name))
    for name, field in _fields(runtime).items():
        found[name] = found.get(name) or field.description or ""
    return found


def _fields(runtime: Any) -> dict[str, FieldInfo]:
    """Return name → pydantic's description of a class's attributes."""
    if issubclass(runtime, BaseModel):
        return dict(runtime.model_fields)
    annotated = {name: getattr(kind, "__metadata__", ()) for name, kind in inspect.get_annotations(runtime).items()}
    return {name: each for name, parts in annotated.items() for each in parts if isinstance(each, FieldInfo)}


def _value(runtime: Any, name: str) -> str:
    """Return the value of an undocumented class attribute if it is an error code."""
    value = getattr(runtime, name, None)
    return f"[`{value}`](errors.md#{value})" if isinstance(value, hanner.ErrorCode) else ""


def _is_documented(cls: Any, init: Any) -> bool:
    """Return whether the arguments of a constructor are documented; else only hanner itself calls it."""
    text = "".join(each.docstring.value for each in (cls, init) if each.docstring)
    return "Args:" in text or "Arguments" in text


def _link(text: str) -> str:
    """Link inline code that names an object of this page to its heading."""
    anchors = {match[1]: anchor(match[1]) for match in re.finditer(r"^#{3,4} `([\w.]+)`$", text, re.MULTILINE)}

    def replace(match: re.Match[str]) -> str:
        name = match[1].removesuffix("()")
        return f"[`{match[1]}`](#{anchors[name]})" if name in anchors else match[0]

    lines: list[str] = []
    fenced = False
    for line in text.split("\n"):
        fenced ^= line.startswith("```")
        linkable = not fenced and not line.startswith("#")
        lines.append(re.sub(r"(?<!\[)`([\w.]+(?:\(\))?)`", replace, line) if linkable else line)
    return "\n".join(lines)


def missing_names() -> Iterable[str]:
    """Return public names of the packages that no group has, and names of groups that are not public."""
    for package, groups in GROUPS.items():
        listed = {name for names in groups.values() for name in names}
        yield from sorted(listed ^ set(_module(package).__all__))
