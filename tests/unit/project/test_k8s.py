"""The manifests in compose/k8s are valid, hardened, and use the lists and endpoints of the code."""

import json
import shutil
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from hanner.queue.keys import QueueKeys
from hanner.settings import Settings, variable
from hanner_gateway.openapi import PATH as OPENAPI

FOLDER = Path(__file__).parents[3] / "compose" / "k8s"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text("utf-8"))
DOCUMENTS = [
    document
    for name in KUSTOMIZATION["resources"]
    for document in yaml.safe_load_all((FOLDER / name).read_text("utf-8"))
]
FOREIGN = {"ScaledObject", "TriggerAuthentication"}
"""Kinds of KEDA, which Kubernetes' schemas do not contain."""
TRIGGERS = {
    "redis": (
        {"listName", "listLength", "activationListLength", "databaseIndex", "enableTLS"},
        {"listName", "listLength"},
    ),
    "metrics-api": (
        {"url", "format", "valueLocation", "targetValue", "activationTargetValue"},
        {"url", "valueLocation", "targetValue"},
    ),
}
"""Fields of KEDA's triggers: those used here, and those required."""


def one(kind, name):
    (found,) = [d for d in DOCUMENTS if d["kind"] == kind and d["metadata"]["name"] == name]
    return found


def container(name):
    (found,) = one("Deployment", name)["spec"]["template"]["spec"]["containers"]
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: f"{d['kind']}-{d['metadata']['name']}")
def test_document_is_valid(document):
    if document["kind"] in FOREIGN:
        assert document["apiVersion"] == "keda.sh/v1alpha1"
    else:
        kubernetes_validate.validate(document, "1.33", strict=True)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")
def test_kustomize_renders_all_documents():
    command = ["kubectl", "kustomize", str(FOLDER)]
    rendered = list(yaml.safe_load_all(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    assert len(rendered) == len(DOCUMENTS) + 1  # the settings
    assert all(d["kind"] == "Namespace" or d["metadata"]["namespace"] == "hanner" for d in rendered)


@pytest.mark.parametrize("name", ["hanner-worker", "hanner-gateway"])
def test_containers_are_hardened(name):
    pod, has = one("Deployment", name)["spec"]["template"]["spec"], container(name)
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    assert has["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {probe for probe in has if probe.endswith("Probe")} == {"startupProbe", "readinessProbe", "livenessProbe"}
    assert has["resources"]["limits"]["memory"]
    assert pod["terminationGracePeriodSeconds"] >= 60
    assert one("PodDisruptionBudget", name)["spec"]["selector"] == one("Deployment", name)["spec"]["selector"]


def test_no_manifest_contains_a_secret():
    assert not [document for document in DOCUMENTS if document["kind"] == "Secret"]
    for name in ("hanner-worker", "hanner-gateway"):
        secret = {e["name"] for e in container(name)["env"] if "secretKeyRef" in e.get("valueFrom", {})}
        assert "HANNER_BROKER_URL" in secret
        assert all("value" not in e for e in container(name)["env"] if e["name"] in secret)


def test_settings_exist():
    (generated,) = KUSTOMIZATION["configMapGenerator"]
    names = {literal.partition("=")[0] for literal in generated["literals"]}
    assert names <= {variable(name) for name in Settings.model_fields}


def test_triggers_use_fields_of_keda():
    for trigger in one("ScaledObject", "hanner-worker")["spec"]["triggers"]:
        known, needed = TRIGGERS[trigger["type"]]
        assert needed <= trigger["metadata"].keys() <= known
        assert all(isinstance(value, str) for value in trigger["metadata"].values())  # KEDA accepts strings only


def test_triggers_measure_both_lists_and_unacknowledged_requests():
    spec = one("ScaledObject", "hanner-worker")["spec"]
    by_name = {trigger["name"]: trigger for trigger in spec["triggers"]}
    keys = QueueKeys("hanner")
    assert by_name["interactive"]["metadata"]["listName"] == keys.queue
    assert by_name["bulk"]["metadata"]["listName"] == keys.bulk
    metadata = by_name["in-flight"]["metadata"]
    path = "/api/v1/status"
    assert metadata["url"].endswith(path)
    document = json.loads(OPENAPI.read_text("utf-8"))
    answer = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    assert answer == "#/components/schemas/Status"
    node = document["components"]["schemas"]["Status"]
    for name in metadata["valueLocation"].split("."):
        node = node["properties"][name]
        node = document["components"]["schemas"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
    assert node["type"] == "integer"
    assert spec["scaleTargetRef"]["name"] == "hanner-worker"
    assert "replicas" not in one("Deployment", "hanner-worker")["spec"]  # `apply` would reset KEDA's number
    secret = one("TriggerAuthentication", "hanner-redis")["spec"]["secretTargetRef"]
    assert {each["parameter"] for each in secret} == {"address", "username", "password"}


def test_service_and_policies_select_existing_pods():
    labels = [
        one("Deployment", n)["spec"]["template"]["metadata"]["labels"] for n in ("hanner-worker", "hanner-gateway")
    ]
    assert one("Service", "hanner-gateway")["spec"]["selector"] == labels[1]
    assert one("NetworkPolicy", "to-gateway")["spec"]["podSelector"]["matchLabels"] == labels[1]
    assert one("NetworkPolicy", "default-deny")["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
