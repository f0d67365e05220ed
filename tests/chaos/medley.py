"""Every short fault once, in an order drawn from the seed: what `make test` has time for."""

from chaos import faults


def medley(run):
    """Kill, cut, flush and restart, one thing after the other, while texts flow."""
    steps = [run.kill_parent] * 3 + [run.kill_pool_process] * 4
    steps += [lambda: faults.cut_connections(run)] * 3 + [run.client.script_flush] * 2
    steps += [lambda: faults.restart_redis(run, run.redis.kill), lambda: faults.restart_redis(run, run.redis.terminate)]
    steps += [lambda: faults.roll(run)]
    run.random.shuffle(steps)
    for number in run.spread(len(steps)):
        steps[number]()
