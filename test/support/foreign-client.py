"""A gRPC client that knows gearmesh from its .proto files alone: generates stubs, loads a library, calls it both ways.

Usage: foreign-client.py PROTO_ROOT OUT_DIR ADDRESS LIBRARY_FILE   (the serverToken is read from standard input)
Prints one JSON object.
"""

import json
import pathlib
import sys

import grpc

from gearmesh_stubs import generate


def main() -> None:
    proto_root, out, address, library = sys.argv[1:]
    token = sys.stdin.readline().strip()
    generate(pathlib.Path(proto_root), pathlib.Path(out))

    from gearmesh.v1 import call_pb2, envelope_pb2, function_pb2, function_pb2_grpc, topology_pb2, topology_pb2_grpc

    bearer = [("authorization", f"Bearer {token}")]
    with grpc.insecure_channel(address) as channel:
        functions = function_pb2_grpc.FunctionServiceStub(channel)
        topology = topology_pb2_grpc.TopologyServiceStub(channel)
        loaded = functions.Load(
            function_pb2.LoadRequest(text=pathlib.Path(library).read_text(), replace=True), metadata=bearer, timeout=10
        )
        called = functions.Call(call_pb2.CallRequest(function="lib.test"), metadata=bearer, timeout=10)
        frame = function_pb2.CallStreamRequest(
            envelopes=[
                envelope_pb2.Envelope(
                    request=envelope_pb2.Request(id=7, timeout_ms=5000, call=call_pb2.CallRequest(function="lib.test"))
                ),
                envelope_pb2.Envelope(
                    request=envelope_pb2.Request(id=8, timeout_ms=5000, call=call_pb2.CallRequest(function="lib.none"))
                ),
            ]
        )
        answers = {}
        for response in functions.CallStream(iter([frame]), metadata=bearer, timeout=10):
            for envelope in response.envelopes:
                answers[envelope.response.id] = envelope.response
            if len(answers) == 2:
                break
        try:
            functions.Call(call_pb2.CallRequest(function="lib.none"), metadata=bearer, timeout=10)
            refused = None
        except grpc.RpcError as error:
            trailer = dict(error.trailing_metadata())
            refused = {"status": error.code().name, "code": trailer.get("gearmesh-code"), "text": error.details()}
        try:
            functions.Call(call_pb2.CallRequest(function="lib.test"), timeout=10)
            unauthenticated = None
        except grpc.RpcError as error:
            unauthenticated = error.code().name
        shards = topology.GetTopology(topology_pb2.GetTopologyRequest(), metadata=bearer, timeout=10).topology.shards

    print(
        json.dumps(
            {
                "library": loaded.library,
                "pending": list(loaded.pending),
                "unary": called.value.integer,
                "streamed": answers[7].call.value.integer,
                "streamFault": answers[8].fault.code,
                "refused": refused,
                "unauthenticated": unauthenticated,
                "shards": len(shards),
            }
        )
    )


main()
