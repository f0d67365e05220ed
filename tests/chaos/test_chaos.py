"""A short selection of the fault plans; `make chaos` runs all of them at full length."""

import pytest

from chaos.fleet import HANNER
from chaos.plans import PLANS
from chaos.run import execute
from chaos.table import HEAD, line, remarks
from support.servers import need_server

pytestmark = pytest.mark.timeout(600)  # on a machine that others keep busy too


def run(name, scale, seed=1):
    need_server()
    row = execute(PLANS[name], HANNER, seed=seed, scale=scale)
    print("\n".join([HEAD, line(row, PLANS[name]), *remarks(row)]))
    assert row.good
    return row


def test_a_bit_of_everything_loses_nothing():
    row = run("medley", 1)
    assert row.audit.failed == {"worker_lost": 1, "model_failed": 1}
    assert (row.audit.dead, row.audit.deaths) == (2, 3)


def test_a_worker_frozen_beyond_its_lease_overwrites_nothing():
    row = run("frozen-worker", 0.2)
    assert row.audit.answered == row.audit.sent


def test_messages_that_are_none_stop_no_worker():
    row = run("fuzz", 0.02)
    assert row.faults == 2000
    assert row.audit.answered == row.audit.sent


@pytest.mark.parametrize("name", ["disk-full", "readonly"])
def test_what_redis_refuses_for_a_while_is_done_later(name):
    row = run(name, 0.2)
    assert row.audit.answered == row.audit.sent
