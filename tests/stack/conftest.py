"""Start the stack once from a fresh clone, and remove it with all its data at the end."""

import os

import pytest

from support.docker_stack import DockerStack, clone, compose_commands, docker_available

SERVICES = ("redis", "worker", "gateway", "flower")


@pytest.fixture(scope="session")
def fresh_clone(tmp_path_factory):
    return clone(tmp_path_factory.mktemp("clone"))


@pytest.fixture(scope="session")
def stack(fresh_clone):
    if not (compose_commands() and docker_available()):
        pytest.skip("no Docker engine, or no Compose")
    engine = DockerStack(fresh_clone, f"hannertest{os.getpid()}")
    try:
        engine.compose("build")
        try:
            engine.compose("up", "--detach")
        except AssertionError as error:  # Compose names the container that failed, but not the reason
            error.add_note(engine.compose("logs", "--no-color", "--tail", "20", check=False))
            raise
        seconds = engine.wait_healthy(*SERVICES)
        print(f"healthy {seconds:.0f} s after `up` returned")
        yield engine
    finally:
        engine.compose("--profile", "monitoring", "down", "--volumes", "--remove-orphans", "--timeout", "60")
    assert engine.leftovers() == []
