"""A Redis, and workers, whose wall clock jumps: libfaketime, where it is installed (`apt install libfaketime`)."""

from pathlib import Path

from chaos.redises import RedisProcess

LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


def environment(file):
    """Return the variables that make a program read its clock's error from a file."""
    return {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_RESET": "1",
    }


class UnsteadyRedis(RedisProcess):
    """A RedisProcess whose clock can be turned."""

    def __init__(self, folder):
        self.clock = Path(folder) / "clock"
        super().__init__(folder, env=environment(self.clock) if LIBRARY else {})
        self.turn(0)

    def turn(self, seconds):
        """Put its clock so many seconds off."""
        self.clock.write_text(f"{seconds:+d}", "ascii")
