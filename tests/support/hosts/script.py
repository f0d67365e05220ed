"""A plain script."""

import sys

from support.hosts.actions import Actions

if __name__ == "__main__":
    actions = Actions(sys.argv[1])
    for action in Actions.ALL:
        actions.run(action)
