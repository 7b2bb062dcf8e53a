import test from "ava";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import type { LoadedLibrary } from "../../src/client/library.ts";
import { startTestCluster } from "../support/cluster.ts";
import { eventually } from "../support/eventually.ts";
import { VERSIONED, versionAt, versionedHash, versionedText, versionsFrom } from "../support/versioned-library.ts";

const LOADS = 20;
/** The next ones begin once those before have been answered. */
const WAVES = 3;
/** Calls wait for as long as the machine needs: how long that is on a busy one is not asked here. */
const TIMEOUT_MS = 60_000;

/** Calls the library all the time, locally and on every shard, until it is told to stop. */
async function callUntil(stop: AbortSignal, client: GearmeshClient, failures: string[]): Promise<number> {
  let calls = 0;
  for (; !stop.aborted; calls += 2) {
    try {
      await versionAt(client, TIMEOUT_MS);
      const { versions, errors } = await versionsFrom(client, TIMEOUT_MS);
      failures.push(...errors);
      if (new Set(versions).size !== 1 || versions.length !== 3) failures.push(`one call met ${versions}`);
    } catch (thrown) {
      failures.push(String(thrown));
    }
  }
  return calls;
}

test.serial(
  "of many loads at once each has its turn, every shard ends on the last, and no call fails for it",
  async (t) => {
    const env = { GEARMESH_REMOTE_TASK_DEFAULT_TIMEOUT: String(TIMEOUT_MS) };
    await using cluster = await startTestCluster(t, { shards: 3, env });
    await using clients = new AsyncDisposableStack();
    const all = cluster.nodes.map(({ coordinator: { address } }) =>
      clients.use(connect({ address, token: cluster.token, timeoutMs: TIMEOUT_MS })),
    );
    await all[0]?.load(versionedText(0));
    const done = new AbortController();
    clients.defer(() => done.abort());
    const failures: string[] = [];
    const callers = [...all, ...all].map((client) => callUntil(done.signal, client, failures));

    const loaded: LoadedLibrary[] = [];
    for (let wave = 0; wave < WAVES; wave++) {
      const loads = Array.from({ length: LOADS }, async (_, index) =>
        all[index % all.length]?.load(versionedText(1 + (index % 2)), { replace: true }),
      );
      loaded.push(...(await Promise.all(loads)).filter((load) => load !== undefined));
    }
    t.deepEqual(
      loaded.map(({ revision }) => revision).sort((a, b) => a - b),
      Array.from({ length: WAVES * LOADS }, (_, index) => 2 + index),
      "each load has a revision of its own, and none is left out",
    );
    const last = loaded.reduce((newest, load) => (load.revision > newest.revision ? load : newest));
    const heads = async () => {
      const lists = await Promise.all(all.map((client) => client.list({ library: VERSIONED })));
      return new Set(lists.map(([library]) => `${library?.revision} ${library?.hash}`));
    };
    await eventually(async () => (await heads()).size === 1, { what: "one revision on every shard" });
    t.deepEqual(await heads(), new Set([`${last.revision} ${last.hash}`]));
    for (const client of all) t.is(versionedHash(await versionAt(client, TIMEOUT_MS)), last.hash);

    done.abort();
    const calls = (await Promise.all(callers)).reduce((sum, each) => sum + each, 0);
    t.log(`${calls} calls meanwhile; pending: ${loaded.flatMap(({ pending }) => pending).length}`);
    t.deepEqual(failures.slice(0, 5), []);
    t.true(calls > 20);
  },
);
