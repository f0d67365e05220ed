"""Ids of tasks."""

import os
import uuid

from hanner.utils.ids import READ_AT_ONCE, new_task_id


def test_ids_are_different_random_uuids():
    ids = [new_task_id() for _ in range(3 * READ_AT_ONCE)]
    assert len(set(ids)) == len(ids)
    parsed = [uuid.UUID(task_id) for task_id in ids]
    assert list(map(str, parsed)) == ids
    assert {(each.version, each.variant) for each in parsed} == {(4, uuid.RFC_4122)}
    assert {each.hex[16] for each in parsed} == set("89ab")


def test_a_forked_child_has_other_ids():
    new_task_id()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, new_task_id().encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(pid, 0)
    with os.fdopen(reading) as pipe:
        assert pipe.read() not in {new_task_id() for _ in range(2 * READ_AT_ONCE)}
