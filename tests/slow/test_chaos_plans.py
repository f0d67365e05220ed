"""All fault plans at a fraction of their length; `make chaos` runs them at full length, which takes an hour."""

import pytest

from chaos.check import check_plan
from chaos.plans import PLANS

pytestmark = pytest.mark.timeout(900)  # for busy machines


@pytest.mark.parametrize("name", sorted(PLANS.keys() - {"mixed"}))
def test_plan_loses_no_text(name):
    check_plan(name, 0.1)
