import { fileURLToPath } from "node:url";
import test from "ava";
import { Fault } from "../../src/base/fault.ts";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import type { ClusterNode } from "../../src/dev/cluster.ts";
import { claimPortBlock, PORT_OFFSETS } from "../../src/dev/free-ports.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { keyOn } from "../support/keys.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";

const LIBRARY = `#!js name=lib
redis.register_remote_function("get", async (client, key) => client.block((c) => c.call("get", key)));
redis.register_function("get", (client, key) => client.call("get", key), ["no-writes"]);
redis.register_async_function("read", async (client, key) => client.runOnKey(key, { function: "get", timeoutMs: 60000 }, key));
redis.register_async_function("wait", async (client, key) => {
  while ((await client.runOnKey(key, "get", key)) === null);
});
`;
const DEADLINE_MS = 60_000;
/** At once, when the alternative is to wait out the deadline. */
const AT_ONCE_MS = 5_000;
/** In which a link that is silent is lost: four heartbeats. */
const HEARTBEATS_MS = 4_000;
const CALLS = 50;
const WAITING_CALLS = 8;
const CUTS = 5;
/** What the heap may grow by from the first cut to the last, for other reasons. Unit: bytes. */
const HEAP_NOISE = 2 * 1024 * 1024;
/** Of a coordinator that collects its garbage when it is told to. */
const ENTRY = fileURLToPath(new URL("../support/tidy-coordinator.ts", import.meta.url));

/** How each call ended, by its code. */
async function endingsOf(calls: readonly Promise<unknown>[]): Promise<ReadonlyMap<string, number>> {
  const endings = new Map<string, number>();
  for (const outcome of await Promise.allSettled(calls)) {
    const ending = outcome.status === "fulfilled" ? "OK" : Fault.from(outcome.reason).code;
    endings.set(ending, (endings.get(ending) ?? 0) + 1);
  }
  return endings;
}

