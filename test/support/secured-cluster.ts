import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectOptions, connect, type GearmeshClient } from "../../src/client/client.ts";
import type { Cluster, ClusterNode } from "../../src/dev/cluster.ts";
import { Authority, replaceFiles, replaceText } from "./certificates.ts";
import { startPatientCluster } from "./cluster.ts";
import { eventually } from "./eventually.ts";
import { metricOf } from "./metrics-of.ts";

export const FIRST_TOKEN = "the-first-token-of-all";

export interface SecuredOptions {
  readonly shards: number;
  readonly env?: Readonly<Record<string, string>>;
  /** What the file of tokens that may do less holds. Default: nothing. */
  readonly tokens?: string;
}

/** The files of one coordinator, in a directory of its own. */
export interface SecretPaths {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
  readonly token: string;
  readonly tokens: string;
}

/** A cluster whose coordinators have certificates and tokens by files, each files of its own. */
export interface SecuredCluster extends AsyncDisposable {
  readonly cluster: Cluster;
  readonly nodes: readonly ClusterNode[];
  /** Of the certificates that it started with. */
  readonly authority: Authority;
  /** Removed at the end. */
  readonly directory: string;
  /** By the first token and the first authority, unless the options say otherwise. Ends with the caller's scope. */
  client(node: ClusterNode, options?: Partial<ConnectOptions>): GearmeshClient;
  /** Resolves once the coordinator goes by what `write` has written. */
  change(node: ClusterNode, write: (paths: SecretPaths) => Promise<void>): Promise<void>;
}

export async function startSecuredCluster({ shards, env = {}, tokens = "" }: SecuredOptions): Promise<SecuredCluster> {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "gearmesh-secrets-"));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const authority = await Authority.create(directory, "first");
  const prepared: SecretPaths[] = [];
  for (let index = 0; index < shards; index++) {
    prepared.push(await prepare(join(directory, `node-${index}`), authority, tokens));
  }
  const pathsOf = new Map<number, SecretPaths>();
  const cluster = stack.use(
    await startPatientCluster({
      shards,
      token: FIRST_TOKEN,
      env,
      envOf(redisPort) {
        const paths = prepared[pathsOf.size];
        if (!paths) throw new Error("there are more coordinators than files");
        pathsOf.set(redisPort, paths);
        return variablesOf(paths);
      },
    }),
  );
  const running = stack.move();
  return {
    cluster,
    nodes: cluster.nodes,
    authority,
    directory,
    client: ({ coordinator }, options = {}) =>
      connect({ address: coordinator.address, token: FIRST_TOKEN, tls: { caFile: authority.caFile }, ...options }),
    async change({ redis, coordinator }, write) {
      const paths = pathsOf.get(redis.port);
      if (!paths) throw new Error("the node has no files");
      const reloads = () => metricOf(coordinator, 'gearmesh_secret_reloads_total{result="changed"}', FIRST_TOKEN);
      const before = await reloads();
      await write(paths);
      await eventually(async () => (await reloads()) > before, { what: "the files read again" });
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

async function prepare(directory: string, authority: Authority, tokens: string): Promise<SecretPaths> {
  await mkdir(directory);
  const [cert, key, ca, token, scoped] = ["tls.crt", "tls.key", "ca.crt", "token", "tokens"].map((name) =>
    join(directory, name),
  ) as [string, string, string, string, string];
  const { certFile, keyFile } = await authority.issue();
  await replaceFiles({ [cert]: certFile, [key]: keyFile, [ca]: authority.caFile });
  await replaceText(token, `${FIRST_TOKEN}\n`);
  await replaceText(scoped, tokens);
  return { cert, key, ca, token, tokens: scoped };
}

function variablesOf({ cert, key, ca, token, tokens }: SecretPaths): Readonly<Record<string, string>> {
  return {
    GEARMESH_SERVER_TOKEN_FILE: token,
    GEARMESH_TOKENS_FILE: tokens,
    GEARMESH_TLS_CERT_FILE: cert,
    GEARMESH_TLS_KEY_FILE: key,
    GEARMESH_TLS_CA_FILE: ca,
  };
}
