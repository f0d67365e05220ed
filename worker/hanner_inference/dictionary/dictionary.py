"""A dictionary in use: compiled into a file beside no other, taken anew by every process when that file is replaced."""

import os
import shutil
import tempfile
import weakref
from pathlib import Path

from hanner.contract import Entity
from hanner_inference.dictionary.compiler import build
from hanner_inference.dictionary.matcher import Matcher
from hanner_inference.dictionary.parser import DictionaryError, Fold


class Dictionary:
    """A dictionary that a worker's parent opens and its pool processes inherit.

    `reload` replaces the compiled file; each process goes over to it when it calls `refresh`, so that nothing has to be
    told or restarted. The file is removed when the process that opened it ends.

    Attributes:
        source: the file that the user wrote.
    """

    def __init__(self, source: str | Path, fold: Fold) -> None:
        """Compile and open a dictionary.

        Args:
            source: a file of `term TAB type`.
            fold: what the model makes no difference between.

        Raises:
            DictionaryError: it cannot be read or a line of it cannot be used.
        """
        self.source = Path(source).absolute()
        self._fold = fold
        try:
            folder = Path(tempfile.mkdtemp(prefix="hanner-dictionary-"))
        except OSError as error:
            raise DictionaryError(
                f"there is no place for the compiled dictionary ({error.strerror}); make room, or set TMPDIR"
            ) from None
        weakref.finalize(self, _remove, folder, os.getpid())
        self._compiled = folder / "compiled"
        self.reload()

    def reload(self) -> None:
        """Compile the source again and go over to it.

        Raises:
            DictionaryError: it cannot be used; all goes on with what was before.
        """
        build(self.source, self._compiled, self._fold)
        self._identity, self._matcher = self._open()

    def refresh(self) -> None:
        """Go over to the newest compiled file, if there is a newer one; costs one stat."""
        try:
            if _identity(self._compiled.stat()) != self._identity:
                self._identity, self._matcher = self._open()
        except OSError:  # somebody cleaned up; what is mapped stays
            return

    def _open(self) -> tuple[tuple[int, int], Matcher]:
        # The identity first: a file that comes in between is then opened once more, and none is missed.
        return _identity(self._compiled.stat()), Matcher.open(self._compiled)

    @property
    def digest(self) -> str:
        """Names what the dictionary says and how it is folded."""
        return self._matcher.digest

    def apply(self, text: str, entities: list[Entity]) -> list[Entity]:
        """Return a text's entities with the dictionary's word on them; see `Matcher.apply`."""
        return self._matcher.apply(text, entities)

    def __str__(self) -> str:
        return f"dictionary {self.source}, {self._matcher.terms:,} terms of {self._matcher.types:,} types"


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_ino, status.st_mtime_ns


def _remove(folder: Path, pid: int) -> None:
    if os.getpid() == pid:  # not in a process forked from the one that made it
        shutil.rmtree(folder, ignore_errors=True)