/** A metric, summed over its labels where none are given. */
async function metric({ coordinator }: ClusterNode, name: string): Promise<number> {
  const text = await (await fetch(`http://${coordinator.opsAddress}/metrics`)).text();
  const lines = text.split("\n").filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`));
  return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

async function heapInUse(node: ClusterNode): Promise<number> {
  const seen: number[] = [];
  // The metric may be older than the collection.
  while (seen.length < 3) {
    process.kill(node.coordinator.pid ?? 0, "SIGUSR2");
    seen.push(await metric(node, "nodejs_heap_size_used_bytes"));
  }
  return Math.min(...seen);
}

for (const [how, cut, withinMs] of [
  ["broken", (proxy: TcpProxy) => proxy.refuse(), AT_ONCE_MS],
  ["silent", (proxy: TcpProxy) => proxy.stall(), HEARTBEATS_MS + AT_ONCE_MS],
] as const) {
  test.serial(
    `a ${how} network between two coordinators: calls across it end at once, others go on, and after it nothing is left`,
    async (t) => {
      t.timeout(240_000);
      await using stack = new AsyncDisposableStack();
      const { basePort } = stack.use(await claimPortBlock(3));
      const doorOf = (index: number) => basePort + index + PORT_OFFSETS.coordinator;
      const proxies = [
        stack.use(await startTcpProxy(doorOf(1), { keep: false })),
        stack.use(await startTcpProxy(doorOf(0), { keep: false })),
      ];
      const cluster = stack.use(
        await startTestCluster(t, {
          shards: 3,
          basePort,
          coordinatorEntry: ENTRY,
          // The first two reach each other through the proxies alone.
          envOf: (port) => {
            const index = port - basePort;
            const proxy = proxies[index];
            if (!proxy) return {};
            return { GEARMESH_PEER_ADDRESSES: `127.0.0.1:${basePort + 1 - index}=127.0.0.1:${proxy.port}` };
          },
        }),
      );
      const [a, b, c] = cluster.nodes;
      if (!a || !b || !c) return t.fail();
      const clientOf = ({ coordinator }: ClusterNode): GearmeshClient =>
        stack.use(connect({ address: coordinator.address, token: cluster.token }));
      const [atA, atB, atC] = [clientOf(a), clientOf(b), clientOf(c)];
      await atA.load(LIBRARY);
      const [keyOfA, keyOfB, keyOfC] = [keyOn(cluster, a), keyOn(cluster, b), keyOn(cluster, c)];
      const get = (client: GearmeshClient, key: string) =>
        client.call("lib.get", { keys: [key], timeoutMs: DEADLINE_MS });
      const read = (client: GearmeshClient, key: string) =>
        client.call("lib.read", { args: [key], timeoutMs: DEADLINE_MS });
      const times = <T>(call: () => T) => Array.from({ length: CALLS }, call);
      const across = () => [...times(() => get(atA, keyOfB)), ...times(() => get(atB, keyOfA))];
      const acrossFromWithin = () => [...times(() => read(atA, keyOfB)), ...times(() => read(atB, keyOfA))];
      const beside = () => [
        ...[read(atA, keyOfC), read(atB, keyOfC), read(atC, keyOfA), read(atC, keyOfB), read(atA, keyOfA)],
        ...[get(atA, keyOfC), get(atB, keyOfC), get(atC, keyOfA), get(atC, keyOfB), get(atA, keyOfA)],
      ];
      const handles = async () => [await metric(a, "nodejs_active_handles"), await metric(b, "nodejs_active_handles")];
      await Promise.all([...across(), ...acrossFromWithin(), ...beside()]);
      const heaps: number[] = [];

      for (let round = 0; round < CUTS; round++) {
        // Under way when it happens.
        const waiting = Array.from({ length: WAITING_CALLS }, () =>
          atA.call("lib.wait", { keys: [keyOfB], timeoutMs: DEADLINE_MS }),
        );
        await eventually(async () => (await metric(b, "gearmesh_calls_in_flight")) >= WAITING_CALLS, {
          what: "calls under way",
        });
        const cutAtMs = performance.now();
        for (const proxy of proxies) cut(proxy);
        const [endings, within] = await Promise.all([
          endingsOf([...waiting, ...across()]),
          endingsOf(acrossFromWithin()),
        ]);
        const tookMs = performance.now() - cutAtMs;
        const told = [...endings].map(([code, count]) => `${code} ${count}`).join(", ");
        t.log(`after ${tookMs.toFixed()} ms: ${told}`);
        t.true(tookMs < withinMs, `calls across the cut took ${tookMs.toFixed()} ms`);
        for (const code of endings.keys()) t.true(code === "INDETERMINATE" || code === "UNAVAILABLE", code);
        // The function gets the text of either, and this one fails with it.
        t.deepEqual([...within.keys()], ["FUNCTION_FAILED"]);
        // The link is known to be lost: nobody waits.
        const startedMs = performance.now();
        t.deepEqual([...(await endingsOf(across())).keys()], ["UNAVAILABLE"]);
        t.true(performance.now() - startedMs < AT_ONCE_MS);
        t.deepEqual([...(await endingsOf(beside())).keys()], ["OK"], "calls that do not cross it go on");

        for (const proxy of proxies) proxy.mend();
        await eventually(() => Promise.all([...across(), ...acrossFromWithin()]), { what: "calls across it again" });
        for (const node of [a, b]) {
          await eventually(async () => (await metric(node, "gearmesh_calls_in_flight")) === 0, {
            what: "no call left",
          });
          // Coordinators have requests of their own to each other, which end as well.
          const isQuiet = async () => (await metric(node, "gearmesh_link_in_flight")) === 0;
          await eventually(isQuiet, { what: "no request on a link" });
          t.is(await metric(node, 'gearmesh_links{state="open"}'), 2);
        }
        heaps.push(await heapInUse(a));
      }
      t.log(`connections: ${proxies.map((proxy) => proxy.connections()).join()}`);
      await eventually(() => proxies.every((proxy) => proxy.connections() === 1), { what: "one connection each way" });
      t.log(
        `handles: ${(await handles()).join(", ")}; heap: ${heaps.map((bytes) => (bytes / 1e6).toFixed(1)).join(", ")} MB`,
      );
      t.true((heaps.at(-1) ?? 0) - (heaps[0] ?? 0) < HEAP_NOISE);
    },
  );
}
