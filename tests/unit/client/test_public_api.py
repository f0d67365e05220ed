"""The public attributes of clients and jobs, which a user sees with the tab key."""

import pytest

from hanner import AsyncClient, AsyncJob, Client, Job

VERBS = {
    "backlog",
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
