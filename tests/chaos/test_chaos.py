"""A short selection of the fault plans. tests/slow runs more of them, and `make chaos` all of them at full length."""

import pytest

from chaos.check import check_plan

pytestmark = pytest.mark.timeout(600)  # for busy machines


def test_mixed_faults_lose_no_text():
    result = check_plan("mixed", 1)
    assert result.audit.failed == {"worker_lost": 1, "model_failed": 1}
    assert (result.audit.dead, result.audit.deaths) == (2, 3)


def test_worker_frozen_for_longer_than_its_lease_overwrites_no_result():
    result = check_plan("frozen-worker", 0.2)
    assert result.audit.answered == result.audit.sent


def test_malformed_messages_stop_no_worker():
    result = check_plan("fuzz", 0.02)
    assert result.faults == 2000
    assert result.audit.answered == result.audit.sent
