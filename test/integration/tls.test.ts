import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import test from "ava";
import { connect } from "../../src/client/client.ts";
import type { ClusterNode } from "../../src/dev/cluster.ts";
import { Authority, replaceFiles, replaceText } from "../support/certificates.ts";
import { eventually } from "../support/eventually.ts";
import { faultText } from "../support/fault-of.ts";
import { keyOn } from "../support/keys.ts";
import { PLAIN_LIBRARY } from "../support/library.ts";
import { Listener } from "../support/listener.ts";
import { metricOf } from "../support/metrics-of.ts";
import { FIRST_TOKEN, type SecuredCluster, startSecuredCluster } from "../support/secured-cluster.ts";

/** Messages that a publisher has on their way at once. */
const FLOW_BATCH = 16;

let secured: SecuredCluster;

test.before(async () => {
  secured = await startSecuredCluster({ shards: 3 });
  await using client = secured.client(firstNode());
  await client.load(PLAIN_LIBRARY);
});

test.after.always(async () => {
  await secured?.[Symbol.asyncDispose]();
});

function firstNode(): ClusterNode {
  const [node] = secured.nodes;
  if (!node) throw new Error("there is no node");
  return node;
}

/** The serial number of the certificate that a coordinator shows. */
async function shownBy({ coordinator }: ClusterNode): Promise<string> {
  const [host, port] = coordinator.address.split(":");
  const socket = connectTls({ host: host ?? "", port: Number(port), ALPNProtocols: ["h2"], rejectUnauthorized: false });
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  socket.once("secureConnect", () => resolve(socket.getPeerX509Certificate()?.serialNumber ?? ""));
  socket.once("error", reject);
  return promise.finally(() => socket.destroy());
}

test.serial(
  "coordinators with certificates link to each other, and clients that trust their authority call them",
  async (t) => {
    for (const node of secured.nodes) {
      await using client = secured.client(node);
      for (const owner of secured.nodes) {
        const value = await client.call("plain.args", { keys: [keyOn(secured.cluster, owner)], args: ["x"] });
        t.is(value, 2n, "the key and x");
      }
      t.is(await client.call("plain.shards"), 3n);
      t.is(await metricOf(node.coordinator, 'gearmesh_links{state="open"}'), 2);
      t.true(
        (await metricOf(node.coordinator, "gearmesh_tls_certificate_expiry_timestamp_seconds")) > Date.now() / 1000,
      );
    }
  },
);

test.serial("nobody gets in without TLS, and a client of another authority does not send its token", async (t) => {
  const { address } = firstNode().coordinator;
  await using plain = connect({ address, token: FIRST_TOKEN, timeoutMs: 3000 });
  t.regex(await faultText(plain.topology()), /^(UNAVAILABLE|DEADLINE_EXCEEDED|INDETERMINATE)/);
  const other = await Authority.create(secured.directory, "other");
  await using misled = secured.client(firstNode(), { tls: { caFile: other.caFile }, timeoutMs: 3000 });
  t.regex(await faultText(misled.topology()), /^UNAVAILABLE: .*certificate/);
  await using elsewhere = secured.client(firstNode(), {
    tls: { caFile: secured.authority.caFile, serverName: "another.example" },
    timeoutMs: 3000,
  });
  t.regex(await faultText(elsewhere.topology()), /^UNAVAILABLE: .*(altnames|does not match)/);
});

test.serial("a pair that does not fit is refused, and what was there stays", async (t) => {
  const node = firstNode();
  const before = await shownBy(node);
  const { certFile, keyFile } = await secured.authority.issue();
  const paths = join(secured.directory, "node-0");
  const oldKey = join(secured.directory, "old.key");
  await writeFile(oldKey, await readFile(join(paths, "tls.key")));
  const refusals = () => metricOf(node.coordinator, 'gearmesh_secret_reloads_total{result="refused"}');
  await replaceFiles({ [join(paths, "tls.crt")]: certFile });
  await eventually(async () => (await refusals()) === 1, { what: "a refused certificate" });
  t.is(await shownBy(node), before);
  const log = await readFile(node.coordinator.logPath, "utf8");
  t.regex(log, /the certificate changed and cannot be used.*the key is not that of the certificate/);
  await secured.change(node, ({ key }) => replaceFiles({ [key]: keyFile }));
  t.not(await shownBy(node), before);
});

