"""Put texts of like length together, so that little of a batch is padding. Pure."""

from collections.abc import Sequence


def group_by_length(lengths: Sequence[int], *, max_rows: int, max_tokens: int, max_padding: float) -> list[list[int]]:
    """Return groups of indices into `lengths`, each a batch; every index is in exactly one.

    Groups are filled from the longest down, each as far as the limits allow. The same lengths give the same groups.

    Args:
        lengths: tokens of each row, all positive.
        max_rows: most rows in a group.
        max_tokens: most tokens in a group after padding, `longest x count`; a single row may exceed it.
        max_padding: largest share of a group's tokens that may be padding.
    """
    groups: list[list[int]] = []
    longest = filled = 0
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        length = lengths[index]
        if groups:
            rows = len(groups[-1]) + 1
            cost = longest * rows
            # The tolerance keeps a share of exactly max_padding inside.
            if rows <= max_rows and cost <= max_tokens and cost - filled - length <= max_padding * cost + 1e-9:
                groups[-1].append(index)
                filled += length
                continue
        groups.append([index])
        longest = filled = length
    return groups
