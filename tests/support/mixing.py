"""Order tests for several processes."""

from collections import Counter
from itertools import groupby


def mixed(items, folder_of, module_of):
    """Return the items in an order in which each folder is spread evenly; consecutive items of a module stay together.

    Args:
        items: Items, sorted by folder and module.
        folder_of: Returns the folder of an item.
        module_of: Returns the module of an item.
    """
    sizes = Counter(map(folder_of, items))
    placed = Counter()
    positions = []
    for _, group in groupby(items, module_of):
        module = list(group)
        folder = folder_of(module[0])
        positions.append(((placed[folder] + len(module) / 2) / sizes[folder], len(positions), module))
        placed[folder] += len(module)
    return [item for _, _, module in sorted(positions) for item in module]
