"""schemathesis against the live OpenAPI document: no 5xx, no answer that the document does not describe."""

import os
import subprocess
import sys
from pathlib import Path

from support.gateways import gateway

KEY = "a-key"
COMMAND = Path(sys.executable).with_name("schemathesis")
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "20")
# OpenAPI cannot say that a file is UTF-8 and how its name ends, so the files it makes up may be refused.
CONFIG = """\
[[operations]]
include-name = "POST /api/v1/jobs"
checks.positive_data_acceptance.enabled = false
"""


def test_the_live_document_holds(server, worker, tmp_path):
    (tmp_path / "schemathesis.toml").write_text(CONFIG, "utf-8")
    with gateway(server.url, api_keys=KEY) as site:
        command = [
            COMMAND, "run", f"{site.url}/openapi.json",
            "--header", f"Authorization: Bearer {KEY}",
            "--checks", "all",
            "--max-examples", EXAMPLES,
            "--max-time", "100",
            "--seed", "1",
            "--generation-database", "none",
            "--suppress-health-check", "all",
        ]  # fmt: skip
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=170, check=False)
    assert ended.returncode == 0, ended.stdout[-8000:] + ended.stderr[-2000:]
