"""A Flask site: each action in a view."""

import os
import sys

from flask import Flask

from support.hosts.actions import Actions


def make_site(origin):
    """Return the site, with one client for all of its processes."""
    site, actions = Flask("site"), Actions(origin)
    site.testing = True  # errors are raised
    site.get("/<action>")(actions.run)
    return site


if __name__ == "__main__":
    browser = make_site(sys.argv[1]).test_client()
    for action in Actions.ALL:
        assert browser.get(f"/{action}").text == action
elif "HOST_ORIGIN" in os.environ:
    site = make_site(os.environ["HOST_ORIGIN"])
