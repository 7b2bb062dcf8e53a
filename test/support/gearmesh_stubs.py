"""Python stubs of the .proto files, made anew for each test."""

import pathlib
import sys

from grpc_tools import protoc


def generate(proto_root: pathlib.Path, out: pathlib.Path) -> None:
    """Writes them to `out`, from where they can be imported afterwards."""
    files = sorted(str(path) for path in proto_root.glob("gearmesh/v1/*.proto"))
    status = protoc.main(["protoc", f"-I{proto_root}", f"--python_out={out}", f"--grpc_python_out={out}", *files])
    if status != 0:
        raise SystemExit("protoc failed")
    sys.path.insert(0, str(out))
