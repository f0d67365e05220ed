"""The public attributes of clients and jobs, which a user sees with the tab key."""

from uuid import UUID

import pytest

from hanner import AsyncClient, AsyncJob, Client, InvalidSettings, InvalidText, Job

VERBS = {
    "backlog",
    "backlogs",
    "close",
    "extract",
    "extract_many",
    "job",
    "queue_of",
    "settings",
    "stream",
    "submit",
    "submit_many",
}


def public(value):
    return {name for name in dir(value) if not name.startswith("_")}


@pytest.mark.parametrize("client_class", [Client, AsyncClient])
def test_clients_have_only_their_verbs(client_class):
    assert public(client_class("redis://127.0.0.1:1/0")) == VERBS


@pytest.mark.parametrize("client_class", [Client, AsyncClient])
def test_jobs_have_only_their_verbs(client_class):
    job = client_class("redis://127.0.0.1:1/0").job("id")
    assert type(job) in {Job, AsyncJob}
    assert public(job) == {"done", "id", "result", "revoke"}


@pytest.mark.parametrize("client_class", [Client, AsyncClient])
def test_a_job_is_found_by_the_value_of_a_uuid_field(client_class):
    task_id = "0a53c85f-6846-41bf-bbfe-697a11fe31a4"
    assert client_class("redis://127.0.0.1:1/0").job(UUID(task_id)).id == task_id


@pytest.mark.parametrize("client_class", [Client, AsyncClient])
@pytest.mark.parametrize("task_id", [None, 5, "", b"id"])
def test_an_id_that_cannot_be_one_is_refused_before_anything_waits_for_it(client_class, task_id):
    with pytest.raises(InvalidSettings, match="the id of a job must be a string, not"):
        client_class("redis://127.0.0.1:1/0").job(task_id)


@pytest.mark.parametrize("client_class", [Client, AsyncClient])
@pytest.mark.parametrize("text", ["王小明在北京", "王小明".encode()])
def test_a_stream_refuses_one_text_in_place_of_an_iterable_of_texts(client_class, text):
    with pytest.raises(InvalidText, match=r"for one text use extract\(\)"):
        client_class("redis://127.0.0.1:1/0").stream(text)
