import test from "ava";
import fc from "fast-check";
import {
  ConnectionNetwork,
  type ConnectionNode,
  contextOf,
  GRACE_MS,
  heardOf,
  latencyOf,
  settled,
  turnsOfLoop,
} from "../../support/connection-network.ts";
import { faultOf } from "../../support/fault-of.ts";

async function codeOf(call: Promise<unknown>): Promise<string> {
  return (await faultOf(call)).code;
}

test("what waits for its turn while another node takes the connection over does nothing, and says so", async (t) => {
  const network = new ConnectionNetwork();
  const { a, b, directory } = network;
  const { connection, token } = await a.openAndLeave();
  const put = a.directory.stop("put", "request");
  const codes = [
    codeOf(a.operate(connection, "set", "first", 1)),
    codeOf(a.operate(connection, "sendMessage", "lost")),
    codeOf(a.operate(connection, "set", "second", 2)),
    codeOf(a.operate(connection, "joinRoom", "lobby")),
    codeOf(a.operate(connection, "leaveRoom", "lobby")),
    codeOf(a.operate(connection, "destroy")),
  ];
  await put.reached;
  const resumed = await b.resume(token);
  const record = directory.record(connection.id);
  put.release();
  t.deepEqual(await Promise.all(codes), Array(6).fill("UNKNOWN_CONNECTION"));
  t.deepEqual(heardOf(resumed.connection).heard, []);
  t.false(resumed.connection.attributes.has("second"));
  t.deepEqual(a.rooms.asked, []);
  t.is(directory.record(connection.id), record);
  t.deepEqual(network.holdersOf(connection.id), ["b"]);
});

test("what is asked for behind the end of a connection does nothing, and its record does not come back", async (t) => {
  const network = new ConnectionNetwork();
  const { a, directory } = network;
  for (const how of ["destroyed", "quit", "expired"] as const) {
    const { connection } = await a.open();
    await a.operate(connection, "set", "auth", false);
    const put = a.directory.stop("put", "request");
    const first = a.operate(connection, "set", "first", 1);
    const destroyed = how === "destroyed" ? a.operate(connection, "destroy") : undefined;
    const waiting = ["set", "sendMessage", "joinRoom"].map((name) => codeOf(a.operate(connection, name, "auth", true)));
    await put.reached;
    const ended = destroyed ?? a.held.end(connection, how);
    put.release();
    await Promise.all([first, ended]);
    t.deepEqual(await Promise.all(waiting), Array(3).fill("UNKNOWN_CONNECTION"), how);
    t.is(directory.record(connection.id), undefined, how);
    t.is(await codeOf(a.held.persist(connection)), "UNKNOWN_CONNECTION");
    t.is(directory.record(connection.id), undefined, how);
    t.is(a.rooms.asked.at(-1), `leaveAll ${connection.id} `);
    t.is(a.observed.at(-1), how);
  }
});

test("what was given up before its turn came is not done", async (t) => {
  const { a } = new ConnectionNetwork();
  const { connection } = await a.open();
  const put = a.directory.stop("put", "request");
  const first = a.operate(connection, "set", "first", 1);
  const abort = new AbortController();
  const noted: string[] = [];
  const note = (what: string) => async () => void noted.push(what);
  const cancelled = codeOf(a.held.inTurn(connection, contextOf(abort.signal), note("cancelled")));
  const late = codeOf(a.held.inTurn(connection, contextOf(undefined, 0), note("late")));
  const last = a.held.inTurn(connection, contextOf(), note("last"));
  abort.abort();
  put.release();
  t.deepEqual(await Promise.all([cancelled, late]), ["CANCELLED", "DEADLINE_EXCEEDED"]);
  await Promise.all([first, last]);
  t.deepEqual(noted, ["last"]);
});

