"""A short selection of the fault plans; `make chaos` runs all of them at full length."""

import pytest

from chaos.plans import PLANS
from chaos.run import execute
from chaos.table import HEAD, line, remarks
from chaos.worker_group import HANNER
from support.servers import require_server

pytestmark = pytest.mark.timeout(600)  # for busy machines


def run(name, scale, seed=1):
    require_server()
    result = execute(PLANS[name], HANNER, seed=seed, scale=scale)
    print("\n".join([HEAD, line(result, PLANS[name]), *remarks(result)]))
    assert result.passed
    return result


def test_mixed_faults_lose_no_text():
    result = run("mixed", 1)
    assert result.audit.failed == {"worker_lost": 1, "model_failed": 1}
    assert (result.audit.dead, result.audit.deaths) == (2, 3)


def test_worker_frozen_for_longer_than_its_lease_overwrites_no_result():
    result = run("frozen-worker", 0.2)
    assert result.audit.answered == result.audit.sent


def test_malformed_messages_stop_no_worker():
    result = run("fuzz", 0.02)
    assert result.faults == 2000
    assert result.audit.answered == result.audit.sent


@pytest.mark.parametrize("name", ["disk-full", "readonly"])
def test_writes_that_redis_refuses_are_retried(name):
    result = run(name, 0.2)
    assert result.audit.answered == result.audit.sent
