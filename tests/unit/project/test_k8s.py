"""The manifests in compose/k8s are valid for three versions of Kubernetes and KEDA's schema, and fit the code."""

import functools
import json
import shutil
import subprocess
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

from hanner.settings import Settings, variable
from hanner_gateway.openapi import PATH as OPENAPI

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "compose" / "k8s"
SCHEMAS = ROOT / "tests" / "data" / "crds"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The parser in C, if PyYAML was built with it."""
VERSIONS = ["1.33", "1.35", "1.37"]
DOCUMENTS = [
    document
    for path in sorted(FOLDER.rglob("*.yaml"))
    if path.name != "kustomization.yaml"
    for document in yaml.load_all(path.read_text("utf-8"), LOADER)
]
KUSTOMIZATIONS = sorted(FOLDER.rglob("kustomization.yaml"))
COMPONENTS = {path.parent.name for path in KUSTOMIZATIONS if path.parent.parent.name == "components"}
CUSTOM = {path.stem for path in SCHEMAS.glob("*.json")}
"""Kinds that Kubernetes' schemas do not contain; tools/crd_schemas.py writes theirs."""
STATUS = "/api/v1/status"
TRIGGER_FIELDS = {"url", "valueLocation", "targetValue", "authMode"}
"""Fields of KEDA's trigger metrics-api that are used here."""
needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")


def name_of(document):
    return f"{document['kind']}-{document['metadata']['name']}"


def one(kind, name, documents=DOCUMENTS):
    (found,) = [d for d in documents if d["kind"] == kind and d["metadata"]["name"] == name]
    return found


def pod(name, documents=DOCUMENTS):
    return one("Deployment", name, documents)["spec"]["template"]["spec"]


@functools.cache
def validator(kind):
    """Return the validator of a custom resource. Checking its schema takes longer than checking a document."""
    schema = json.loads((SCHEMAS / f"{kind}.json").read_text("utf-8"))
    cls = jsonschema.validators.validator_for(schema)
    cls.check_schema(schema)
    return cls(schema)


def validate(document, version):
    if document["kind"] in CUSTOM:
        validator(document["kind"]).validate(document)
    else:
        kubernetes_validate.validate(document, version, strict=True)


def render(folder):
    command = ["kubectl", "kustomize", str(folder)]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return list(yaml.load_all(result.stdout, LOADER))


@pytest.fixture(scope="module")
def rendered():
    """The example, with all components."""
    return render(FOLDER / "example")


def copy_with(tmp_path, components, namespace="hanner"):
    """Return a copy of the example in the same place, with other components."""
    shutil.copytree(FOLDER, tmp_path / "k8s")
    path = tmp_path / "k8s" / "example" / "kustomization.yaml"
    example = yaml.safe_load(path.read_text("utf-8")) | {"components": components, "namespace": namespace}
    path.write_text(yaml.safe_dump(example), "utf-8")
    (path.parent / "namespace.yaml").write_text(
        (path.parent / "namespace.yaml").read_text("utf-8").replace("name: hanner", f"name: {namespace}"), "utf-8"
    )
    return path.parent


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_document_is_valid(document, version):
    validate(document, version)


@pytest.mark.parametrize("kind", sorted(CUSTOM))
def test_unknown_fields_of_custom_resources_are_errors(kind):
    document = next(each for each in DOCUMENTS if each["kind"] == kind)
    with pytest.raises(jsonschema.ValidationError):
        validate(document | {"spec": document["spec"] | {"unknwon": 1}}, VERSIONS[0])


@needs_kubectl
@pytest.mark.parametrize("version", VERSIONS)
def test_the_rendered_example_is_valid(rendered, version):
    for document in rendered:
        validate(document, version)
        assert document["kind"] == "Namespace" or document["metadata"]["namespace"] == "hanner"


@needs_kubectl
def test_images_have_a_registry_and_a_version(rendered):
    deployments = [each["spec"]["template"]["spec"] for each in rendered if each["kind"] == "Deployment"]
    images = [c["image"] for spec in deployments for c in spec["containers"] + spec.get("initContainers", [])]
    assert len(images) == 4
    for image in images:
        registry, _, tag = image.partition("/")
        assert "." in registry
        assert tag.partition(":")[2] not in {"", "latest"}


@needs_kubectl
@pytest.mark.parametrize("component", [None, *sorted(COMPONENTS - {"api-keys"})])
def test_each_component_works_alone(component, tmp_path):
    found = render(copy_with(tmp_path, [f"../components/{component}"] if component else []))
    assert {"hanner-worker", "hanner-gateway"} <= {d["metadata"]["name"] for d in found if d["kind"] == "Deployment"}
    assert any(each["kind"] == "ScaledObject" for each in found) == (component == "keda")


@needs_kubectl
def test_the_namespace_is_set_in_one_place(tmp_path):
    found = render(copy_with(tmp_path, ["../components/keda"], "texts"))
    urls = {each["metadata"]["url"] for each in one("ScaledObject", "hanner-worker", found)["spec"]["triggers"]}
    assert urls == {f"http://hanner-gateway.texts.svc{STATUS}"}
    for path in KUSTOMIZATIONS:
        assert ".hanner." not in path.read_text("utf-8")


