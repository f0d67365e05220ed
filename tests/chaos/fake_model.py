"""A fake model that logs its runs. It imports only the standard library: other workers run it without hanner.

A text starts with its serial number. A command after the number controls the process: `!exit` ends it, `!raise` makes
the model fail, `!hang` never returns. Each run is appended to a file in one write, so processes can share the file.
"""

import os
import re
import threading
import time

SERIAL = re.compile(r"马云(\d{7})(!\w+)?")
EVENT_LOG = os.environ.get("CHAOS_EVENT_LOG")
SECONDS_PER_TEXT = float(os.environ.get("CHAOS_SECONDS_PER_TEXT", "0.001"))


def make_text(serial, filler=0, command=""):
    """Return text number `serial`, with `filler` more characters."""
    return f"马云{serial:07d}{command}" + "。" * filler


def serial_of(text):
    """Return a text's serial number, or -1 if it has none."""
    found = SERIAL.match(text) if isinstance(text, str) else None
    return int(found[1]) if found else -1


def entities(text):
    """Return what the fake model finds: the serial number, so that a mixed-up answer is detected."""
    found = SERIAL.match(text)
    if not found:
        return []
    name = f"马云{found[1]}"
    return [{"text": name, "type": "PER", "start": 0, "end": len(name), "score": 1.0}]


def run(texts):
    """Log the run, sleep as long as a model would run, execute the commands, and return the entities of each text."""
    log_event("start", *map(serial_of, texts))
    time.sleep(SECONDS_PER_TEXT * len(texts))
    for text in texts:
        execute_command(text)
    return [entities(text) for text in texts]


def execute_command(text):
    found = SERIAL.match(text)
    command = found[2] if found else None
    if command == "!exit":
        os._exit(70)
    if command == "!raise":
        raise ValueError(command)
    if command == "!hang":
        threading.Event().wait(3600)


def ready():
    """Log that this worker consumes."""
    log_event("ready")


def log_event(event, *values):
    """Append one line: monotonic time (one clock for all processes), event, process id, values."""
    if EVENT_LOG is None:
        return
    line = " ".join(map(str, (time.monotonic(), event, os.getpid(), *values)))
    file = os.open(EVENT_LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, f"{line}\n".encode())
    finally:
        os.close(file)
