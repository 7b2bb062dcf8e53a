import test from "ava";
import { Fault } from "../../../src/base/fault.ts";
import { METHOD } from "../../../src/mesh/method.ts";
import { eventually } from "../../support/eventually.ts";
import { type Script, type Session, startConnections } from "./connection-server.ts";

const stopping = new Fault("UNAVAILABLE", "the coordinator stops");

/** Holds the answer to each attempt to resume back until the test sends it. */
function heldBack(): { readonly script: Script; readonly answers: (() => void)[] } {
  const answers: (() => void)[] = [];
  const script: Script = (request, session) => {
    if (session.index === 0 || request.method !== METHOD.OPEN_CONNECTION) return undefined;
    answers.push(() => session.send(session.answer(request)));
    return [];
  };
  return { script, answers };
}

test("a connection that is quit while it is being resumed is quit on its new link, and quit waits for that", async (t) => {
  const { script, answers } = heldBack();
  const { client, sessions } = await startConnections(t, script);
  const resumed: unknown[] = [];
  const connection = await client.open({ onResumed: (details) => resumed.push(details) });
  sessions[0]?.close(stopping);
  await eventually(() => answers.length === 1, { what: "an attempt to resume it" });
  const quit = connection.quit();
  answers[0]?.();
  await quit;
  t.deepEqual(sessions[1]?.verbs, ["quit"]);
  t.false(connection.isLinked);
  await eventually(() => sessions[1]?.isOver, { what: "the end of the new link" });
  t.is(sessions.length, 2);
  t.deepEqual(resumed, []);
});

test("one that is abandoned then is left open, without a link here, and with a resume point that is valid", async (t) => {
  const { script, answers } = heldBack();
  const { client, sessions } = await startConnections(t, script);
  const connection = await client.open();
  sessions[0]?.close(stopping);
  await eventually(() => answers.length === 1, { what: "an attempt to resume it" });
  connection.abandon();
  answers[0]?.();
  await eventually(() => sessions[1]?.isOver, { what: "the end of the new link" });
  t.deepEqual(sessions[1]?.verbs, []);
  t.false(connection.isLinked);
  t.is(connection.resumePoint.token, "token 1");
});

test("quit ends the attempts to resume it", async (t) => {
  const refused = new Fault("UNAVAILABLE", "not now");
  const { client, sessions } = await startConnections(t, (_request, session) => {
    if (session.index === 0) return undefined;
    session.close(refused);
    return [];
  });
  const closed: Fault[] = [];
  const connection = await client.open({ onClosed: (fault) => closed.push(fault) });
  sessions[0]?.close(stopping);
  await eventually(() => sessions.length > 2, { what: "attempts" });
  await connection.quit();
  const attempts = sessions.length;
  await client.open().catch(() => undefined);
  t.is(sessions.length, attempts + 1);
  t.deepEqual(closed, []);
});

/** A connection that notes what becomes of it, and what `end` does to its link. */
const endings: readonly {
  readonly how: string;
  readonly end: (session: Session | undefined) => void;
  readonly happens: readonly string[];
}[] = [
  {
    how: "is destroyed or resumed elsewhere, as the coordinator's CANCELLED says, is over",
    end: (session) => session?.close(new Fault("CANCELLED", "the connection was destroyed")),
    happens: ["closed CANCELLED the connection was destroyed"],
  },
  {
    how: "loses its link to a coordinator that stops is resumed",
    end: (session) => session?.close(stopping),
    happens: ["lost UNAVAILABLE", "resumed"],
  },
  {
    how: "loses its link by gRPC's own CANCELLED is resumed",
    end: (session) => session?.cutOff(),
    happens: ["lost UNAVAILABLE", "resumed"],
  },
];

for (const { how, end, happens } of endings) {
  test(`a connection that ${how}`, async (t) => {
    const happened: string[] = [];
    const { client, sessions } = await startConnections(t);
    await using connection = await client.open({
      onLost: ({ code }) => happened.push(`lost ${code}`),
      onResumed: () => happened.push("resumed"),
      onClosed: ({ code, message: text }) => happened.push(`closed ${code} ${text}`),
    });
    end(sessions[0]);
    await eventually(() => happened.length >= happens.length, { what: happens.join(", ") });
    t.deepEqual(happened, happens);
    t.is(connection.isLinked, happens.includes("resumed"));
    t.is(sessions.length, happens.length);
  });
}

test("a connection that is destroyed before the answer to its resume is over, for the reason that its stream gave", async (t) => {
  const { client, sessions } = await startConnections(t, (_request, session) => {
    if (session.index === 0) return undefined;
    session.close(new Fault("CANCELLED", "the connection was destroyed"));
    return [];
  });
  const closed = Promise.withResolvers<Fault>();
  await using _connection = await client.open({ onClosed: closed.resolve });
  sessions[0]?.close(stopping);
  t.like(await closed.promise, { code: "CANCELLED", message: "the connection was destroyed" });
  t.is(sessions.length, 2);
});

test("a client that is closed gives up what it was resuming", async (t) => {
  const { client, sessions } = await startConnections(t);
  const closed = Promise.withResolvers<Fault>();
  await using _connection = await client.open({ onLost: () => client.close(), onClosed: closed.resolve });
  sessions[0]?.close(stopping);
  t.is((await closed.promise).code, "CANCELLED");
});

test("the signal that opening was given does not end a resumed connection", async (t) => {
  const { client, sessions } = await startConnections(t);
  const abort = new AbortController();
  await using connection = await client.open({ signal: abort.signal });
  abort.abort();
  sessions[0]?.close(stopping);
  await eventually(() => sessions.length > 1 && connection.isLinked, { what: "the connection again" });
  t.is(sessions.length, 2);
});
