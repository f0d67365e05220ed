"""The labels of a model and their tagging scheme: BIO, BIOES or BMES, as lenient as conlleval. No I/O."""

from collections.abc import Sequence

import numpy as np

_SCHEMES = {"BIO": set("BI"), "BIOES": set("BIES"), "BMES": set("BMES")}
_INSIDE = set("IME")
"""Prefixes that continue an entity."""
_OPEN = set("BIM")
"""Prefixes after which an entity may continue."""

MAX_LABELS = 2048
"""More labels than any tagging scheme in use has; the memory of the CRF grows with their square."""


class Labels:
    """The labels of a model.

    Attributes:
        names: label names as in the manifest, in the order of the logits.
        types: entity type of each label; None for O.
        prefixes: B, I, M, E or S of each label; O for O.
        inside: bool [labels], whether a label is part of an entity.
        continues: bool [labels, labels], whether label j after label i continues i's entity. Any other label that is
            not O starts an entity, so an I without a B does too.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Parse label names.

        Raises:
            ValueError: if the names are not a tagging scheme, or there are too many.
        """
        self.names = tuple(names)
        _check(self.names)
        parts = [name.partition("-") for name in self.names]
        self.types = tuple(kind or None for _, _, kind in parts)
        self.prefixes = tuple(prefix for prefix, _, _ in parts)
        self.inside = np.array([kind is not None for kind in self.types])
        kinds = np.unique([kind or "" for kind in self.types], return_inverse=True)[1]
        opens = self.inside & np.isin(self.prefixes, list(_OPEN))
        may_continue = self.inside & np.isin(self.prefixes, list(_INSIDE))
        self.continues = opens[:, None] & may_continue & (kinds[:, None] == kinds)

    def __len__(self) -> int:
        return len(self.names)


def _check(names: tuple[str, ...]) -> None:
    if len(names) > MAX_LABELS:
        raise ValueError(f"there are {len(names):,} labels, and the limit is {MAX_LABELS:,}")
    if len(set(names)) != len(names):
        duplicate = next(name for index, name in enumerate(names) if name in names[:index])
        raise ValueError(f"label {duplicate} is listed twice")
    if "O" not in names:
        raise ValueError("label O is missing")
    tagged = [name.partition("-") for name in names if name != "O"]
    for prefix, _, kind in tagged:
        if prefix not in "BIMES" or len(prefix) != 1 or not kind:
            raise ValueError(
                f"{prefix + ('-' + kind if kind else '')!r} is not O or one of B, I, M, E, S with a type (B-PER)"
            )
    prefixes = {prefix for prefix, _, _ in tagged}
    if not any(prefixes <= scheme for scheme in _SCHEMES.values()):
        raise ValueError(
            f"the label prefixes {', '.join(sorted(prefixes))} belong to different schemes; "
            f"use one of {', '.join(_SCHEMES)}"
        )
    if headless := {kind for _, _, kind in tagged} - {kind for prefix, _, kind in tagged if prefix == "B"}:
        raise ValueError(f"type {min(headless)} has no label B-{min(headless)}")
    if not tagged:
        raise ValueError("no label marks an entity")
