"""`hanner doctor` names the rules that a Redis user lacks, on a real server."""

import pytest
import redis

from hanner.cli.doctor.permissions import check_permissions
from hanner.cli.doctor.result import Level
from hanner.cli.doctor.run import run_checks

RULES = (
    "~hanner*",
    "~celery*",
    "~_kombu.binding*",
    "~*.celery.pidbox*",
    "&hanner*",
    "&celery*",
    "&/0.celery.pidbox",
    "&/0.celeryev/*",
    "+@all",
    "-@admin",
    "-@dangerous",
    "+info",
)
"""As docs/how-to/redis.md has them."""


@pytest.fixture
def user(server):
    """Return a function that returns the URL of a user with these rules."""

    def create(*rules):
        server.client.execute_command("ACL", "SETUSER", "shop", "reset", "on", ">p", *rules)
        return server.url.replace("//", "//shop:p@")

    yield create
    server.client.execute_command("ACL", "DELUSER", "shop")


def check(url, queue="hanner"):
    with redis.Redis.from_url(url) as client:
        return check_permissions(client, queue, 0)


def test_the_rules_of_the_documentation_suffice(server, user):
    server.client.set("hanner:kept", "1")
    result = check(user(*RULES))
    assert (result.level, result.message) == (
        Level.OK,
        "the Redis user shop is permitted to use hanner's keys, channels and commands",
    )
    assert server.client.keys() == ["hanner:kept"]
    server.client.delete("hanner:kept")


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule[0] in "~&"])
def test_a_missing_rule_is_named(user, rule):
    result = check(user(*(other for other in RULES if other != rule)))
    assert result.level is Level.FAIL
    assert result.message.startswith("the Redis user shop is not permitted to use all")
    assert result.fix.startswith(f"add the rules {rule} to it;")


@pytest.mark.parametrize("command", ["unlink", "info", "time", "eval", "llen", "mget", "subscribe"])
def test_a_command_that_is_not_permitted_is_named(user, command):
    result = check(user(*RULES, f"-{command}"))
    assert (result.level, f"add the rules +{command} to it;" in result.fix) == (Level.FAIL, True)


def test_all_missing_rules_are_named_at_once(user):
    url = user("~other*", "resetchannels", "+@all")
    fix = check(url, queue="news").fix
    named = fix.removeprefix("add the rules ").partition(" to it;")[0].split()
    assert named == [
        "~hanner*",
        "~news*",
        "~celery*",
        "~_kombu.binding*",
        "~*.celery.pidbox*",
        "&hanner*",
        "&celery*",
        "&/0.celery.pidbox",
        "&/0.celeryev/*",
    ]


def test_the_checks_end_with_the_missing_rules(user):
    last = list(run_checks(user("~other*", "+@all", "-@dangerous"), 1))[-1]
    assert (last.subject, last.level) == ("permissions", Level.FAIL)
    assert " +info " in last.fix
