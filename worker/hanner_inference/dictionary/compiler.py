"""Compile a dictionary into the file that all processes map. Reads and writes files, and starts a subprocess.

Compilation runs as `python -m hanner_inference.dictionary.compiler SOURCE TARGET`. So the worker's event loop does not
wait for it, and its memory (about 300 bytes per term) is released when it exits.
"""

import argparse
import hashlib
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from hanner.errors import HannerError
from hanner_inference.dictionary.compiled_file import compile_terms
from hanner_inference.dictionary.parser import DictionaryError, Folding, parse


def compile_in_subprocess(source: Path, target: Path, folding: Folding) -> None:
    """Compile `source` into `target` in a subprocess; `target` is replaced atomically, or not at all.

    Raises:
        DictionaryError: if the dictionary cannot be read, or one of its lines is not valid.
    """
    flags = [f"--{name.replace('_', '-')}" for name, enabled in asdict(folding).items() if enabled]
    command = [sys.executable, "-P", "-m", __name__, str(source), str(target), *flags]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)  # noqa: S603
    if done.returncode:
        message = done.stderr.strip().rpartition("\n")[2]
        raise DictionaryError(
            message or f"compiling the dictionary {source} failed with exit code {done.returncode}; try again"
        )


def compile_file(source: Path, target: Path, folding: Folding) -> None:
    """Compile `source` into `target` in this process.

    Raises:
        DictionaryError: if the dictionary cannot be read, or one of its lines is not valid.
    """
    try:
        if source.exists() and not (source.is_file() or source.is_dir()):  # reading a FIFO would not end
            raise DictionaryError(f"the dictionary {source} is not a regular file; set HANNER_DICTIONARY to one")
        data = source.read_bytes()
    except OSError as error:
        raise DictionaryError(
            f"the dictionary {source} cannot be read ({error.strerror}); set HANNER_DICTIONARY to a readable file"
        ) from None
    digest = hashlib.sha256(repr(folding).encode() + data).hexdigest()
    content = compile_terms(parse(data, str(source), folding), digest, folding)
    new = target.with_name(f"{target.name}.{os.getpid()}.new")  # several workers may reload it at the same time
    try:
        new.write_bytes(content)
        new.replace(target)
    except OSError as error:
        raise DictionaryError(
            f"{target} cannot be written ({error.strerror}); free some space, or set TMPDIR"
        ) from None


def main() -> None:
    """Run the command line; an error is one line on stderr."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--lowercase", action="store_true")
    parser.add_argument("--half-width", action="store_true")
    parser.add_argument("--traditional", action="store_true")
    options = parser.parse_args()
    sys.stderr.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    try:
        folding = Folding(options.lowercase, options.half_width, options.traditional)
        compile_file(options.source, options.target, folding)
    except HannerError as error:
        sys.exit(str(error))
    except MemoryError:
        sys.exit(f"the dictionary {options.source} does not fit into memory; use a smaller one")
    sys.stdout.flush()
    os._exit(0)  # skip the deallocation of a million strings


if __name__ == "__main__":
    main()
