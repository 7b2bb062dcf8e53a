/**
 * A coordinator as `gearmesh serve` runs it, but that collects its garbage at SIGUSR2: what its heap holds then is in use. Only tests start it.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");
process.on("SIGUSR2", () => collect());
process.argv.push("serve");
await import("../../src/cli/main.ts");