test("a client whose connection was ended cannot resume it while that is still under way", async (t) => {
  const network = new ConnectionNetwork();
  const { a, b, directory } = network;
  const { connection, token, link } = await a.open();
  const left = Promise.withResolvers<void>();
  a.rooms.delay = left.promise;
  const remove = a.directory.stop("remove", "request");
  const ended = a.operate(connection, "destroy");
  await remove.reached;
  // It would come back at once.
  t.false(link.isClosed);
  t.is(await codeOf(b.resume(token)), "UNAUTHENTICATED");
  const here = codeOf(a.resume(token));
  await settled();
  remove.release();
  t.is(await here, "UNKNOWN_CONNECTION");
  await settled();
  t.is(link.fault?.code, "CANCELLED");
  t.is(await codeOf(a.resume(token)), "UNKNOWN_CONNECTION");
  left.resolve();
  await ended;
  t.is(directory.record(connection.id), undefined);
  t.deepEqual(network.holdersOf(connection.id), []);
});

test("a connection that ends while it is resumed is not resumed, however far that was", async (t) => {
  for (const verb of ["find", "claim"] as const) {
    for (const leg of ["request", "answer"] as const) {
      const network = new ConnectionNetwork();
      const { a, directory } = network;
      const { connection, token } = await a.openAndLeave();
      const stopped = a.directory.stop(verb, leg);
      const resumed = faultOf(a.resume(token));
      await stopped.reached;
      network.clock.advance(GRACE_MS);
      await settled();
      stopped.release();
      const { code } = await resumed;
      t.true(code === "UNKNOWN_CONNECTION" || code === "UNAUTHENTICATED", `${verb} ${leg}: ${code}`);
      await settled();
      t.is(directory.record(connection.id), undefined, `${verb} ${leg}`);
      t.deepEqual(network.holdersOf(connection.id), [], `${verb} ${leg}`);
    }
  }
});

test("a connection that ends while Redis is away cannot be resumed anywhere, and its record goes later", async (t) => {
  const network = new ConnectionNetwork();
  const { a, b, directory } = network;
  const { connection, token, link } = await a.open();
  a.leases.start();
  a.directory.refused.set("remove", "UNAVAILABLE");
  await a.held.end(connection, "quit");
  t.true(link.isClosed);
  t.is(await codeOf(a.resume(token)), "UNKNOWN_CONNECTION");
  t.is(await codeOf(b.resume(token)), "UNAUTHENTICATED");
  await network.renewals();
  t.truthy(directory.record(connection.id));
  a.directory.refused.clear();
  await network.renewals();
  t.is(directory.record(connection.id), undefined);
  t.false(a.held.hasEnded(connection.id));
  for (const node of [a, b]) t.is(await codeOf(node.resume(token)), "UNKNOWN_CONNECTION");
});

test("a connection whose client does not come back in the grace time ends, and one whose client does stays", async (t) => {
  const { a, clock, directory } = new ConnectionNetwork();
  const [gone, back] = [await a.openAndLeave(), await a.openAndLeave()];
  t.deepEqual([a.held.size, a.held.attached, a.held.away], [2, 0, 2]);
  clock.advance(GRACE_MS - 1);
  const { connection } = await a.resume(back.token);
  t.is(connection, back.connection);
  t.deepEqual([a.held.size, a.held.attached, a.held.away], [2, 1, 1]);
  clock.advance(GRACE_MS);
  await settled();
  t.is(directory.record(gone.connection.id), undefined);
  t.deepEqual([a.held.size, a.held.attached, a.held.away], [1, 1, 0]);
  t.deepEqual(a.observed, ["new", "new", "resumed", "expired"]);
});

test("a stream that was replaced does not take its connection's client away when it ends", async (t) => {
  const { a } = new ConnectionNetwork();
  const first = await a.open();
  const second = await a.resume(first.token);
  t.is(first.link.fault?.code, "CANCELLED");
  a.held.detach(first.connection, first.link);
  t.is(first.connection.link, second.link);
  t.is(a.held.away, 0);
});

