"""A grpc.health.v1 client that is not ours, as the kubelet's probe: one Check without a token.

Usage: foreign-health.py ADDRESS [SERVICE]
Prints the status, or the code of the error.
"""

import sys

import grpc


def field(number: int, payload: bytes) -> bytes:
    return bytes([number << 3 | 2, len(payload)]) + payload


def main() -> None:
    address = sys.argv[1]
    service = sys.argv[2] if len(sys.argv) > 2 else ""
    # HealthCheckRequest { string service = 1 }, HealthCheckResponse { ServingStatus status = 1 }
    request = field(1, service.encode()) if service else b""
    statuses = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"]
    with grpc.insecure_channel(address) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check", lambda message: message, lambda reply: reply)
        try:
            reply = check(request, timeout=2)
        except grpc.RpcError as error:
            print(error.code().name)
            return
    print(statuses[reply[1]] if len(reply) > 1 and reply[0] == 8 else "UNKNOWN")


main()
