/** Stands for a coordinator: starts a sandbox whose function never pauses, says the process's id, and lives until it is killed. */
import { startSandbox } from "./local-sandbox.ts";

const sandbox = await startSandbox({ runTimeoutMs: 60_000 });
// The test kills this process, which could not end its Redis then.
await sandbox.redis[Symbol.asyncDispose]();
const hash = await sandbox.load('#!js name=busy\nredis.register_function("f", () => { while (true); });');
void sandbox.call(hash, "f", []).catch(() => undefined);
process.stdout.write(`${sandbox.supervisor.pid}\n`);
setInterval(() => undefined, 60_000);
