import { Client, credentials, Server, ServerCredentials, type ServiceError, status } from "@grpc/grpc-js";
import test, { type ExecutionContext } from "ava";
import { Fault } from "../../../src/base/fault.ts";
import { RequestScope } from "../../../src/base/request-scope.ts";
import { loadDefinitions } from "../../../src/grpc/definitions.ts";
import { passedThrough } from "../../../src/grpc/pass-through.ts";
import { type PubSubServiceParts, pubSubService, pubSubServiceDefinition } from "../../../src/grpc/pubsub-service.ts";
import { CODE_TRAILER } from "../../../src/grpc/status.ts";
import type { Subscription } from "../../../src/pubsub/subscriber.ts";
import { eventually } from "../../support/eventually.ts";

const definitions = loadDefinitions();

/** A server whose subscriptions come from the test, and one client's stream. */
async function subscribe(t: ExecutionContext, open: PubSubServiceParts["subscribe"], bugs: unknown[] = []) {
  const server = new Server();
  const timeouts = { defaultMs: 1000, maxMs: 1000 };
  const publish = async () => new Uint8Array();
  const observer = { bug: (cause: unknown) => bugs.push(cause) };
  server.addService(
    pubSubServiceDefinition(definitions),
    pubSubService({ timeouts, observer, scope: new RequestScope(), isAdmin: () => false, publish, subscribe: open }),
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  t.teardown(() => {
    client.close();
    server.forceShutdown();
  });
  const { path, requestSerialize, responseDeserialize } = passedThrough(definitions.pubSub.Subscribe);
  const stream = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, new Uint8Array());
  stream.on("error", () => undefined);
  return stream;
}

/** Events without an end, of 1 KiB each. */
class Endless implements Subscription {
  taken = 0;
  closed = 0;
  ended: Fault | undefined;

  take(): Uint8Array {
    this.taken++;
    return Buffer.alloc(1024);
  }

  close(): void {
    this.closed++;
  }
}

test("a client that does not read leaves what waits where it is bounded; one that goes away closes its subscription", async (t) => {
  const endless = new Endless();
  const stream = await subscribe(t, (_body, news) => {
    setImmediate(news);
    return endless;
  });
  // A grpc-js client that has never read takes whatever comes.
  stream.once("data", () => stream.pause());
  await eventually(() => endless.taken > 64, { what: "the first events" });
  let before = -1;
  await eventually(
    () => {
      const isStill = before === endless.taken;
      before = endless.taken;
      return isStill;
    },
    { what: "the stream to stand still" },
  );
  t.true(endless.taken < 1024, `${endless.taken} KiB were taken`);
  stream.resume();
  await eventually(() => endless.taken > before + 1000, { what: "more once the client reads" });
  t.is(endless.closed, 0);
  stream.cancel();
  await eventually(() => endless.closed === 1, { what: "the subscription closed" });
});

test("a subscription that has ended gives all that waits, and then its fault", async (t) => {
  const waiting = ["one", "two"];
  const subscription: Subscription = {
    take: () => {
      const next = waiting.shift();
      return next === undefined ? undefined : Buffer.from(next);
    },
    ended: new Fault("UNAVAILABLE", "an update"),
    close: () => undefined,
  };
  const stream = await subscribe(t, (_body, news) => {
    setImmediate(news);
    return subscription;
  });
  const seen: string[] = [];
  stream.on("data", (event: Uint8Array) => seen.push(Buffer.from(event).toString()));
  const error = await new Promise<ServiceError>((resolve) => stream.once("error", resolve));
  t.deepEqual(seen, ["one", "two"]);
  t.is(error.code, status.UNAVAILABLE);
  t.deepEqual(error.metadata.get(CODE_TRAILER), ["UNAVAILABLE"]);
});

test("what cannot be subscribed to ends the stream with its code; a bug says nothing of itself", async (t) => {
  const refused = await subscribe(t, () => {
    throw new Fault("RESOURCE_EXHAUSTED", "full");
  });
  t.is((await new Promise<ServiceError>((resolve) => refused.once("error", resolve))).details, "full");
  const bugs: unknown[] = [];
  const cause = new Error("a secret");
  const broken = await subscribe(
    t,
    () => {
      throw cause;
    },
    bugs,
  );
  const error = await new Promise<ServiceError>((resolve) => broken.once("error", resolve));
  t.is(error.code, status.INTERNAL);
  t.is(error.details, "internal error");
  t.deepEqual(bugs, [cause]);
});
