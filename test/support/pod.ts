import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Daemon } from "../../src/dev/daemon.ts";
import type { Reaper } from "../../src/dev/reaper.ts";
import { isHttpOk, isOpen } from "./kubelet-probe.ts";
import {
  type Container,
  environmentOf,
  type Manifest,
  manifestsOf,
  type PodTemplate,
  portNumber,
} from "./manifests.ts";
import type { PodNetwork, PodPlace } from "./pod-network.ts";

const run = promisify(execFile);

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
/** Longest that a command in a container, or a container that ends, may take. Unit: ms. */
const EXEC_MS = 180_000;
/** What containers have to themselves: each pod gets them in a directory of its own. */
const OWN_PATHS = /\/etc\/redis|\/etc\/gearmesh|\/run\/redis|(?<=[\s"'])\/data(?=\s|$)/g;

export interface PodParts {
  readonly name: string;
  readonly namespace: string;
  /** The names under which others look for it, without its own. */
  readonly domain: string;
  readonly template: PodTemplate;
  /** Its ConfigMaps and Secrets are looked up among them. */
  readonly manifests: readonly Manifest[];
  /** Stands for its volumes and what is left of its containers; stays from one life of the pod to the next. */
  readonly directory: string;
  readonly network: PodNetwork;
  readonly reaper: Reaper;
}

/**
 * Runs the containers of a pod template as processes, as the kubelet would: their environment, volumes, hooks and order, each pod with an address of its own that changes
 * when it is made anew. The images stand for what the machine has: Redis, and this checkout. What only a container runtime can do is not there: users, limits, file
 * systems that are read only.
 */
export class Pod implements AsyncDisposable {
  readonly parts: PodParts;
  readonly address: string;
  readonly #place: PodPlace;
  readonly #daemons = new Map<string, Daemon>();

  private constructor(parts: PodParts, place: PodPlace) {
    this.parts = parts;
    this.#place = place;
    this.address = place.address;
  }

  static async create(parts: PodParts): Promise<Pod> {
    const pod = new Pod(parts, await parts.network.place(`${parts.name}.${parts.domain}`));
    pod.#mount();
    return pod;
  }

  /** A container that goes on, up to what its startup probe asks for, and its postStart hook. */
  async start(container: Container): Promise<void> {
    const [command, args] = this.#launched(this.#commandOf(container));
    const { startupProbe, readinessProbe } = container;
    const { httpGet, tcpSocket } = startupProbe ?? readinessProbe ?? {};
    const daemon = new Daemon(
      {
        name: `${container.name} of ${this.parts.name}`,
        command,
        args,
        env: this.#environmentOf(container),
        directory: this.parts.directory,
        logName: `${container.name}.log`,
        isReady: async () =>
          httpGet
            ? isHttpOk(`http://${this.address}:${portNumber(container, httpGet.port)}${httpGet.path}`)
            : isOpen(this.address, portNumber(container, tcpSocket?.port ?? "none")),
        readyWithinMs: 120_000,
        stopWithinMs: 60_000,
      },
      this.parts.reaper,
    );
    this.#daemons.set(container.name, daemon);
    await daemon.start();
    const { postStart } = container.lifecycle ?? {};
    if (postStart) await this.exec(container, postStart.exec.command);
  }

  /** A container's end: its preStop hook, then SIGTERM. Resolves with how long each took. Unit: ms. */
  async stop(container: Container): Promise<{ readonly hookMs: number; readonly stopMs: number }> {
    const startedAt = performance.now();
    const { preStop } = container.lifecycle ?? {};
    if (preStop) await this.exec(container, preStop.exec.command);
    const hookEndedAt = performance.now();
    await this.#daemons.get(container.name)?.kill("SIGTERM");
    return { hookMs: hookEndedAt - startedAt, stopMs: performance.now() - hookEndedAt };
  }

  /** Runs a container that ends, or a command in one. Rejects where it does not end with 0. */
  async exec(container: Container, command: readonly string[] = this.#commandOf(container)): Promise<string> {
    const [program, args] = this.#launched(command);
    const { stdout } = await run(program, args, { env: this.#environmentOf(container), timeout: EXEC_MS });
    return stdout;
  }

  /** The end of what a container has written. */
  logOf({ name }: Container): string {
    return readFileSync(join(this.parts.directory, `${name}.log`), "utf8").slice(-4000);
  }

  /** A crash of one container, which nobody starts again. */
  async kill({ name }: Container): Promise<void> {
    await this.#daemons.get(name)?.kill("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#daemons.values()].map((daemon) => daemon.kill("SIGKILL")));
    await this.#place[Symbol.asyncDispose]();
  }

  #launched(command: readonly string[]): [program: string, args: readonly string[]] {
    const [program, ...args] = this.#place.launcher;
    return [program, [...args, ...command.map((part) => this.#own(part))]];
  }

  #commandOf({ image, command, args }: Container): readonly string[] {
    const entrypoint = command ?? (image.startsWith("gearmesh:") ? [process.execPath, MAIN] : []);
    return [...entrypoint, ...(args ?? (command ? [] : ["serve"]))];
  }

  #environmentOf(container: Container): Readonly<Record<string, string>> {
    const { name, namespace } = this.parts;
    const own = environmentOf(container, { "metadata.name": name, "metadata.namespace": namespace });
    const values = Object.entries(own).map(([key, value]) => [key, this.#own(value)]);
    return { PATH: process.env["PATH"] ?? "", ...Object.fromEntries(values) };
  }

  #own(text: string): string {
    return text.replaceAll(OWN_PATHS, (path) => this.parts.directory + path);
  }

  #mount(): void {
    const { template, manifests, directory } = this.parts;
    rmSync(join(directory, "run"), { recursive: true, force: true });
    for (const { name, mountPath } of [...template.spec.initContainers, ...template.spec.containers].flatMap(
      ({ volumeMounts = [] }) => volumeMounts,
    )) {
      const target = join(directory, mountPath);
      mkdirSync(target, { recursive: true });
      const volume = template.spec.volumes.find((one) => one.name === name);
      const [kind, source] = volume?.configMap
        ? ["ConfigMap", volume.configMap.name]
        : ["Secret", volume?.secret?.secretName];
      if (source === undefined) continue;
      const found = manifestsOf(manifests, kind).find(({ metadata }) => metadata.name === source);
      if (!found) throw new Error(`the volume ${name} is of the ${kind} ${source}, which is not there`);
      for (const [file, value] of Object.entries(found.data ?? {})) {
        const text = kind === "Secret" ? Buffer.from(value, "base64").toString() : value;
        // A hook's own process 1 is here that of the machine.
        const log = `>> ${join(directory, "hooks.log")}`;
        writeFileSync(join(target, file), this.#own(text).replaceAll("> /proc/1/fd/1", log));
      }
    }
  }
}
