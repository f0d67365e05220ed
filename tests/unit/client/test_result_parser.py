"""Stored results become entities, documents or errors."""

import json

import pytest

from hanner import Document, Expired, HannerError, ModelFailed, Revoked, TimedOut, WorkerLost
from hanner.errors import CLASSES
from hanner.transport import result_parser

ENTITY = {"text": "马云", "type": "PER", "start": 0, "end": 2, "score": 0.5}


def meta(result=None, status="SUCCESS"):
    return {"status": status, "result": result}


def failure(kind, message=None, module="builtins", status="FAILURE"):
    return result_parser.parse_failure(meta({"exc_type": kind, "exc_module": module, "exc_message": message}, status))


@pytest.mark.parametrize("status", ["PENDING", "RECEIVED", "STARTED", "RETRY", "SOMETHING"])
def test_intermediate_states_are_not_done(status):
    assert result_parser.parse_meta(json.dumps(meta(status=status))) is None


@pytest.mark.parametrize(
    "payload", [b"", b"\xff", b"{", b"5", b"[]", b"{}", b'{"status": []}', b'{"status": {}}', "null"]
)
def test_invalid_payload_is_an_error(payload):
    with pytest.raises(HannerError, match="not a Celery result"):
        result_parser.parse_meta(payload)


def test_entities_and_documents():
    assert result_parser.parse_entities(meta({"entities": [ENTITY], "model": "m@0", "new": 1}))[0] == ENTITY
    documents = result_parser.parse_documents(
        meta({"documents": [{"entities": [ENTITY]}, {"error": {"code": "c", "message": "m"}}], "model": "m@0"}), 2
    )
    assert documents[0].entities[0].text == "马云"
    assert documents[1].error.code == "c"
    assert isinstance(documents[1], Document)


@pytest.mark.parametrize(
    "result",
    [None, 5, [], {}, {"entities": [{**ENTITY, "score": 2}], "model": "m"}, {"entities": "马云", "model": "m"}],
)
def test_malformed_result_is_an_error_without_text(result):
    with pytest.raises(HannerError, match="cannot be read") as caught:
        result_parser.parse_entities(meta(result))
    assert caught.value.__suppress_context__
    assert "马云" not in str(caught.value)
    assert "pydantic" not in str(caught.value)


def test_wrong_number_of_results_is_an_error():
    with pytest.raises(HannerError, match="2 texts were sent and 0 results"):
        result_parser.parse_documents(meta({"documents": [], "model": "m@0"}), 2)


@pytest.mark.parametrize(
    ("kind", "message", "error"),
    [
        ("TaskRevokedError", ["revoked"], Revoked),
        ("TaskRevokedError", ["expired"], Expired),
        ("Terminated", ["15"], Revoked),
        ("TimeLimitExceeded", [5], TimedOut),
        ("SoftTimeLimitExceeded", [], TimedOut),
        ("WorkerLostError", "Worker exited prematurely: signal 9", WorkerLost),
        ("RuntimeError", ["boom"], ModelFailed),
        ("MemoryError", None, ModelFailed),
    ],
)
def test_failures_by_celery_and_by_python(kind, message, error):
    assert type(failure(kind, message)) is error


@pytest.mark.parametrize("cls", CLASSES.values(), ids=[cls.__name__ for cls in CLASSES.values()])
def test_hanner_errors_keep_their_class_and_message(cls):
    error = failure(cls.__name__, ["what happened"], module="hanner.errors")
    assert type(error) is cls
    assert str(error) == "what happened"
    assert str(failure(cls.__name__, [], module="hanner.errors")) == str(cls())


def test_foreign_error_with_the_same_name_is_model_failed():
    assert type(failure("TimedOut", ["x"], module="other")) is ModelFailed


@pytest.mark.parametrize(("reason", "error"), [("expired", Expired), ("terminated", Revoked), (None, Revoked)])
def test_revoked_without_a_known_exception(reason, error):
    assert type(result_parser.parse_failure(meta({"exc_type": "", "exc_message": reason}, "REVOKED"))) is error
    assert type(result_parser.parse_failure(meta("no mapping", "REVOKED"))) is Revoked


def test_failure_without_a_reason():
    assert type(result_parser.parse_failure(meta(None, "FAILURE"))) is HannerError
