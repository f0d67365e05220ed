"""The flag that a worker's parent shares with its processes."""

import os

from hanner_worker.shared_flag import SharedFlag


def test_a_forked_process_sees_the_flag_of_its_parent():
    flag = SharedFlag()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(read, 1)
        os._exit(flag.is_set())
    assert not flag.is_set()
    flag.set(True)
    os.write(write, b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    flag.set(False)
    assert not flag.is_set()
    os.close(read)
    os.close(write)
