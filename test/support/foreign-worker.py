"""A worker by a client that knows gearmesh from its .proto files alone: it works tasks that are enqueued through another coordinator, tells its progress, and fails one once.

Usage: foreign-worker.py PROTO_ROOT OUT_DIR ADDRESS OTHER_ADDRESS   (the serverToken is read from standard input)
Prints one JSON object.
"""

import json
import pathlib
import queue
import sys
import threading

import grpc

from gearmesh_stubs import generate

TASK = "python.shout"


def main() -> None:
    proto_root, out, address, other = sys.argv[1:]
    token = sys.stdin.readline().strip()
    generate(pathlib.Path(proto_root), pathlib.Path(out))

    from gearmesh.v1 import task_pb2, task_pb2_grpc, value_pb2

    bearer = [("authorization", f"Bearer {token}")]
    outgoing: queue.Queue = queue.Queue()
    welcomed: queue.Queue = queue.Queue()
    ended = threading.Event()
    attempts = []
    settled = []

    def send(**event) -> None:
        outgoing.put(task_pb2.WorkRequest(**event))

    def payload(value) -> value_pb2.Payload:
        return value_pb2.Payload(json=json.dumps(value))

    def work(task) -> None:
        word = json.loads(task.args.json)["word"]
        attempts.append([word, task.fence, task.attempts_made])
        this = {"id": task.id, "fence": task.fence}
        if word == "twice" and task.attempts_made == 0:
            send(fail=task_pb2.TaskFailed(error="once more", **this))
        else:
            send(progress=task_pb2.TaskProgress(progress=payload("half"), **this))
            send(complete=task_pb2.TaskCompleted(result=payload(word.upper()), **this))
        send(credit=1)

    with grpc.insecure_channel(address) as channel, grpc.insecure_channel(other) as other_channel:
        stream = task_pb2_grpc.TaskServiceStub(channel).Work(iter(outgoing.get, None), metadata=bearer)

        def read() -> None:
            try:
                for response in stream:
                    event = response.WhichOneof("event")
                    if event == "welcome":
                        welcomed.put(response.welcome)
                    elif event == "task":
                        work(response.task)
                    elif event == "settled":
                        settled.append(response.settled.code)
            except grpc.RpcError:
                pass

        threading.Thread(target=read, daemon=True).start()
        registered = task_pb2.RegisteredTask(name=TASK, attempts=2, external=True)
        send(hello=task_pb2.WorkerHello(worker="python", tasks=[registered], credit=1))
        welcome = welcomed.get(timeout=10)

        def live() -> None:
            while not ended.wait(timeout=welcome.heartbeat_ms / 1000):
                send(heartbeat=task_pb2.WorkerHeartbeat())

        threading.Thread(target=live, daemon=True).start()

        tasks = task_pb2_grpc.TaskServiceStub(other_channel)
        results = {}
        for word in ["hello", "twice"]:
            request = task_pb2.EnqueueRequest(name=TASK, args=payload({"word": word}))
            # Another node learns what a worker has registered within a second.
            for _ in range(100):
                try:
                    enqueued = tasks.Enqueue(request, metadata=bearer, timeout=10)
                    break
                except grpc.RpcError as error:
                    if dict(error.trailing_metadata()).get("gearmesh-code") != "UNKNOWN_TASK":
                        raise
                    ended.wait(timeout=0.1)
            events = tasks.AwaitTask(task_pb2.AwaitTaskRequest(id=enqueued.id), metadata=bearer, timeout=30)
            for event in events:
                if event.WhichOneof("event") == "result":
                    results[word] = json.loads(event.result.json)
        described = tasks.DescribeTask(task_pb2.DescribeTaskRequest(id=enqueued.id), metadata=bearer, timeout=10).task
        # Its word on the last attempt comes another way than the result.
        for _ in range(300):
            if len(settled) == len(attempts):
                break
            ended.wait(timeout=0.1)
        ended.set()
        outgoing.put(None)
        print(
            json.dumps(
                {
                    "results": results,
                    "attempts": attempts,
                    "settled": settled,
                    "state": described.state,
                    "progress": json.loads(described.progress.json),
                    "workedWhereItIs": described.worker == welcome.node,
                }
            )
        )


main()
