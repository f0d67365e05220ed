"""The order of tests on several processes."""

from support.mixing import mixed


def order(items):
    return mixed(items, lambda item: item[0], lambda item: item[:2])


def test_folders_are_spread_and_modules_stay_together():
    unit = [f"u{module}{number}" for module in "abcd" for number in (1, 2)]
    integration = ["ix1", "ix2", "iy1", "iy2"]
    assert order([*integration, *unit]) == [
        "ua1", "ua2", "ix1", "ix2", "ub1", "ub2", "uc1", "uc2", "iy1", "iy2", "ud1", "ud2",
    ]  # fmt: skip


def test_one_folder_keeps_its_order():
    items = ["ua1", "ua2", "ub1", "uc1"]
    assert order(items) == items
    assert order([]) == []
