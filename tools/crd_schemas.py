"""Write the JSON schemas of custom resources in tests/data/crds, for tests/unit/project/test_k8s.py.

The schemas come from the Python models that cloudcoil publishes on PyPI for each version of KEDA and of the Prometheus
operator. The packages need a newer Python than hanner, so their classes are read from the wheel without builders and
imports. Unknown fields are errors, as for the API server's strict validation.

    python tools/crd_schemas.py     downloads the wheels with pip
"""

import __future__

import ast
import json
import subprocess
import sys
import tempfile
import types
import zipfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "tests" / "data" / "crds"
SOURCES = {
    ("cloudcoil-models-keda", "2.20.2.1", "cloudcoil/models/keda/v1alpha1.py"): [
        "ScaledObject",
        "TriggerAuthentication",
    ],
    ("cloudcoil-models-prometheus-operator", "0.93.1.1", "cloudcoil/models/prometheus_operator/v1.py"): [
        "PodMonitor",
        "PrometheusRule",
    ],
}
"""Kinds of each module. The first three numbers of a package's version are those of KEDA or the operator."""
PRELUDE = """
from typing import Annotated, Any, Literal
import pydantic
from pydantic import AwareDatetime, ConfigDict, Field, RootModel
from pydantic.alias_generators import to_camel

class BaseModel(pydantic.BaseModel):
    model_config = ConfigDict(alias_generator=to_camel)

class Resource(BaseModel):
    pass

ObjectMeta = dict
"""


def main() -> int:
    """Write the schemas, and return the exit code."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for (package, version, module), kinds in SOURCES.items():
        models = read_models(download(package, version), module)
        for kind in kinds:
            schema = strict(models[kind].model_json_schema(by_alias=True))
            document = {"$comment": f"{package} {version}, Apache-2.0; written by tools/crd_schemas.py", **schema}
            (FOLDER / f"{kind}.json").write_text(json.dumps(document, sort_keys=True) + "\n", "utf-8")
    return 0


def download(package: str, version: str) -> zipfile.ZipFile:
    """Return a package's wheel."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--ignore-requires-python"]
        subprocess.run([*command, "--dest", folder, f"{package}=={version}"], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        return zipfile.ZipFile(wheel.open("rb"))


def read_models(wheel: zipfile.ZipFile, module: str) -> dict[str, Any]:
    """Return the classes of a module, with their fields only."""
    classes = [node for node in ast.parse(wheel.read(module)).body if isinstance(node, ast.ClassDef)]
    for node in classes:
        node.body = [each for each in node.body if is_field(each)] or [ast.Pass()]
    names = types.ModuleType("models").__dict__
    sys.modules["models"] = types.ModuleType("models")  # pydantic looks generic models up there
    names = sys.modules["models"].__dict__
    exec(PRELUDE, names)  # noqa: S102
    code = compile(ast.unparse(ast.Module(classes, [])), module, "exec", flags=__future__.annotations.compiler_flag)
    exec(code, names)  # noqa: S102 - class definitions of a published package
    for node in classes:
        names[node.name].model_rebuild(_types_namespace=names)
    return names


def is_field(node: ast.stmt) -> bool:
    """Return whether a statement of a class declares a field or configures the model."""
    if isinstance(node, ast.AnnAssign):
        return "ClassVar" not in ast.unparse(node.annotation)
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "model_config"


def strict(node: Any) -> Any:
    """Return a schema without texts for readers, in which objects have no unknown fields."""
    if isinstance(node, list):
        return [strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    properties = {name: strict(each) for name, each in node.get("properties", {}).items()}
    kept = {name: strict(each) for name, each in node.items() if name not in {"title", "description", "properties"}}
    if isinstance(kept.get("pattern"), str):  # Go accepts flags after the anchor, other libraries do not
        kept["pattern"] = kept["pattern"].replace("^(?i)", "(?i)^")
    if "$defs" in node:
        kept["$defs"] = {name: strict(each) for name, each in node["$defs"].items()}
    return kept | ({"properties": properties, "additionalProperties": False} if "properties" in node else {})


if __name__ == "__main__":
    sys.exit(main())
