"""The import graph of the five packages; layers and forbidden imports are contracts in pyproject.toml."""

from graphlib import CycleError, TopologicalSorter

import grimp

PACKAGES = ("hanner", "hanner_gateway", "hanner_inference", "hanner_worker", "hanner_models")


def test_no_module_takes_part_in_an_import_cycle():
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)  # imports under TYPE_CHECKING count as well
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        cycle = " -> ".join(error.args[1])
        raise AssertionError(f"import cycle: {cycle}") from None
