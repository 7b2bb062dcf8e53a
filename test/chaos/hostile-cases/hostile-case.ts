import type { FaultCode } from "../../../src/base/fault.ts";
import type { Reply } from "../../../src/client/reply.ts";

/** How a call, or the load before it, may end. */
export type Ending = FaultCode | "OK";

/** One attack of a library. */
export interface HostileCase {
  /** Says what is attacked, and by what. */
  readonly name: string;
  /** The library below its header. */
  readonly text: string;
  readonly config?: Readonly<Record<string, number>>;
  /** `load`: the attack is the load itself, and nothing is called. Otherwise `f` is called so many times at once. */
  readonly called: "load" | number;
  /** Whether `f` is an RPC method. */
  readonly isMethod?: boolean;
  /** What its caller may get, and nothing else. */
  readonly gets: readonly Ending[];
  /** What an OK answer is. */
  readonly value?: Reply;
  /** It ends the sandbox process's connection to its Redis, which costs others one clear error as well. */
  readonly costsConnection?: boolean;
}

/** A case whose async function `f` has `body`; it sees `client`, and `r` and `w` are remote functions that read and write. */
export function attack(
  name: string,
  body: string,
  gets: readonly Ending[],
  more: Partial<Pick<HostileCase, "called" | "value" | "costsConnection">> & { readonly topLevel?: string } = {},
): HostileCase {
  const { topLevel = "", ...rest } = more;
  const text = `${topLevel}
redis.register_remote_function("r", async (client, value) => value);
redis.register_remote_function("w", async (client, key) => client.block((c) => c.call("set", key, "written")));
redis.register_async_function("f", async (client) => {
  ${body}
});`;
  return { name, text, called: 1, gets, ...rest };
}

/** A case whose RPC method `f` has `body`; it sees `client` and `args`. */
export function attackByMethod(
  name: string,
  body: string,
  gets: readonly Ending[],
  more: Partial<Pick<HostileCase, "called" | "value">> = {},
): HostileCase {
  const text = `redis.register_rpc_method("f", async (client, ...args) => {\n  ${body}\n});`;
  return { name, text, called: 1, isMethod: true, gets, ...more };
}

/** A case whose top level is the attack. */
export function attackAtLoad(
  name: string,
  topLevel: string,
  gets: readonly Ending[] = ["LIBRARY_REFUSED"],
): HostileCase {
  return { name, text: `redis.register_function("f", () => 1);\n${topLevel}`, called: "load", gets };
}

/** What is tampered with at the top level must not change what an honest function answers. */
export function tampering(
  name: string,
  topLevel: string,
  gets: readonly Ending[] = ["OK"],
  value: Reply = "honest",
): HostileCase {
  const body = `return client.block((c) => c.call("echo", "honest"));`;
  return attack(name, body, gets, { topLevel, value });
}

/** A search for a way out: `f` answers with what it found. */
export function escapeAttempt(name: string, body: string, topLevel = ""): HostileCase {
  return attack(name, `const found = [];\n  ${body}\n  return found.join();`, ["OK"], { topLevel, value: "" });
}
