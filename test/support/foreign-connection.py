"""A connection by a client that knows gearmesh from its .proto files alone: it serves a method, calls it through another coordinator, hears a message, says a verb.

Usage: foreign-connection.py PROTO_ROOT OUT_DIR ADDRESS OTHER_ADDRESS   (the serverToken is read from standard input)
Prints one JSON object.
"""

import json
import pathlib
import queue
import sys
import threading

import grpc

from gearmesh_stubs import generate


def main() -> None:
    proto_root, out, address, other = sys.argv[1:]
    token = sys.stdin.readline().strip()
    generate(pathlib.Path(proto_root), pathlib.Path(out))

    from gearmesh.v1 import connection_pb2, connection_pb2_grpc, envelope_pb2, rpc_pb2, rpc_pb2_grpc, session_pb2, value_pb2

    bearer = [("authorization", f"Bearer {token}")]
    outgoing: queue.Queue = queue.Queue()
    responses: queue.Queue = queue.Queue()
    deliveries: queue.Queue = queue.Queue()

    def send(**kind) -> None:
        outgoing.put(connection_pb2.OpenRequest(envelopes=[envelope_pb2.Envelope(**kind)]))

    def serve(request) -> None:
        words = [json.loads(arg.json) for arg in request.run_method.args]
        result = value_pb2.Payload(json=json.dumps(" ".join(words).upper()))
        answer = session_pb2.RunMethodResponse(result=result)
        send(response=envelope_pb2.Response(id=request.id, run_method=answer))

    with grpc.insecure_channel(address) as channel, grpc.insecure_channel(other) as other_channel:
        stream = connection_pb2_grpc.ConnectionServiceStub(channel).Open(iter(outgoing.get, None), metadata=bearer)

        def read() -> None:
            try:
                for frame in stream:
                    for envelope in frame.envelopes:
                        kind = envelope.WhichOneof("kind")
                        if kind == "request":
                            serve(envelope.request)
                        elif kind == "delivery":
                            deliveries.put(envelope.delivery)
                        elif kind == "response":
                            responses.put(envelope.response)
            except grpc.RpcError:
                pass

        threading.Thread(target=read, daemon=True).start()
        opening = session_pb2.OpenConnectionRequest(type="python", methods=["shout"])
        send(request=envelope_pb2.Request(id=1, timeout_ms=5000, open_connection=opening))
        opened = responses.get(timeout=10).open_connection

        calls = rpc_pb2_grpc.RpcServiceStub(other_channel)
        called = calls.Call(
            rpc_pb2.RpcServiceCallRequest(
                method="shout",
                args=[value_pb2.Payload(json='"hello"'), value_pb2.Payload(json='"mesh"')],
                target=rpc_pb2.RpcTarget(connection=opened.details.id),
            ),
            metadata=bearer,
            timeout=10,
        )
        applied = connection_pb2_grpc.ConnectionServiceStub(other_channel).Apply(
            session_pb2.ApplyRequest(
                connection_id=opened.details.id, method="sendMessage", args=[value_pb2.Payload(json='{"to":"you"}')]
            ),
            metadata=bearer,
            timeout=10,
        )
        heard = deliveries.get(timeout=10)
        send(received=session_pb2.Received(sequence=heard.sequence))
        verb = session_pb2.VerbRequest(verb="quit")
        send(request=envelope_pb2.Request(id=2, timeout_ms=5000, verb=verb))
        quit_answer = responses.get(timeout=10)
        outgoing.put(None)
        print(
            json.dumps(
                {
                    "type": opened.details.type,
                    "resumable": len(opened.resume_token) > 40,
                    "called": json.loads(called.replies[0].result.json),
                    "samePlace": applied.details.node == opened.details.node,
                    "heard": [heard.sequence, json.loads(heard.message.json)],
                    "quit": json.loads(quit_answer.verb.result.json),
                }
            )
        )


main()
