"""Follow the README in a clone of the repository: `python follow_readme.py CLONE`; prints the steps' output as JSON.

The clone must be installed already (`make .venv/.demo`). In a network namespace of its own, pass `--namespace`: then no
other program has the ports, and the loopback interface is started first.
"""

import fcntl
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40  # linux/if.h
READY = "Press Ctrl-C to stop"
ARTICLE = """curl -X POST http://localhost:8080/api/v1/ner \\
  -H "Content-Type: application/json" \\
  -d '{"text": "马云在杭州阿里巴巴总部发表演讲"}'"""
"""The command of the article on serving NER from Celery, whose readers come here."""


def start_loopback():
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP | IFF_RUNNING))


def run(shell, folder):
    """Run a shell command as it is pasted into a new terminal."""
    ended = subprocess.run(["bash", "-c", shell], cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return {"code": ended.returncode, "out": ended.stdout, "err": ended.stderr}


def steps(clone, banner):
    """Yield the name and the shell command of each step."""
    readme = (clone / "README.md").read_text("utf-8")
    first, celery = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    (curl,) = re.findall(r"^curl .*$", readme, re.MULTILINE)
    (shell,) = re.findall(r"^\.venv/bin/hanner extract .*$", readme, re.MULTILINE)
    (clone / "first.py").write_text(first, "utf-8")
    (clone / "app.py").write_text(celery, "utf-8")
    yield "client", ".venv/bin/python first.py"
    yield "celery", ".venv/bin/python app.py"
    yield "curl", curl
    yield "article", ARTICLE
    yield "shell", shell
    yield "doctor", ".venv/bin/hanner doctor"
    pasted = banner.partition("paste these lines into another terminal:\n\n")[2].partition("\n\n")[0]
    yield "banner", f"cd /\n{pasted}"


def main():
    clone = Path(sys.argv[1])
    if "--namespace" in sys.argv:
        start_loopback()
    with subprocess.Popen(
        ["make", "up"], cwd=clone, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as stack:
        try:
            banner = ""
            for line in stack.stdout:
                banner += line
                if READY in line:
                    break
            found = {"up": {"code": 0 if READY in banner else 1, "out": banner, "err": ""}}
            found |= {name: run(shell, clone) for name, shell in steps(clone, banner) if READY in banner}
        finally:
            os.killpg(stack.pid, signal.SIGTERM)
            stack.stdout.read()
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
