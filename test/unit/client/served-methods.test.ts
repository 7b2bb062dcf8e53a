import test from "ava";
import { Fault } from "../../../src/base/fault.ts";
import { payloadOf } from "../../../src/base/json-payload.ts";
import type { Envelope } from "../../../src/mesh/envelope.ts";
import { METHOD } from "../../../src/mesh/method.ts";
import { runMethodRequest, runMethodResponse } from "../../../src/rpc/rpc-codec.ts";
import { eventually } from "../../support/eventually.ts";
import { registeredName, startConnections } from "./connection-server.ts";

const stopping = new Fault("UNAVAILABLE", "the coordinator stops");

function runMethod(id: number, method: string): Envelope {
  const encoded = { method, args: [], caller: "n", connectionId: "", slotPlusOne: 0 };
  return {
    kind: "request",
    id,
    timeoutMs: 1000,
    depth: 0,
    method: METHOD.RUN_METHOD,
    body: runMethodRequest.encode(encoded),
  };
}

/** What a client's method returned, or the code of what it failed with. */
function outcomeOf(envelope: Envelope | undefined): unknown {
  if (envelope?.kind === "fault") return envelope.code;
  if (envelope?.kind !== "response") return undefined;
  return Buffer.from(runMethodResponse.decode(envelope.result).result);
}

test("a method is served from the moment it is asked for: a call may come with the answer", async (t) => {
  const { client, sessions } = await startConnections(t, (request, session) => {
    if (request.method !== METHOD.REGISTER_METHOD) return undefined;
    return [session.answer(request), runMethod(1, registeredName(request))];
  });
  await using connection = await client.open();
  await connection.registerMethod("where", () => "here");
  await eventually(() => sessions[0]?.answers.length, { what: "the method's answer" });
  t.deepEqual(outcomeOf(sessions[0]?.answers[0]), payloadOf("here"));
});

test("a method that is refused leaves what was served before, and is not asked for anew with a resumed link", async (t) => {
  const { client, sessions } = await startConnections(t, (request) =>
    request.method === METHOD.REGISTER_METHOD
      ? [{ kind: "fault", id: request.id, code: "METHOD_EXISTS", message: "it exists" }]
      : undefined,
  );
  await using connection = await client.open({ methods: { where: () => "here" } });
  for (const method of ["where", "other"]) {
    const fault = await t.throwsAsync(
      connection.registerMethod(method, () => "there"),
      { instanceOf: Fault },
    );
    t.is(fault.code, "METHOD_EXISTS");
  }
  sessions[0]?.send(runMethod(1, "where"), runMethod(2, "other"));
  await eventually(() => sessions[0]?.answers.length === 2, { what: "two answers" });
  const outcomes = new Map(sessions[0]?.answers.map((answer) => ["id" in answer ? answer.id : 0, outcomeOf(answer)]));
  t.deepEqual(outcomes.get(1), payloadOf("here"));
  t.is(outcomes.get(2), "UNKNOWN_METHOD");
  sessions[0]?.close(stopping);
  await eventually(() => sessions[1]?.opened[0], { what: "an attempt to resume it" });
  t.deepEqual(sessions[1]?.opened[0]?.methods, ["where"]);
});

test("a registration that its link's end leaves open is not part of the resumed connection", async (t) => {
  const { client, sessions } = await startConnections(t, (request, session) => {
    if (request.method !== METHOD.REGISTER_METHOD) return undefined;
    session.close(stopping);
    return [];
  });
  await using connection = await client.open();
  const fault = await t.throwsAsync(
    connection.registerMethod("where", () => "here"),
    { instanceOf: Fault },
  );
  t.is(fault.code, "INDETERMINATE");
  await eventually(() => sessions[1]?.opened[0], { what: "an attempt to resume it" });
  t.deepEqual(sessions[1]?.opened[0]?.methods, []);
});
