"""Compiles a dictionary in a process of its own: `python -m hanner_inference.dictionary.compiler SOURCE TARGET FOLD`.

So the worker's event loop does not wait for it, and the memory it takes (some 300 bytes a term) goes with it.
"""

import argparse
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from hanner.errors import HannerError
from hanner_inference.dictionary.matcher import compiled
from hanner_inference.dictionary.parser import DictionaryError, Fold, parse


def build(source: Path, target: Path, fold: Fold) -> None:
    """Compile `source` into `target`, which appears complete or stays as it was.

    Raises:
        DictionaryError: the dictionary cannot be read or a line of it cannot be used.
    """
    flags = [f"--{name}" for name, wanted in (("lowercase", fold.lowercase), ("half-width", fold.half_width)) if wanted]
    command = [sys.executable, "-m", __name__, str(source), str(target), *flags]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)  # noqa: S603
    if done.returncode:
        said = done.stderr.strip().rpartition("\n")[2]
        raise DictionaryError(said or f"compiling the dictionary {source} ended with {done.returncode}; try again")


def compile_file(source: Path, target: Path, fold: Fold) -> None:
    """Do in this process what `build` does in another.

    Raises:
        DictionaryError: as there.
    """
    try:
        data = source.read_bytes()
    except OSError as error:
        raise DictionaryError(
            f"the dictionary {source} cannot be read ({error.strerror}); set HANNER_DICTIONARY to a file that can"
        ) from None
    digest = hashlib.sha256(repr(fold).encode() + data).hexdigest()
    content = compiled(parse(data, str(source), fold), digest, fold)
    new = target.with_name(f"{target.name}.new")
    try:
        new.write_bytes(content)
        new.replace(target)
    except OSError as error:
        raise DictionaryError(f"{target} cannot be written ({error.strerror}); make room, or set TMPDIR") from None


def main() -> None:
    """Run as a program; errors are one sentence on stderr."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--lowercase", action="store_true")
    parser.add_argument("--half-width", action="store_true")
    options = parser.parse_args()
    sys.stderr.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    try:
        compile_file(options.source, options.target, Fold(options.lowercase, options.half_width))
    except HannerError as error:
        sys.exit(str(error))
    except MemoryError:
        sys.exit(f"the dictionary {options.source} does not fit into memory; make it smaller")
    sys.stdout.flush()
    os._exit(0)  # a million strings need not be taken apart one by one


if __name__ == "__main__":
    main()