test.serial(
  "certificates of all coordinators are replaced, and then their authority: no call fails, and no message is lost",
  async (t) => {
    const next = await Authority.create(secured.directory, "next");
    const both = join(secured.directory, "both.crt");
    await writeFile(both, (await readFile(secured.authority.caFile, "utf8")) + (await readFile(next.caFile, "utf8")));
    await using load = startLoad(() => ({ tls: { caFile: both } }));
    await using flow = await startFlow({ tls: { caFile: both } });
    const before = await Promise.all(secured.nodes.map(shownBy));
    for (const node of secured.nodes) await secured.change(node, ({ ca }) => replaceFiles({ [ca]: both }));
    for (const node of secured.nodes) {
      const { certFile, keyFile } = await next.issue();
      await secured.change(node, ({ cert, key }) => replaceFiles({ [cert]: certFile, [key]: keyFile }));
    }
    for (const node of secured.nodes) await secured.change(node, ({ ca }) => replaceFiles({ [ca]: next.caFile }));
    await load.reached(500);
    await flow.reached(500);
    await load.stop();
    const { published, heard, reaches } = await flow.stop();
    t.true(published > 500, `${published} messages of each`);
    t.deepEqual(reaches, ["3 subscribers on 3 nodes"]);
    for (const [index, counts] of heard.entries()) {
      t.deepEqual(counts, Array(3).fill("all in order"), `heard by subscriber ${index}, of each publisher`);
    }
    t.deepEqual(load.failures, []);
    t.true(load.calls > 500, `${load.calls} calls`);
    for (const [index, node] of secured.nodes.entries()) {
      t.not(await shownBy(node), before[index]);
      t.is(await metricOf(node.coordinator, "gearmesh_link_lost_total"), 0);
      t.is(await metricOf(node.coordinator, 'gearmesh_links{state="open"}'), 2);
    }
  },
);

test.serial("the serverToken is replaced on all coordinators under load, and no call fails", async (t) => {
  const second = "the-second-token-of-all";
  const ca = join(secured.directory, "both.crt");
  let token = FIRST_TOKEN;
  await using load = startLoad(() => ({ tls: { caFile: ca }, token: () => token }));
  const write = (text: string) => async (node: ClusterNode) =>
    secured.change(node, (paths) => replaceText(paths.token, text));
  for (const node of secured.nodes) await write(`${second}\n${FIRST_TOKEN}\n`)(node);
  token = second;
  await load.renewed();
  for (const node of secured.nodes) await write(`${second}\n`)(node);
  await load.renewed();
  await load.stop();
  t.deepEqual(load.failures, []);
  await using late = secured.client(firstNode(), { tls: { caFile: ca } });
  t.regex(await faultText(late.topology()), /^UNAUTHENTICATED/);
  for (const node of secured.nodes) {
    t.is(await metricOf(node.coordinator, "gearmesh_link_lost_total"), 0);
    t.is(await metricOf(node.coordinator, 'gearmesh_auth_failures_total{door="mesh",reason="proof"}'), 0);
  }
});

test.serial("a token that is valid no longer ends the streams that were opened with it", async (t) => {
  const [, , node] = secured.nodes;
  if (!node) return t.fail();
  const ca = join(secured.directory, "both.crt");
  const temporary = "a-token-for-an-afternoon";
  await secured.change(node, ({ tokens }) => replaceText(tokens, `call ${temporary}\n`));
  await using client = secured.client(node, { token: temporary, tls: { caFile: ca } });
  const changes = client.watchTopology();
  t.false((await changes.next()).done);
  const ended = faultText(changes.next());
  await secured.change(node, ({ tokens }) => replaceText(tokens, ""));
  t.regex(await ended, /^UNAVAILABLE: .*valid no longer/);
  t.regex(await faultText(client.topology()), /^UNAUTHENTICATED/);
});

