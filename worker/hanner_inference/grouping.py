"""Group texts of similar length into batches with little padding. No I/O."""

from collections.abc import Sequence


def group_by_length(lengths: Sequence[int], *, max_rows: int, max_tokens: int, max_padding: float) -> list[list[int]]:
    """Return batches as groups of indices into `lengths`; every index is in exactly one group.

    Groups are filled greedily, longest rows first. The same lengths always give the same groups.

    Args:
        lengths: tokens of each row, all positive.
        max_rows: maximum number of rows in a group.
        max_tokens: maximum number of tokens in a group with padding, `longest x count`; a single row may exceed it.
        max_padding: maximum share of a group's tokens that may be padding.
    """
    groups: list[list[int]] = []
    longest = filled = 0
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        length = lengths[index]
        if groups:
            rows = len(groups[-1]) + 1
            cost = longest * rows
            # The tolerance allows a share of exactly max_padding.
            if rows <= max_rows and cost <= max_tokens and cost - filled - length <= max_padding * cost + 1e-9:
                groups[-1].append(index)
                filled += length
                continue
        groups.append([index])
        longest = filled = length
    return groups
