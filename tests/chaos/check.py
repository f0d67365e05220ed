"""Run a plan in a test."""

from chaos.plans import PLANS
from chaos.run import execute
from chaos.table import HEAD, line, remarks
from chaos.worker_group import HANNER
from support.servers import require_server


def check_plan(name, scale, seed=1):
    """Run a plan, print its outcomes, and return the result of a run without loss.

    Raises:
        AssertionError: a text was lost, hung, wrong or duplicated, or a process exited unexpectedly.
    """
    require_server()
    result = execute(PLANS[name], HANNER, seed=seed, scale=scale)
    print("\n".join([HEAD, line(result, PLANS[name]), *remarks(result)]))
    assert result.passed
    return result