/** Calls of every shard from every coordinator, by unary calls and on a stream, one after the other without a pause. */
function startLoad(options: () => Parameters<SecuredCluster["client"]>[1]) {
  const failures: string[] = [];
  const stack = new AsyncDisposableStack();
  let calls = 0;
  let isStopped = false;
  const keys = secured.nodes.map((owner) => keyOn(secured.cluster, owner));
  const loops = secured.nodes.flatMap((node) => {
    const client = stack.use(secured.client(node, options()));
    const stream = client.stream();
    const again = async (call: (key: string) => Promise<unknown>) => {
      for (let index = 0; !isStopped; index++) {
        await call(keys[index % keys.length] ?? "").catch((error: unknown) => failures.push(String(error)));
        calls++;
      }
    };
    return [
      again((key) => client.call("plain.args", { keys: [key] })),
      again((key) => stream.call("plain.args", { keys: [key] })),
      again(() => client.call("plain.hops", { args: ["5"] })),
    ];
  });
  const stop = async () => {
    isStopped = true;
    await Promise.all(loops);
  };
  stack.defer(stop);
  return {
    failures,
    get calls() {
      return calls;
    },
    /** Resolves after so many further calls that each loop has made some. */
    async renewed() {
      const until = calls + 20 * loops.length;
      await eventually(() => calls > until, { what: "further calls" });
    },
    async reached(count: number) {
      await eventually(() => calls > count, { what: `${count} calls` });
    },
    stop,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Publishers on every node, each of which numbers what it publishes, and subscribers on every node, whose interest takes several requests to tell. */
async function startFlow(options: Parameters<SecuredCluster["client"]>[1]) {
  const others = Array.from({ length: 500 }, (_, index) => `other ${index}`);
  await using stack = new AsyncDisposableStack();
  const clients = secured.nodes.map((node) => stack.use(secured.client(node, options)));
  const listeners = await Promise.all(clients.map((client) => Listener.open(client, ...others, "flow")));
  for (const listener of listeners) stack.use(listener);
  const reaches = new Set<string>();
  let isStopped = false;
  let published = 0;
  const loops = clients.map(async (client, publisher) => {
    await using stream = client.stream();
    let n = 0;
    while (!isStopped || n < published) {
      published = Math.max(published, n + FLOW_BATCH);
      const batch = Array.from({ length: FLOW_BATCH }, () => stream.publish("flow", [publisher, n++]));
      for (const { subscribers, nodes } of await Promise.all(batch)) {
        reaches.add(`${subscribers} subscribers on ${nodes} nodes`);
      }
    }
  });
  const running = stack.move();
  return {
    async reached(count: number) {
      await eventually(() => published > count, { what: `${count} messages of each publisher` });
    },
    /** Once each publisher has published as many messages, and all of them are there or lost. */
    async stop() {
      isStopped = true;
      await Promise.all(loops);
      // Those that were published last may still be on their way to their subscribers.
      const all = published * clients.length;
      await Promise.all(listeners.map((listener) => listener.count(all).catch(() => undefined)));
      const heard = listeners.map(({ events }) => {
        const messages = events.flatMap((event) => (event.kind === "message" ? [event.payload as number[]] : []));
        const missed = events.filter(({ kind }) => kind === "missed").length;
        return clients.map((_, publisher) => {
          const numbers = messages.filter(([from]) => from === publisher).map(([, n]) => n);
          const isComplete = numbers.length === published && numbers.every((n, index) => n === index);
          return isComplete && missed === 0
            ? "all in order"
            : `${numbers.length} of ${published}, missed ${missed} times`;
        });
      });
      return { published, heard, reaches: [...reaches] };
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
