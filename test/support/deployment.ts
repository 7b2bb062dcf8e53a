import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ExecutionContext } from "ava";
import { connect, type GearmeshClient } from "../../src/client/client.ts";
import { Reaper } from "../../src/dev/reaper.ts";
import { Authority } from "./certificates.ts";
import { eventually } from "./eventually.ts";
import { foreignHealth } from "./foreign-health.ts";
import { isHttpOk } from "./kubelet-probe.ts";
import {
  type Container,
  containerOf,
  jobTemplateOf,
  type Manifest,
  manifestOf,
  type Overlay,
  type PodTemplate,
  portNumber,
  renderOverlay,
  statefulSetOf,
} from "./manifests.ts";
import { Pod } from "./pod.ts";
import { PodNetwork } from "./pod-network.ts";

const TOKEN = "token-of-sixteen-or-more";

/** The names that docs/KUBERNETES.md asks for in the certificate. */
const NAMES =
  "DNS:*.gearmesh-nodes.gearmesh.svc.cluster.local,DNS:gearmesh.gearmesh.svc.cluster.local,DNS:gearmesh.gearmesh.svc";

/** What docs/KUBERNETES.md has its reader make before production is applied. `directory`: for what openssl leaves. */
export async function makeSecrets(directory: string): Promise<readonly Manifest[]> {
  const authority = await Authority.create(directory, "production");
  const { certFile, keyFile } = await authority.issue(NAMES);
  const text = (path: string) => readFile(path, "utf8");
  return [
    secret("gearmesh-token", { token: `${TOKEN}\n` }),
    secret("gearmesh-redis-password", { password: 'a "password" of $HOME' }),
    secret("gearmesh-tls", {
      "tls.crt": await text(certFile),
      "tls.key": await text(keyFile),
      "ca.crt": await text(authority.caFile),
    }),
  ];
}

function secret(name: string, values: Readonly<Record<string, string>>): Manifest {
  const data = Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString("base64")]);
  return { apiVersion: "v1", kind: "Secret", metadata: { name }, data: Object.fromEntries(data) };
}

/** How long each part of a pod's end took. Unit: ms. */
export interface PodEnd {
  readonly hookMs: number;
  readonly redisMs: number;
  readonly coordinatorMs: number;
}

/** An overlay that runs: the pods of its StatefulSet, and its Job where that is asked for. */
export class Deployment implements AsyncDisposable {
  readonly #manifests: readonly Manifest[];
  readonly #parts: { readonly network: PodNetwork; readonly reaper: Reaper };
  readonly #directory: string;
  readonly #template: PodTemplate;
  readonly #domain: string;
  readonly #namespace: string;
  readonly #pods = new Map<number, Pod>();
  readonly ordinals: readonly number[];
  /** The coordinator's container, and that of Redis. */
  readonly coordinator: Container;
  readonly redis: Container;

  private constructor(
    manifests: readonly Manifest[],
    parts: { network: PodNetwork; reaper: Reaper },
    directory: string,
  ) {
    const { template, replicas, serviceName } = statefulSetOf(manifests);
    this.#manifests = manifests;
    this.#parts = parts;
    this.#directory = directory;
    this.#template = template;
    this.#namespace = manifestOf(manifests, "StatefulSet").metadata.namespace ?? "";
    this.#domain = `${serviceName}.${this.#namespace}.svc.cluster.local`;
    this.ordinals = Array.from({ length: replicas }, (_, ordinal) => ordinal);
    this.coordinator = containerOf(template, "gearmesh");
    this.redis = containerOf(template, "redis");
  }

  /** `await using stack`: what it is made of ends with the stack. */
  static async create(t: ExecutionContext, overlay: Overlay, stack: AsyncDisposableStack): Promise<Deployment> {
    const directory = await mkdtemp(join(tmpdir(), "gearmesh-pods-"));
    stack.defer(() => rm(directory, { recursive: true, force: true }));
    const reaper = stack.use(await Reaper.start());
    reaper.tell({ remove: directory });
    const network = stack.use(await PodNetwork.create(join(directory, "hosts")));
    const rendered = await renderOverlay(overlay);
    const own = rendered.some(({ kind }) => kind === "Secret") ? [] : await makeSecrets(join(directory, "secrets"));
    const deployment = stack.use(new Deployment([...rendered, ...own], { network, reaper }, directory));
    stack.defer(() => {
      if (!t.passed) deployment.#showLogs(t);
    });
    return deployment;
  }

  pod(ordinal: number): Pod {
    const pod = this.#pods.get(ordinal);
    if (!pod) throw new Error(`there is no pod ${ordinal}`);
    return pod;
  }

