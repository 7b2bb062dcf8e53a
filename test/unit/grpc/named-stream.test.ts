import { EventEmitter } from "node:events";
import { Metadata } from "@grpc/grpc-js";
import test from "ava";
import { RequestScope } from "../../../src/base/request-scope.ts";
import { namedStream } from "../../../src/grpc/named-stream.ts";

test("what a stream does, and hears later, is done on behalf of its call", async (t) => {
  const scope = new RequestScope();
  const named: (string | undefined)[] = [];
  const note = (): void => {
    named.push(scope.current?.requestId);
  };
  const metadata = new Metadata();
  metadata.set("x-request-id", "order-4711");
  const call = Object.assign(new EventEmitter(), { metadata });
  const handle = namedStream({ scope }, (stream: typeof call, onBehalf) => {
    note();
    queueMicrotask(note);
    stream.on("data", onBehalf(note));
  });
  handle(call);
  await undefined;
  note();
  call.emit("data");
  t.deepEqual(named, ["order-4711", "order-4711", undefined, "order-4711"]);
});
