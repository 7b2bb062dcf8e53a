import test from "ava";
import {
  ConnectionNetwork,
  type ConnectionNode,
  contextOf,
  LEASE_MS,
  settled,
} from "../../support/connection-network.ts";
import { faultOf } from "../../support/fault-of.ts";

/** More than are renewed at once. */
const MANY = 600;

function openMany(node: ConnectionNode) {
  return Promise.all(Array.from({ length: MANY }, () => node.openAndLeave()));
}

test("however many connections are held, all are renewed, and their records outlive the lease", async (t) => {
  const network = new ConnectionNetwork();
  const { a, b, directory } = network;
  const opened = await openMany(a);
  a.leases.start();
  for (let i = 0; i < 4; i++) await network.renewals();
  t.is(a.directory.asked.renew, 4 * MANY);
  for (const { connection } of opened) t.true(directory.find(connection.id)?.isLeased);
  a.leases.stop();
  await network.renewals();
  t.is(a.directory.asked.renew, 4 * MANY);
  network.clock.advance(LEASE_MS);
  for (const { connection } of opened) t.false(directory.find(connection.id)?.isLeased);
  t.is(
    (await faultOf(b.locator.atHolder(opened[0]?.connection.id ?? "", contextOf(), async () => "")))?.code,
    "UNKNOWN_CONNECTION",
  );
});

test("a renewal that lasts longer than its period is not begun twice", async (t) => {
  const network = new ConnectionNetwork();
  const { a } = network;
  await openMany(a);
  a.leases.start();
  const renew = a.directory.stop("renew", "answer");
  await network.renewals();
  await network.renewals();
  const begun = a.directory.asked.renew ?? 0;
  t.true(begun > 0 && begun < MANY, String(begun));
  renew.release();
  await settled();
  t.is(a.directory.asked.renew, MANY);
});

test("a record that Redis has lost is written anew, so that the connection can be found and resumed", async (t) => {
  const network = new ConnectionNetwork();
  const { a, b, directory } = network;
  const { connection, token } = await a.openAndLeave();
  await a.operate(connection, "set", "auth", true);
  const record = directory.record(connection.id);
  a.leases.start();
  directory.lose(connection.id);
  await network.renewals();
  t.deepEqual(directory.record(connection.id), record);
  t.is((await b.resume(token)).connection.id, connection.id);
});

test("a record that is written anew is not that of a connection which has ended meanwhile", async (t) => {
  const network = new ConnectionNetwork();
  const { a, directory } = network;
  const { connection } = await a.openAndLeave();
  a.leases.start();
  directory.lose(connection.id);
  const renew = a.directory.stop("renew", "answer");
  await network.renewals();
  const ended = a.held.end(connection, "quit");
  renew.release();
  await ended;
  await settled();
  t.is(directory.record(connection.id), undefined);
});

test("a connection that another node has is let go, with its stream and what waits for its turn", async (t) => {
  const network = new ConnectionNetwork();
  const { a, b } = network;
  const { connection, token, link } = await a.open();
  a.leases.start();
  a.isLinked = false;
  await b.resume(token);
  t.deepEqual(network.holdersOf(connection.id), ["a", "b"]);
  await network.renewals();
  t.deepEqual(network.holdersOf(connection.id), ["b"]);
  t.is(link.fault?.code, "CANCELLED");
  t.deepEqual(a.observed, ["new", "taken-over"]);
  t.is((await faultOf(a.operate(connection, "sendMessage", 1))).code, "UNKNOWN_CONNECTION");
});

test("connections are kept while Redis is away, and renewed once it is back", async (t) => {
  const network = new ConnectionNetwork();
  const { a, directory } = network;
  const { connection } = await a.openAndLeave();
  a.leases.start();
  a.directory.refused.set("renew", "UNAVAILABLE");
  for (let i = 0; i < 4; i++) await network.renewals();
  t.true(a.held.isHeld(connection));
  t.false(directory.find(connection.id)?.isLeased);
  a.directory.refused.clear();
  await network.renewals();
  t.true(directory.find(connection.id)?.isLeased);
});

test("a connection that came while rooms could not be reached enters them later, and once", async (t) => {
  const network = new ConnectionNetwork();
  const { a, b } = network;
  const first = await a.openAndLeave();
  await a.operate(first.connection, "joinRoom", "lobby");
  b.leases.start();
  b.rooms.isAway = true;
  const { connection } = await b.resume(first.token);
  t.deepEqual([...connection.rooms], ["lobby"]);
  await network.renewals();
  t.deepEqual(b.rooms.asked, []);
  b.rooms.isAway = false;
  for (let i = 0; i < 3; i++) await network.renewals();
  t.deepEqual(b.rooms.asked, [`adopt ${connection.id} lobby`]);
});

test("a client waits for its rooms within a bound, and they follow", async (t) => {
  const { a, b, clock } = new ConnectionNetwork();
  const first = await a.openAndLeave();
  await a.operate(first.connection, "joinRoom", "lobby");
  const reached = Promise.withResolvers<void>();
  b.rooms.delay = reached.promise;
  let isResumed = false;
  const resumed = b.resume(first.token).then(({ connection }) => {
    isResumed = true;
    return connection;
  });
  await settled();
  t.false(isResumed);
  clock.advance(500);
  const { id } = await resumed;
  t.deepEqual(b.rooms.asked, []);
  reached.resolve();
  await settled();
  t.deepEqual(b.rooms.asked, [`adopt ${id} lobby`]);
});

test("a connection that moves on before its turn to enter its rooms came does not enter them", async (t) => {
  const network = new ConnectionNetwork();
  const { a, b, c } = network;
  const first = await a.openAndLeave();
  await a.operate(first.connection, "joinRoom", "lobby");
  b.leases.start();
  b.rooms.isAway = true;
  const second = await b.resume(first.token);
  b.rooms.isAway = false;
  const put = b.directory.stop("put", "answer");
  const set = b.operate(second.connection, "set", "k", 1);
  await put.reached;
  await network.renewals();
  await c.resume(second.token);
  put.release();
  await set;
  await settled();
  t.deepEqual(b.rooms.asked, []);
  t.deepEqual(c.rooms.asked, [`adopt ${first.connection.id} lobby`]);
});

test("no renewal waits for rooms that do not answer", async (t) => {
  const network = new ConnectionNetwork();
  const { a, b, directory } = network;
  const first = await a.openAndLeave();
  b.leases.start();
  b.rooms.isAway = true;
  const { connection } = await b.resume(first.token);
  const never = Promise.withResolvers<void>();
  b.rooms.delay = never.promise;
  for (let i = 0; i < 6; i++) await network.renewals();
  t.true(directory.find(connection.id)?.isLeased);
});