test("methods are served from when a connection is held until it is not, and those of its last stream alone", async (t) => {
  const { a, b } = new ConnectionNetwork();
  const serving = (node: ConnectionNode) => [...node.methods].filter(([, by]) => by.size > 0).map(([name]) => name);
  const first = await a.open({ methods: ["x", "y"] });
  t.deepEqual(serving(a), ["x", "y"]);
  const second = await a.open({ resumeToken: first.token, methods: ["y"] });
  t.deepEqual(serving(a), ["y"]);
  const third = await b.open({ resumeToken: second.token, methods: ["z"] });
  t.deepEqual([serving(a), serving(b)], [[], ["z"]]);
  await b.held.end(third.connection, "quit");
  t.deepEqual(serving(b), []);
});

test("closing ends every stream, and the connections can be resumed elsewhere", async (t) => {
  const { a, b } = new ConnectionNetwork();
  const [away, there] = [await a.openAndLeave(), await a.open()];
  const taken = a.held.whenTaken(1);
  await b.resume(away.token);
  await taken;
  a.held.close("shutting down");
  t.is(there.link.fault?.code, "UNAVAILABLE");
  t.is(a.held.size, 0);
  const { connection } = await b.resume(there.token);
  t.is(connection.id, there.connection.id);
  await b.held.whenTaken(0);
});

test("whatever crosses what: one node at most holds a connection, one resume wins, and what has ended is gone", async (t) => {
  const turns = fc.array(fc.nat({ max: 4 }), { minLength: 3, maxLength: 12 });
  const starts = fc.array(fc.nat({ max: 12 }), { minLength: 8, maxLength: 8 });
  const run = async (pace: readonly number[][], start: readonly number[], isMoved: boolean): Promise<void> => {
    const network = new ConnectionNetwork();
    const { a, b, c, directory } = network;
    const old = await a.openAndLeave();
    const { id } = old.connection;
    // Where it has moved while the nodes did not reach each other, an old copy is left behind.
    a.isLinked = false;
    const [holder, current] = isMoved ? [b, await b.resume(old.token)] : [a, old];
    a.isLinked = true;
    network.nodes.forEach((node, index) => {
      const own = pace[index] ?? [];
      node.directory.latency = latencyOf(own);
      node.latency = latencyOf(own.toReversed());
    });
    const begin = async <T>(index: number, what: () => Promise<T>): Promise<T | undefined> => {
      await turnsOfLoop(start[index] ?? 0);
      return what().catch(() => undefined);
    };
    let hasEnded = false;
    const end = async () => {
      hasEnded = holder.held.isHeld(current.connection);
      await holder.held.end(current.connection, "quit");
    };
    const resumed = Promise.all([a, a, b, c].map((node, index) => begin(index, () => node.resume(current.token))));
    await Promise.all([
      begin(4, end),
      ...["set", "sendMessage", "set"].map((operation, index) =>
        begin(5 + index, () => holder.operate(current.connection, operation, "k", index)),
      ),
    ]);
    const winners = (await resumed).filter((outcome) => outcome !== undefined);
    await settled();
    t.true(winners.length <= 1, "more than one resume won");
    const held = (node: ConnectionNode) => node.held.get(id);
    const holders = network.nodes.filter((node) => held(node) && !(isMoved && held(node) === old.connection));
    t.true(holders.length <= 1, "more than one node holds it");
    const [winner] = winners;
    if (hasEnded) {
      t.is(holders.length, 0);
      // It may have been resumed before it ended, and then its client was told.
      if (winner) t.true(winner.connection === current.connection && winner.link.isClosed);
      for (const node of network.nodes) await faultOf(node.resume(winner?.token ?? current.token));
    } else if (winner) {
      t.is(holders[0]?.name, directory.record(id)?.holder.nodeId);
      t.is(holders[0]?.held.get(id), winner.connection);
      for (const node of network.nodes) t.is(await codeOf(node.resume(current.token)), "UNAUTHENTICATED");
      t.is((await c.resume(winner.token)).connection.id, id);
    }
  };
  await fc.assert(fc.asyncProperty(fc.tuple(turns, turns, turns), starts, fc.boolean(), run), { numRuns: 300 });
});
