"""A pretended model, and what it notes. Plain Python: the stock systems run it in environments without hanner.

A text begins with its serial number; a command behind that decides what happens: `!exit` ends the process, `!raise`
fails the model, `!hang` never returns. Every run is noted in a file by one write, so that processes can share it.
"""

import os
import re
import threading
import time

SERIAL = re.compile(r"马云(\d{7})(!\w+)?")
JOURNAL = os.environ.get("CHAOS_JOURNAL")
SECONDS_PER_TEXT = float(os.environ.get("CHAOS_SECONDS_PER_TEXT", "0.001"))


def compose(serial, filler=0, command=""):
    """Return text number `serial` with so many characters more."""
    return f"马云{serial:07d}{command}" + "。" * filler


def serial_of(text):
    """Return a text's number; -1 for a text of nobody's."""
    found = SERIAL.match(text) if isinstance(text, str) else None
    return int(found[1]) if found else -1


def entities(text):
    """Return what the pretended model finds: the number, so that a mixed-up answer is seen."""
    found = SERIAL.match(text)
    if not found:
        return []
    name = f"马云{found[1]}"
    return [{"text": name, "type": "PER", "start": 0, "end": len(name), "score": 1.0}]


def run(texts):
    """Note the run, take a model's time, obey; return the entities of every text."""
    note("begin", *map(serial_of, texts))
    time.sleep(SECONDS_PER_TEXT * len(texts))
    for text in texts:
        obey(text)
    return [entities(text) for text in texts]


def obey(text):
    found = SERIAL.match(text)
    command = found[2] if found else None
    if command == "!exit":
        os._exit(70)
    if command == "!raise":
        raise ValueError(command)
    if command == "!hang":
        threading.Event().wait(3600)


def ready():
    """Note that a worker consumes."""
    note("ready")


def note(what, *values):
    """Append one line: a moment (monotonic, the same clock for all processes), what, the process, values."""
    if JOURNAL is None:
        return
    line = " ".join(map(str, (time.monotonic(), what, os.getpid(), *values)))
    file = os.open(JOURNAL, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, f"{line}\n".encode())
    finally:
        os.close(file)
