import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Of the subnets 10.214.n.0/24, which are for no public use. */
const SUBNETS = 256;
const PREFIX = 24;

/** What makes a pod a place of its own: its network, and its view of the names. */
export interface PodPlace extends AsyncDisposable {
  readonly address: string;
  /** Runs a command there: comes before the command. The command ends with this process. */
  readonly launcher: readonly [string, ...string[]];
}

/**
 * A network in which every pod has an address of its own, and which this process reaches, too. A name leads to whatever address was last given to it, by a
 * file of hosts in place of DNS. All of it ends with this process, however that ends. Needs root.
 */
export class PodNetwork implements AsyncDisposable {
  readonly #switch: ChildProcess;
  readonly #subnet: string;
  readonly #hostsFile: string;
  readonly #addresses = new Map<string, string>();
  #given = 1;

  private constructor(holder: ChildProcess, subnet: number, hostsFile: string) {
    this.#switch = holder;
    this.#subnet = `10.214.${subnet}`;
    this.#hostsFile = hostsFile;
  }

  /** `hostsFile`: is made. */
  static async create(hostsFile: string): Promise<PodNetwork> {
    await writeFile(hostsFile, "127.0.0.1 localhost\n");
    const holder = await holdNamespaces(["--net"], "true");
    const inside = enter(holder, ["net"]);
    await runIn(inside, "ip link add pods type bridge && ip link set pods up");
    const subnet = await plugIn(holder);
    const network = new PodNetwork(holder, subnet, hostsFile);
    const cable = cableOf(subnet);
    await run("ip", ["address", "add", `${network.#subnet}.1/${PREFIX}`, "dev", cable]);
    await run("ip", ["link", "set", cable, "up"]);
    await runIn(inside, "ip link set outside master pods && ip link set outside up");
    return network;
  }

  /** A place with an address that no other had, which from now on is that of `name`. */
  async place(name: string): Promise<PodPlace> {
    const address = `${this.#subnet}.${++this.#given}`;
    const cable = `pod${this.#given}`;
    const holder = await holdNamespaces(["--net", "--mount"], `mount --bind '${this.#hostsFile}' /etc/hosts`);
    const inside = enter(holder, ["net", "mnt"]);
    const plug = `ip link add ${cable} type veth peer name eth0 netns ${holder.pid}`;
    await runIn(enter(this.#switch, ["net"]), `${plug} && ip link set ${cable} master pods && ip link set ${cable} up`);
    await runIn(inside, `ip link set lo up && ip address add ${address}/${PREFIX} dev eth0 && ip link set eth0 up`);
    this.#addresses.set(name, address);
    const lines = [...this.#addresses].map(([known, at]) => `${at} ${known}\n`);
    // In its place, since the pods hold on to the file itself.
    await writeFile(this.#hostsFile, `127.0.0.1 localhost\n${lines.join("")}`);
    return { address, launcher: inside, [Symbol.asyncDispose]: () => letGo(holder) };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return letGo(this.#switch);
  }
}

function cableOf(subnet: number): string {
  return `pods${subnet}`;
}

/** Ties the network to ours by a cable with the number of a subnet, which nobody else can take as long as the cable is there. Resolves with that number. */
async function plugIn({ pid = 0 }: ChildProcess): Promise<number> {
  for (let tried = 0; tried < SUBNETS; tried++) {
    const subnet = (pid + tried) % SUBNETS;
    const link = ["link", "add", cableOf(subnet), "type", "veth", "peer", "name", "outside", "netns", String(pid)];
    const isTaken = await run("ip", link).then(
      () => false,
      (error: Error) => {
        if (error.message.includes("File exists")) return true;
        throw error;
      },
    );
    if (!isTaken) return subnet;
  }
  throw new Error("no subnet is left");
}

/** Namespaces that live as long as a process which ends when its stdin does, so with us at the latest. */
async function holdNamespaces(kinds: readonly string[], prepare: string): Promise<ChildProcess> {
  const holder = spawn("unshare", [...kinds, "sh", "-c", `${prepare} && echo ready && exec cat > /dev/null`], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const first = await Promise.race([once(holder.stdout, "data"), once(holder, "exit")]);
  if (String(first[0]).trim() !== "ready") throw new Error("no namespace: this test needs root");
  return holder;
}

async function letGo(holder: ChildProcess): Promise<void> {
  const ended = once(holder, "exit");
  holder.stdin?.end();
  await ended;
}

function enter(holder: ChildProcess, kinds: readonly string[]): readonly [string, ...string[]] {
  const namespaces = kinds.map((kind) => `--${kind === "mnt" ? "mount" : kind}=/proc/${holder.pid}/ns/${kind}`);
  return ["setpriv", "--pdeathsig", "KILL", "nsenter", ...namespaces];
}

async function runIn([program, ...args]: readonly [string, ...string[]], script: string): Promise<void> {
  await run(program, [...args, "sh", "-c", script]);
}
