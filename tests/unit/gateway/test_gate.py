"""Keys and limits as they are configured."""

import hashlib

import pytest

from hanner import InvalidSettings, Settings
from hanner_gateway.access import Keys, rates

SECRET = "correct-horse"
DIGEST = hashlib.sha256(SECRET.encode()).hexdigest()


@pytest.mark.parametrize("configured", [SECRET, f"sha256:{DIGEST}", f" other, sha256:{DIGEST.upper()} ,"])
def test_a_key_or_its_digest_is_found(configured):
    keys = Keys(configured)
    assert keys
    assert keys.find(SECRET) == DIGEST[:16]
    for wrong in ("", None, "correct", DIGEST, f"sha256:{DIGEST}", "é"):
        assert keys.find(wrong) is None


def test_no_keys_ask_nobody():
    assert not Keys("")
    assert not Keys(" , ")


@pytest.mark.parametrize("wrong", ["sha256:", "sha256:zz", f"sha256:{DIGEST}00"])
def test_a_digest_that_is_none_is_refused_without_repeating_it(wrong):
    with pytest.raises(InvalidSettings, match="entry 2 is no SHA-256") as caught:
        Keys(f"good,{wrong}")
    assert wrong not in str(caught.value)


def test_keys_show_nowhere():
    settings = Settings.from_env({"HANNER_API_KEYS": SECRET})
    assert SECRET not in repr(settings) + str(settings) + str(settings.model_dump())
    assert SECRET not in repr(vars(Keys(SECRET)))


def test_limits_are_read():
    assert [str(item) for item in rates("10/second;100/minute")] == ["10 per 1 second", "100 per 1 minute"]
    assert rates("  ") == []
    with pytest.raises(InvalidSettings, match="HANNER_RATE_LIMIT cannot be used: 'many'; write for example 100/minute"):
        rates("many")
