"""The dictionary of a worker: compiled by the parent, mapped by every process, reloaded without a restart.

Reads and writes files; works across fork.
"""

import os
import shutil
import tempfile
import weakref
from pathlib import Path

from hanner.results import Entity
from hanner_inference.dictionary.compiler import compile_in_subprocess
from hanner_inference.dictionary.matcher import Matcher
from hanner_inference.dictionary.parser import DictionaryError, Folding


class Dictionary:
    """A dictionary that a worker's parent opens and its pool processes inherit.

    `reload` replaces the compiled file; each process switches to it on its next `refresh`, without any message or
    restart. The compiled file is removed when the process that created it exits.

    Attributes:
        source: the user's file.
    """

    def __init__(self, source: str | Path, folding: Folding) -> None:
        """Compile and open a dictionary.

        Args:
            source: a file with `term TAB type` on each line.
            folding: the differences between characters that the model ignores.

        Raises:
            DictionaryError: if the dictionary cannot be read, or one of its lines is not valid.
        """
        self.source = Path(source).absolute()
        self._folding = folding
        try:
            folder = Path(tempfile.mkdtemp(prefix="hanner-dictionary-"))
        except OSError as error:
            raise DictionaryError(
                f"the compiled dictionary cannot be stored ({error.strerror}); free some space, or set TMPDIR"
            ) from None
        weakref.finalize(self, _remove, folder, os.getpid())
        self._compiled = folder / "compiled"
        self.reload()

    def reload(self) -> None:
        """Compile the source again and switch to the result.

        Raises:
            DictionaryError: if the source is not valid; the previous dictionary stays in use.
        """
        compile_in_subprocess(self.source, self._compiled, self._folding)
        self._file_id, self._matcher = self._open()

    def refresh(self) -> None:
        """Switch to the newest compiled file if it was replaced; costs one stat call."""
        try:
            if _file_id(self._compiled.stat()) != self._file_id:
                self._file_id, self._matcher = self._open()
        except OSError:  # the file was removed; the mapping stays valid
            return

    def _open(self) -> tuple[tuple[int, int], Matcher]:
        # Read the id first: a file that is replaced in between is then opened again, so no version is missed.
        return _file_id(self._compiled.stat()), Matcher.open(self._compiled)

    @property
    def digest(self) -> str:
        """Return a digest of the terms and of the normalisation that was applied to them."""
        return self._matcher.digest

    @property
    def types(self) -> tuple[str, ...]:
        """Return the types of the terms."""
        return tuple(self._matcher.types)

    def apply(self, text: str, entities: list[Entity]) -> list[Entity]:
        """Return the entities of a text with the dictionary applied, see `Matcher.apply`."""
        return self._matcher.apply(text, entities)

    def __str__(self) -> str:
        return f"dictionary {self.source}, {self._matcher.terms:,} terms of {len(self._matcher.types):,} types"


def _file_id(status: os.stat_result) -> tuple[int, int]:
    return status.st_ino, status.st_mtime_ns


def _remove(folder: Path, pid: int) -> None:
    if os.getpid() == pid:  # not in a forked child
        shutil.rmtree(folder, ignore_errors=True)
