"""Pub/sub by a client that knows gearmesh from its .proto files alone: it subscribes on one node and publishes on another.

Usage: foreign-pubsub.py PROTO_ROOT OUT_DIR ADDRESS OTHER_ADDRESS   (the serverToken is read from standard input)
Prints one JSON object.
"""

import json
import pathlib
import sys

import grpc

from gearmesh_stubs import generate


def main() -> None:
    proto_root, out, address, other = sys.argv[1:]
    token = sys.stdin.readline().strip()
    generate(pathlib.Path(proto_root), pathlib.Path(out))

    from gearmesh.v1 import pubsub_pb2, pubsub_pb2_grpc, topology_pb2, topology_pb2_grpc, value_pb2

    bearer = [("authorization", f"Bearer {token}")]
    with grpc.insecure_channel(address) as channel, grpc.insecure_channel(other) as other_channel:
        subscriber = pubsub_pb2_grpc.PubSubServiceStub(channel)
        publisher = pubsub_pb2_grpc.PubSubServiceStub(other_channel)
        topology = topology_pb2_grpc.TopologyServiceStub(other_channel)
        name = topology.GetTopology(topology_pb2.GetTopologyRequest(), metadata=bearer, timeout=10).topology.node_name

        events = subscriber.Subscribe(pubsub_pb2.SubscribeRequest(message_types=["greetings"]), metadata=bearer)
        if next(events).WhichOneof("event") != "subscribed":
            raise SystemExit("the first event is not `subscribed`")

        def publish(payload):
            request = pubsub_pb2.PublishRequest(message_type="greetings", payload=payload)
            return publisher.Publish(request, metadata=bearer, timeout=10)

        reached = publish(value_pb2.Payload(json=json.dumps({"hello": "mesh"})))
        publish(value_pb2.Payload(raw=b"\x00\xff"))
        messages = [next(events).message for _ in range(2)]
        try:
            publish(value_pb2.Payload(json="{"))
            refused = None
        except grpc.RpcError as error:
            refused = dict(error.trailing_metadata()).get("gearmesh-code")
        events.cancel()

    def value(payload):
        return json.loads(payload.json) if payload.WhichOneof("kind") == "json" else payload.raw.hex()

    print(
        json.dumps(
            {
                "reached": [reached.nodes, reached.subscribers],
                "heard": [[message.message_type, value(message.payload)] for message in messages],
                "sameSender": all(message.server_id == name for message in messages),
                "refused": refused,
            }
        )
    )


main()
