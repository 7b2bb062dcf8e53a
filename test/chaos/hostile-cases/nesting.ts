import type { Ending, HostileCase } from "./hostile-case.ts";
import { KILLS } from "./memory.ts";

const CALLS = 24;

/** Of calls that begin while others of the same library wait for Redis, each of which then does what `body` says. */
function nesting(name: string, body: string, gets: readonly Ending[], isAsync = false): HostileCase {
  const text = `
redis.register_remote_function("r", async (client, value) => value);
let kept;
${isAsync ? "redis.register_async_function" : "redis.register_function"}("f", ${isAsync ? "async " : ""}(client) => {
  ${body}
}, ["no-writes"]);`;
  return { name: `nesting: ${name}`, text, config: { isolates: 4 }, called: CALLS, gets };
}

const ENDED: readonly Ending[] = ["FUNCTION_TIMEOUT", "DEADLINE_EXCEEDED"];

/** Attacks that begin in the midst of one another, in several isolates of one library. */
export const NESTING_CASES: readonly HostileCase[] = [
  nesting("loops in the midst of calls that wait", 'client.call("ping"); while (true);', ENDED),
  nesting("commands without end", 'for (;;) client.call("ping");', ENDED),
  nesting(
    "commands at the end of every stack",
    'const dive = () => { try { dive(); } catch { client.call("ping"); } }; dive();',
    [...ENDED, "OK", "FUNCTION_FAILED"],
  ),
  nesting(
    "memory in every isolate",
    'client.call("ping"); const all = []; for (;;) all.push(new Array(1e4).fill(1));',
    [...ENDED, ...KILLS, "RESOURCE_EXHAUSTED", "UNAVAILABLE"],
  ),
  nesting("what V8 cannot interrupt", 'client.call("ping"); return (7n ** (1n << 23n)).toString().length;', [
    ...KILLS,
    "DEADLINE_EXCEEDED",
    "UNAVAILABLE",
  ]),
  nesting(
    "arguments that call Redis themselves",
    'return client.call("echo", { toString() { return client.call("echo", { toString() { throw client; } }); } });',
    ["FUNCTION_FAILED"],
  ),
  nesting("large replies on top of one another", 'for (let i = 0; i < 20; i++) client.call("command");', [
    ...ENDED,
    "OK",
  ]),
  nesting(
    "the client of a call that waits",
    'kept ??= client; try { kept.call("ping"); } catch { client.call("ping"); } return 1;',
    ["OK"],
  ),
  nesting(
    "blocks between remote calls without end",
    'for (;;) { client.block((c) => c.call("ping")); await client.run_on_key("k", "r", "v"); }',
    [...ENDED, "RESOURCE_EXHAUSTED"],
    true,
  ),
];
