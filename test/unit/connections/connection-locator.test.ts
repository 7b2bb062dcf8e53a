import test from "ava";
import { NEVER_ABORTED } from "../../../src/base/call-context.ts";
import { deadlineIn } from "../../../src/base/deadline.ts";
import { Fault } from "../../../src/base/fault.ts";
import type { Holder } from "../../../src/connections/connection-directory.ts";
import { ConnectionLocator } from "../../../src/connections/connection-locator.ts";
import { connectionDetails } from "../../../src/connections/session-codec.ts";
import { faultOf } from "../../support/fault-of.ts";

const ID = "0123456789abcdef".repeat(2);
const OWN = "fedcba9876543210".repeat(2);
const A: Holder = { nodeId: "a", runId: "1" };
const B: Holder = { nodeId: "b", runId: "2" };

/** A directory that has every connection at one holder, and counts how often it is asked. */
function directoryAt(holder: Holder | undefined, isLeased = true) {
  const directory = {
    holder,
    isLeased,
    asked: 0,
    async find() {
      directory.asked++;
      const details = connectionDetails.decode(new Uint8Array());
      return directory.holder && { record: { holder: directory.holder, tokenHash: "", details }, isLeased };
    },
  };
  return directory;
}

function context(timeoutMs = 1000) {
  return { deadline: deadlineIn(timeoutMs), signal: NEVER_ABORTED, depth: 0 };
}

async function nodeOf(holder: Holder | "here"): Promise<string> {
  return holder === "here" ? "here" : holder.nodeId;
}

test("the directory is asked once for a connection, and not at all for one that is held here", async (t) => {
  const directory = directoryAt(A);
  const locator = new ConnectionLocator({ directory, isHeldHere: (id) => id === OWN, isLeaving: () => false });
  t.is(await locator.atHolder(OWN, context(), nodeOf), "here");
  for (let i = 0; i < 3; i++) t.is(await locator.atHolder(ID, context(), nodeOf), "a");
  t.is(directory.asked, 1);
});

test("a connection that has moved is found again, by whatever the former holder fails with", async (t) => {
  for (const code of ["UNKNOWN_CONNECTION", "UNAVAILABLE"] as const) {
    const directory = directoryAt(A);
    const locator = new ConnectionLocator({ directory, isHeldHere: () => false, isLeaving: () => false });
    await locator.atHolder(ID, context(), nodeOf);
    directory.holder = B;
    const attempt = async (holder: Holder | "here") => {
      if (holder !== "here" && holder.nodeId === "a") throw new Fault(code, "gone");
      return nodeOf(holder);
    };
    t.is(await locator.atHolder(ID, context(), attempt), "b");
    t.is(await locator.atHolder(ID, context(), attempt), "b");
    t.is(directory.asked, 2);
  }
});

test("a holder that fails and still is the holder is not asked twice, and any other fault is the call's", async (t) => {
  const locator = new ConnectionLocator({ directory: directoryAt(A), isHeldHere: () => false, isLeaving: () => false });
  await locator.atHolder(ID, context(), nodeOf);
  let attempts = 0;
  for (const code of ["UNAVAILABLE", "INDETERMINATE", "METHOD_FAILED"] as const) {
    const failing = async () => {
      attempts++;
      throw new Fault(code, "no");
    };
    t.is((await faultOf(locator.atHolder(ID, context(), failing))).code, code);
  }
  t.is(attempts, 3);
});

test("a connection without a lease is unknown, and a directory that does not answer costs the deadline and no more", async (t) => {
  for (const directory of [directoryAt(undefined), directoryAt(A, false)]) {
    const locator = new ConnectionLocator({ directory, isHeldHere: () => false, isLeaving: () => false });
    t.is((await faultOf(locator.atHolder(ID, context(), nodeOf))).code, "UNKNOWN_CONNECTION");
  }
  const silent = { find: () => new Promise<never>(() => undefined) };
  const locator = new ConnectionLocator({ directory: silent, isHeldHere: () => false, isLeaving: () => false });
  t.is((await faultOf(locator.atHolder(ID, context(20), nodeOf))).code, "DEADLINE_EXCEEDED");
});

test("a connection whose holder stops, or has let it go and is still named, is looked for until another one has it", async (t) => {
  for (const code of ["UNAVAILABLE", "UNKNOWN_CONNECTION"] as const) {
    const directory = directoryAt(A);
    const locator = new ConnectionLocator({
      directory,
      isHeldHere: () => false,
      isLeaving: (nodeId) => code === "UNAVAILABLE" && nodeId === "a",
    });
    let attempts = 0;
    const attempt = async (holder: Holder | "here") => {
      if (++attempts === 4) directory.holder = B;
      if (holder !== "here" && holder.nodeId === "a") throw new Fault(code, "gone");
      return nodeOf(holder);
    };
    t.is(await locator.atHolder(ID, context(10_000), attempt), "b");
    t.is(attempts, 5);
    directory.holder = A;
    t.is(
      (await faultOf(locator.atHolder(ID, context(100), async () => Promise.reject(new Fault(code, "gone"))))).code,
      code,
    );
  }
});
