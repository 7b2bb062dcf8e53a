import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readlink } from "node:fs/promises";
import { promisify } from "node:util";
import type { RedisNetwork } from "../../src/dev/redis-process.ts";
import { eventually } from "./eventually.ts";

const run = promisify(execFile);

/** Two addresses each, of a range that is for no public use. */
const SUBNETS = 1 << 14;

/**
 * A network of its own for some processes, tied to ours by one cable, which can be cut. It lives as long as a process that ends with us, so nothing is left
 * however we end. Needs root.
 */
export class NetworkNamespace implements AsyncDisposable {
  /** For what runs in it. */
  readonly inside: RedisNetwork;
  /** For what runs outside and is to be reached from inside. */
  readonly outside: RedisNetwork;
  readonly #holder: ChildProcess;
  readonly #enter: readonly [string, ...string[]];

  private constructor(holder: ChildProcess, subnet: number) {
    const base = (10 << 24) + (213 << 16) + subnet * 4;
    const address = (offset: number) => [24, 16, 8, 0].map((shift) => ((base + offset) >>> shift) & 0xff).join(".");
    this.#holder = holder;
    this.#enter = ["nsenter", `--net=/proc/${holder.pid}/ns/net`];
    this.outside = { host: address(1) };
    this.inside = { host: address(2), launcher: this.#enter };
  }

  static async create(): Promise<NetworkNamespace> {
    const holder = spawn("unshare", ["--net", "cat"], { stdio: ["pipe", "ignore", "inherit"] });
    await once(holder, "spawn");
    const own = await readlink("/proc/self/ns/net");
    await eventually(async () => (await readlink(`/proc/${holder.pid}/ns/net`)) !== own, { what: "its own network" });
    const subnet = (holder.pid ?? 0) % SUBNETS;
    const namespace = new NetworkNamespace(holder, subnet);
    const name = `gearmesh${subnet}`;
    await run("ip", ["link", "add", name, "type", "veth", "peer", "name", "cable", "netns", String(holder.pid)]);
    await run("ip", ["address", "add", `${namespace.outside.host}/30`, "dev", name]);
    await run("ip", ["link", "set", name, "up"]);
    await namespace.#inside("ip", "address", "add", `${namespace.inside.host}/30`, "dev", "cable");
    await namespace.#inside("ip", "link", "set", "lo", "up");
    await namespace.mend();
    return namespace;
  }

  /** From now on nothing gets in or out. Connections stay open and say nothing. */
  cut(): Promise<void> {
    return this.#inside("ip", "link", "set", "cable", "down");
  }

  mend(): Promise<void> {
    return this.#inside("ip", "link", "set", "cable", "up");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#holder, "exit");
    this.#holder.stdin?.end();
    await ended;
  }

  async #inside(...command: string[]): Promise<void> {
    const [program, ...args] = this.#enter;
    await run(program, [...args, ...command]);
  }
}
