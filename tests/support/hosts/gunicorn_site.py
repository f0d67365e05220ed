"""The Flask site under gunicorn: loaded before gunicorn forks its two workers."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

from support.hosts.actions import Actions
from support.waiting import wait_until

ROUNDS = 2
"""How often each verb is called, so that both workers get some."""


def main(origin):
    with tempfile.TemporaryDirectory() as folder:
        socket = Path(folder) / "site.sock"
        options = ["--preload", "--no-control-socket", "--workers", "2", "--bind", f"unix:{socket}"]
        command = [sys.executable, "-m", "gunicorn", *options, "support.hosts.flask_site:site"]
        site = subprocess.Popen(command, env={**os.environ, "HOST_ORIGIN": origin})
        try:
            wait_until(lambda: socket.exists() or site.poll() is not None, timeout=60)
            with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), timeout=60) as browser:
                for action in Actions.VERBS * ROUNDS + Actions.CANVASES:
                    assert browser.get(f"http://site/{action}").text == action
        finally:
            site.terminate()
            site.wait(60)


if __name__ == "__main__":
    main(sys.argv[1])
