"""The time of Redis on a machine whose own clock is wrong."""

from hanner.utils.clock import MAX_AGE, RedisClock


class Machine:
    def __init__(self):
        self.wall, self.steady = 5000.0, 70.0

    def clock(self):
        return RedisClock(lambda: self.wall, lambda: self.steady)

    def wait(self, seconds):
        self.wall += seconds
        self.steady += seconds


def test_until_the_time_of_redis_is_known_the_machines_is_used():
    clock = Machine().clock()
    assert clock.now() == 5000
    assert not clock.is_known()


def test_the_time_of_redis_passes_and_does_not_depend_on_the_machines_clock():
    machine = Machine()
    clock = machine.clock()
    clock.update(100.0)
    machine.wait(7)
    assert clock.now() == 107
    assert clock.is_known()
    clock.update(200.0)
    assert clock.now() == 200


def test_the_time_is_read_again_after_a_while():
    machine = Machine()
    clock = machine.clock()
    clock.update(100.0)
    machine.wait(MAX_AGE)
    assert not clock.is_known()
    assert clock.now() == 100 + MAX_AGE


def test_the_time_is_unknown_after_the_machine_slept_or_its_clock_was_set():
    machine = Machine()
    clock = machine.clock()
    clock.update(100.0)
    machine.wall += 3600  # CLOCK_MONOTONIC does not count a suspended machine
    assert not clock.is_known()
    clock.update(3700.0)
    assert clock.is_known()
