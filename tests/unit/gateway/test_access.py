"""API keys and rate limits, as read from the settings."""

import hashlib

import pytest

from hanner import InvalidSettings, Settings
from hanner_gateway.access import ApiKeys, parse_rate_limits

SECRET = "correct-horse"
DIGEST = hashlib.sha256(SECRET.encode()).hexdigest()


@pytest.mark.parametrize("configured", [SECRET, f"sha256:{DIGEST}", f" other, sha256:{DIGEST.upper()} ,"])
def test_key_or_its_digest_is_accepted(configured):
    keys = ApiKeys(configured)
    assert keys
    assert keys.identify(SECRET) == DIGEST[:16]
    for wrong in ("", None, "correct", DIGEST, f"sha256:{DIGEST}", "é"):
        assert keys.identify(wrong) is None


def test_empty_setting_requires_no_key():
    assert not ApiKeys("")


@pytest.mark.parametrize("blank", [" ", ",", " , ,"])
def test_setting_without_a_key_is_rejected(blank):
    with pytest.raises(InvalidSettings, match="HANNER_API_KEYS is set, but has no key"):
        ApiKeys(blank)


def test_empty_file_of_keys_is_rejected(tmp_path):
    file = tmp_path / "keys"
    file.write_text("\n")
    with pytest.raises(InvalidSettings, match=r"HANNER_API_KEYS_FILE cannot be used: .*keys is empty"):
        Settings.from_env({"HANNER_API_KEYS_FILE": str(file)})


@pytest.mark.parametrize("wrong", ["sha256:", "sha256:zz", f"sha256:{DIGEST}00"])
def test_invalid_digest_is_rejected_without_repeating_it(wrong):
    with pytest.raises(InvalidSettings, match="entry 2 is not a SHA-256 digest") as caught:
        ApiKeys(f"good,{wrong}")
    assert wrong not in str(caught.value)


def test_keys_appear_in_no_repr():
    settings = Settings.from_env({"HANNER_API_KEYS": SECRET})
    assert SECRET not in repr(settings) + str(settings) + str(settings.model_dump())
    assert SECRET not in repr(vars(ApiKeys(SECRET)))


def test_rate_limits_are_parsed():
    assert [str(item) for item in parse_rate_limits("10/second;100/minute")] == ["10 per 1 second", "100 per 1 minute"]
    assert parse_rate_limits("  ") == parse_rate_limits("off") == []
    with pytest.raises(InvalidSettings, match="HANNER_RATE_LIMIT cannot be used: 'many'; write for example 100/minute"):
        parse_rate_limits("many")
