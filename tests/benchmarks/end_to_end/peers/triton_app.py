"""hanner's engine in NVIDIA Triton's Python backend: `python triton_app.py --port PORT`.

The package nvidia-pytriton has the server, the backend, and an interpreter ("stub") per version of Python. Its own API
is not used, because it runs all instances of a model in threads of one process; here each instance is a process.
"""

import os
import shutil
import sys
import sysconfig
import tempfile
from importlib.util import find_spec
from pathlib import Path

MODEL = "ner"
CONFIG = """\
name: "{name}"
backend: "python"
max_batch_size: 32
input [ {{ name: "text" data_type: TYPE_STRING dims: [ 1 ] }} ]
output [ {{ name: "entities" data_type: TYPE_STRING dims: [ 1 ] }} ]
instance_group [ {{ count: {processes} kind: KIND_CPU }} ]
dynamic_batching {{ max_queue_delay_microseconds: 5000 }}
"""


def write_repository(folder: Path) -> None:
    """Write Triton's model repository with one model."""
    version = folder / MODEL / "1"
    version.mkdir(parents=True)
    processes = int(os.environ["PEER_PROCESSES"])
    (folder / MODEL / "config.pbtxt").write_text(CONFIG.format(name=MODEL, processes=processes), "utf-8")
    shutil.copy(Path(__file__).with_name("triton_model.py"), version / "model.py")


def write_backend(folder: Path, server: Path) -> None:
    """Write a folder of backends with the Python backend and the stub for this version of Python."""
    shutil.copytree(server / "backends" / "python", folder / "python")
    stub = server / "python_backend_stubs" / sysconfig.get_python_version() / "triton_python_backend_stub"
    shutil.copy(stub, folder / "python")
    (folder / "python" / stub.name).chmod(0o755)


def environment(server: Path) -> dict[str, str]:
    """Return the environment variables with which the stub finds its libraries and the packages of this interpreter."""
    packages = [os.environ["PYTHONPATH"], sysconfig.get_path("platlib")]
    libraries = [str(server.parents[1] / "nvidia_pytriton.libs"), sysconfig.get_config_var("LIBDIR")]
    paths = {"PYTHONPATH": packages, "LD_LIBRARY_PATH": libraries}
    return os.environ | {name: os.pathsep.join(folders) for name, folders in paths.items()}


if __name__ == "__main__":
    server = Path(find_spec("pytriton").origin).with_name("tritonserver")
    scratch = Path(tempfile.mkdtemp(prefix="triton-", dir=os.environ["PEER_SCRATCH"]))
    write_repository(scratch / "models")
    write_backend(scratch / "backends", server)
    program = server / "bin" / "tritonserver"
    ports = ["--http-address=127.0.0.1", f"--http-port={sys.argv[2]}", "--allow-grpc=false", "--allow-metrics=false"]
    folders = [f"--model-repository={scratch / 'models'}", f"--backend-directory={scratch / 'backends'}"]
    os.execve(program, [str(program), *ports, *folders, "--log-info=false"], environment(server))