@needs_kubectl
def test_all_triggers_send_the_key_if_the_gateway_requires_one(rendered):
    gateway = {each["name"]: each for each in pod("hanner-gateway", rendered)["containers"][0]["env"]}
    assert gateway["HANNER_API_KEYS"]["valueFrom"]["secretKeyRef"] == {"name": "hanner-gateway", "key": "api-keys"}
    for trigger in one("ScaledObject", "hanner-worker", rendered)["spec"]["triggers"]:
        assert trigger["metadata"]["authMode"] == "bearer"  # as the gateway's Authorization header
        authentication = one("TriggerAuthentication", trigger["authenticationRef"]["name"], rendered)
        assert [each["parameter"] for each in authentication["spec"]["secretTargetRef"]] == ["token"]


@needs_kubectl
def test_own_model_and_authority_are_mounted(rendered):
    worker = pod("hanner-worker", rendered)
    mounts = {each["name"]: each for each in worker["containers"][0]["volumeMounts"]}
    env = {each["name"]: each.get("value") for each in worker["containers"][0]["env"]}
    assert env["HANNER_MODEL"].startswith(mounts["models"]["mountPath"])
    assert worker["initContainers"][0]["command"][-1] == env["HANNER_MODEL"]
    for name in ("hanner-worker", "hanner-gateway", "hanner-flower"):
        spec = pod(name, rendered)
        assert {each["name"] for each in spec["containers"][0]["volumeMounts"]} == {v["name"] for v in spec["volumes"]}
        assert {"name": "redis-ca", "configMap": {"name": "hanner-redis-ca"}} in spec["volumes"]


@pytest.mark.parametrize("name", ["hanner-worker", "hanner-gateway", "hanner-flower"])
def test_containers_are_hardened(name):
    spec = pod(name)
    (has,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert not spec["automountServiceAccountToken"]
    assert has["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {probe for probe in has if probe.endswith("Probe")} == {"startupProbe", "readinessProbe", "livenessProbe"}
    assert has["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", ["hanner-worker", "hanner-gateway"])
def test_pods_stop_slowly_and_one_by_one(name):
    assert pod(name)["terminationGracePeriodSeconds"] >= 60
    assert one("PodDisruptionBudget", name)["spec"]["selector"] == one("Deployment", name)["spec"]["selector"]


def test_no_manifest_contains_a_secret():
    assert not [document for document in DOCUMENTS if document["kind"] == "Secret"]
    for name in ("hanner-worker", "hanner-gateway", "hanner-flower"):
        env = pod(name)["containers"][0]["env"]
        secret = {e["name"] for e in env if "secretKeyRef" in e.get("valueFrom", {})}
        assert "HANNER_BROKER_URL" in secret
        assert all("value" not in e for e in env if e["name"] in secret)


def test_settings_exist():
    for path in KUSTOMIZATIONS:
        for generated in yaml.safe_load(path.read_text("utf-8")).get("configMapGenerator", []):
            names = {literal.partition("=")[0] for literal in generated["literals"]}
            assert {name for name in names if not name.startswith("OTEL_")} <= {
                variable(name) for name in Settings.model_fields
            }


def test_triggers_read_numbers_of_the_status():
    spec = one("ScaledObject", "hanner-worker")["spec"]
    document = json.loads(OPENAPI.read_text("utf-8"))
    answer = document["paths"][STATUS]["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    assert answer == "#/components/schemas/Status"
    for trigger in spec["triggers"]:
        metadata = trigger["metadata"]
        assert trigger["type"] == "metrics-api"
        assert metadata.keys() <= TRIGGER_FIELDS
        assert all(isinstance(value, str) for value in metadata.values())  # KEDA accepts strings only
        assert metadata["url"].endswith(STATUS)
        node = document["components"]["schemas"]["Status"]
        for name in metadata["valueLocation"].split("."):
            node = node["properties"][name]
            node = document["components"]["schemas"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
        assert node["type"] == "number"
    assert spec["scaleTargetRef"]["name"] == "hanner-worker"
    assert "replicas" not in one("Deployment", "hanner-worker")["spec"]  # `apply` would reset KEDA's number


def test_service_and_policies_select_existing_pods():
    for name in ("hanner-gateway", "hanner-flower"):
        labels = one("Deployment", name)["spec"]["template"]["metadata"]["labels"]
        assert one("Service", name)["spec"]["selector"] == labels
        assert one("NetworkPolicy", name.replace("hanner", "to"))["spec"]["podSelector"]["matchLabels"] == labels
    assert one("NetworkPolicy", "default-deny")["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_alerts_and_job_names_are_those_of_the_stack():
    rules = yaml.safe_load((ROOT / "compose" / "prometheus" / "alerts.yml").read_text("utf-8"))
    assert one("PrometheusRule", "hanner")["spec"] == rules
    scraped = yaml.safe_load((ROOT / "compose" / "prometheus" / "prometheus.yml").read_text("utf-8"))
    jobs = {each["job_name"] for each in scraped["scrape_configs"] if each["job_name"].startswith("hanner-")}
    monitors = [each for each in DOCUMENTS if each["kind"] == "PodMonitor"]
    found = set()
    for monitor in monitors:
        name = monitor["metadata"]["name"]
        labels = one("Deployment", name)["spec"]["template"]["metadata"]["labels"]
        assert monitor["spec"]["selector"]["matchLabels"] == labels
        found.add(labels[monitor["spec"]["jobLabel"]])
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        assert endpoint["port"] in {port["name"] for port in pod(name)["containers"][0]["ports"]}
    assert found == jobs
