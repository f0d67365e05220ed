"""Surnames with forms of address, such as 王总, 李老师, 老张 and 小陈: which there are, and how they are recognised.

They are mentions of persons, see docs/explanation/guideline.md.
"""

import random
import re
from pathlib import Path

from hanner_models.data.datasets import read_names

_FOLDER = Path(__file__).parent / "names" / "address"
SURNAMES = tuple(read_names(_FOLDER / "surnames.txt"))
"""Surnames, most frequent first, compound ones last."""
TITLES = tuple(read_names(_FOLDER / "titles.txt"))
"""Titles and forms of address after a surname, the most frequent 37 first."""
_FREQUENT_TITLES = 37
PREFIXES = ("老", "小", "阿")
_PREFIX_SHARE = 0.25
_TITLE = re.compile("|".join(sorted(TITLES, key=len, reverse=True)))
_NOT_A_TITLE = re.compile("老[是在要爱说]|总[是在会要想能算]|工[作人程业资]|队[伍员]|局[面势]")
"""Words that begin with the same character as a title of one character."""


def forms_of_address(rng: random.Random, count: int = 3000) -> list[str]:
    """Return surnames with a title or a prefix, frequent surnames and titles more often."""
    surnames = [s for rank, s in enumerate(SURNAMES) for _ in range(max(1, 40 // (rank // 8 + 1)))]
    titles = [t for rank, t in enumerate(TITLES[:_FREQUENT_TITLES]) for _ in range(1 + 6 // (rank + 1))]
    names = []
    for _ in range(count):
        surname = rng.choice(surnames)
        if len(surname) == 1 and rng.random() < _PREFIX_SHARE:
            names.append(rng.choices(PREFIXES, (5, 5, 1))[0] + surname)
        else:
            names.append(surname + rng.choice(titles))
    return names


def title_length(text: str, start: int) -> int:
    """Return the length of the title that begins at `start`, 0 if none does."""
    if _NOT_A_TITLE.match(text, start):
        return 0
    found = _TITLE.match(text, start)
    return len(found[0]) if found else 0