  /** A pod up to its coordinator, which starts first. */
  async create(ordinal: number): Promise<void> {
    const pod = await this.#pod(
      `${manifestOf(this.#manifests, "StatefulSet").metadata.name}-${ordinal}`,
      this.#template,
    );
    this.#pods.set(ordinal, pod);
    await pod.start(this.coordinator);
  }

  async startRedis(ordinal: number): Promise<void> {
    await this.pod(ordinal).start(this.redis);
  }

  /** Every pod, up to its Redis. Waits for all of them also where one fails. */
  async start(): Promise<void> {
    await forEach(this.ordinals, (ordinal) => this.create(ordinal));
    await forEach(this.ordinals, (ordinal) => this.startRedis(ordinal));
  }

  /** A pod's end in the order of a native sidecar; the pod is gone then. */
  async delete(ordinal: number): Promise<PodEnd> {
    const pod = this.pod(ordinal);
    const redis = await pod.stop(this.redis);
    const coordinator = await pod.stop(this.coordinator);
    await this.remove(ordinal);
    return { hookMs: redis.hookMs, redisMs: redis.stopMs, coordinatorMs: coordinator.stopMs };
  }

  /** A pod's end without any order, as when its machine is lost. */
  async remove(ordinal: number): Promise<void> {
    await this.pod(ordinal)[Symbol.asyncDispose]();
    this.#pods.delete(ordinal);
  }

  /** The end of all of them at once, as `delete` or as `remove` does it. The volumes stay. */
  async deleteAll(): Promise<void> {
    await forEach(this.ordinals, (ordinal) => this.delete(ordinal).then(() => undefined));
  }

  async removeAll(): Promise<void> {
    await forEach(this.ordinals, (ordinal) => this.remove(ordinal));
  }

  /** The Job once, from its first container to its last. Resolves with what they said. */
  async formCluster(): Promise<string> {
    const template = jobTemplateOf(this.#manifests);
    await using pod = await this.#pod("gearmesh-form-cluster", template);
    const formed = await pod.exec(containerOf(template, "form"));
    return formed + (await pod.exec(containerOf(template, "refresh")));
  }

  /** What the coordinator's readiness probe is told. */
  async health(ordinal: number): Promise<string> {
    const { grpc, httpGet } = this.coordinator.readinessProbe ?? {};
    if (httpGet) return (await this.#isOk(ordinal, httpGet)) ? "SERVING" : "NOT_SERVING";
    return foreignHealth(`${this.pod(ordinal).address}:${grpc?.port}`, grpc?.service);
  }

  /** Whether the coordinator's liveness probe succeeds. */
  isAlive(ordinal: number): Promise<boolean> {
    const { httpGet = { path: "", port: "none" } } = this.coordinator.livenessProbe ?? {};
    return this.#isOk(ordinal, httpGet);
  }

  async untilAllServe(): Promise<void> {
    for (const ordinal of this.ordinals) {
      const what = `readiness of pod ${ordinal}`;
      await eventually(async () => (await this.health(ordinal)) === "SERVING", { what, deadlineMs: 60_000 });
    }
  }

  /** Asks the Redis of a pod, from within it. */
  async redisCli(ordinal: number, ...command: string[]): Promise<string> {
    const script = '. /etc/redis/lib.sh && redis 127.0.0.1 "$@"';
    return (await this.pod(ordinal).exec(this.redis, ["sh", "-c", script, "sh", ...command])).trim();
  }

  client(ordinal: number, token = TOKEN): GearmeshClient {
    const address = `${this.pod(ordinal).address}:${portNumber(this.coordinator, "grpc")}`;
    // By the name that the pod has in the headless Service: nobody resolves it here.
    const serverName = `${this.pod(ordinal).parts.name}.${this.#domain}`;
    const caFile = this.coordinator.env?.find(({ name }) => name === "GEARMESH_TLS_CA_FILE")?.value;
    const tls =
      caFile === undefined ? undefined : { caFile: join(this.pod(ordinal).parts.directory, caFile), serverName };
    return connect({ address, token, tls });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#pods.values()].map((pod) => pod[Symbol.asyncDispose]()));
  }

  #isOk(ordinal: number, { path, port }: { readonly path: string; readonly port: string | number }): Promise<boolean> {
    return isHttpOk(`http://${this.pod(ordinal).address}:${portNumber(this.coordinator, port)}${path}`);
  }

  #pod(name: string, template: PodTemplate): Promise<Pod> {
    const directory = join(this.#directory, name);
    const where = { namespace: this.#namespace, domain: this.#domain, directory };
    return Pod.create({ name, template, manifests: this.#manifests, ...where, ...this.#parts });
  }

  #showLogs(t: ExecutionContext): void {
    for (const pod of this.#pods.values()) t.log(pod.parts.name, pod.logOf(this.coordinator), pod.logOf(this.redis));
  }
}

async function forEach(ordinals: readonly number[], action: (ordinal: number) => Promise<void>): Promise<void> {
  const outcomes = await Promise.allSettled(ordinals.map(action));
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
}
