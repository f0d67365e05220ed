"""schemathesis with the served OpenAPI document: no 5xx, and no response that the document does not describe."""

import subprocess
import sys
from pathlib import Path

import pytest

from support.gateways import gateway
from support.stub_worker import register_worker

KEY = "a-key"
COMMAND = Path(sys.executable).with_name("schemathesis")
UPLOAD = "POST /api/v1/jobs"
RUNS = {
    "all but uploads": ["--exclude-name", UPLOAD],
    # OpenAPI cannot express that a file is UTF-8 with a certain suffix, so generated files may be rejected.
    "uploads": ["--include-name", UPLOAD, "--exclude-checks", "positive_data_acceptance"],
}


@pytest.mark.parametrize("run", RUNS)
def test_gateway_conforms_to_its_document(server, worker, tmp_path, run):
    register_worker(server.client)
    with gateway(server.url, api_keys=KEY) as site:
        command = [
            COMMAND, "run", f"{site.url}/openapi.json",
            "--header", f"Authorization: Bearer {KEY}",
            "--checks", "all",
            "--max-examples", "20",
            "--max-time", "60",
            "--seed", "1",
            "--generation-database", "none",
            "--suppress-health-check", "all",
            *RUNS[run],
        ]  # fmt: skip
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=170, check=False)
    assert ended.returncode == 0, ended.stdout[-8000:] + ended.stderr[-2000:]
