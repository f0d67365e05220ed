"""A program of greenlets: all actions at once, with the standard library patched."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402 - patched first

import gevent  # noqa: E402

from support.hosts.actions import Actions  # noqa: E402

if __name__ == "__main__":
    actions = Actions(sys.argv[1])
    greenlets = [gevent.spawn(actions.run, action) for action in Actions.ALL]
    gevent.joinall(greenlets, timeout=90, raise_error=True)
    assert [greenlet.value for greenlet in greenlets] == list(Actions.ALL)
