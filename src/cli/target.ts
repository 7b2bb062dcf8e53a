import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { Fault } from "../base/fault.ts";
import { connect, type GearmeshClient } from "../client/client.ts";
import type { ClientTls } from "../client/client-tls.ts";
import { type DevCluster, readDevCluster } from "../dev/state-directory.ts";
import { CallFailed, UsageError } from "./report-error.ts";

/** What every command that talks to a coordinator takes. */
export interface TargetOptions {
  readonly address?: string;
  readonly token?: string;
  readonly tokenFile?: string;
  readonly tlsCaFile?: string;
  readonly tlsCertFile?: string;
  readonly tlsKeyFile?: string;
  readonly tlsServerName?: string;
  /** Unit: ms. */
  readonly timeout: number;
  readonly json?: boolean;
}

const TARGET_HELP = `
Which cluster: --address, else GEARMESH_ADDRESS, else the one that \`gearmesh dev\` runs in this directory or one above.
Its token: --token-file or --token, else GEARMESH_SERVER_TOKEN or GEARMESH_SERVER_TOKEN_FILE; that of \`gearmesh dev\` is known.
TLS: with any --tls- option or, where the address is given, its variable (GEARMESH_TLS_CA_FILE and so on).`;

/** A command that talks to a coordinator, with an example in its help. */
export function clientCommand(command: Command, example: string, timeoutMs = 10_000): Command {
  return command
    .option("--address <host:port>", "a coordinator")
    .option("--token-file <path>", "file that holds the serverToken")
    .option("--token <token>", "the serverToken; others on this machine can see it, prefer --token-file")
    .option("--tls-ca-file <path>", "PEM file with the authorities that the coordinators' certificates are of")
    .option("--tls-cert-file <path>", "PEM file with a certificate of this client, where coordinators demand one")
    .option("--tls-key-file <path>", "PEM file with its private key")
    .option("--tls-server-name <name>", "whom the coordinators' certificates are for, if not the host of the address")
    .option("--timeout <ms>", "how long it may take", milliseconds, timeoutMs)
    .option("--json", "print JSON, errors too")
    .addHelpText("after", `\nExample:\n  ${example}\n${TARGET_HELP}`);
}

/** Runs `use` with a client of the cluster that the options, the environment or the directory name. */
export async function withClient<T>(options: TargetOptions, use: (client: GearmeshClient) => Promise<T>): Promise<T> {
  await using client = connect({ ...(await findTarget(options, process.env)), timeoutMs: options.timeout });
  try {
    return await use(client);
  } catch (error) {
    throw error instanceof Fault ? new CallFailed(error) : error;
  }
}

type Environment = Readonly<Record<string, string | undefined>>;

async function findTarget(options: TargetOptions, environment: Environment) {
  const { GEARMESH_ADDRESS } = environment;
  const address = options.address ?? GEARMESH_ADDRESS;
  if (address !== undefined) {
    const token = givenToken(options) ?? knownToken(environment);
    return { address, token, tls: tlsOf(options, environment) };
  }
  const cluster = await findDevCluster(process.cwd());
  if (!cluster) {
    throw new UsageError(
      "no cluster found: name a coordinator by --address or in GEARMESH_ADDRESS, or start a cluster here by `gearmesh dev`",
    );
  }
  // Any of them will do; the next is tried where one is down.
  const target = `ipv4:${cluster.nodes.map((node) => node.address).join(",")}`;
  return { address: target, token: givenToken(options) ?? cluster.token, tls: tlsOf(options, {}) };
}

/** Undefined where neither options nor variables say anything of TLS. */
function tlsOf(options: TargetOptions, environment: Environment): ClientTls | undefined {
  const {
    GEARMESH_TLS_CA_FILE: caFile,
    GEARMESH_TLS_CERT_FILE: certFile,
    GEARMESH_TLS_KEY_FILE: keyFile,
    GEARMESH_TLS_SERVER_NAME: serverName,
  } = environment;
  const tls: ClientTls = {
    caFile: options.tlsCaFile ?? caFile,
    certFile: options.tlsCertFile ?? certFile,
    keyFile: options.tlsKeyFile ?? keyFile,
    serverName: options.tlsServerName ?? serverName,
  };
  if (Object.values(tls).every((value) => value === undefined)) return undefined;
  if ((tls.certFile === undefined) !== (tls.keyFile === undefined)) {
    throw new UsageError("a certificate and its key are given only together: --tls-cert-file and --tls-key-file");
  }
  return tls;
}

function givenToken({ token, tokenFile }: TargetOptions): string | undefined {
  if (token !== undefined && tokenFile !== undefined) throw new UsageError("give --token or --token-file, not both");
  return tokenFile === undefined ? token : readToken(tokenFile);
}

function knownToken({ GEARMESH_SERVER_TOKEN, GEARMESH_SERVER_TOKEN_FILE }: Environment): string {
  if (GEARMESH_SERVER_TOKEN) return newest(GEARMESH_SERVER_TOKEN);
  if (GEARMESH_SERVER_TOKEN_FILE) return readToken(GEARMESH_SERVER_TOKEN_FILE);
  throw new UsageError("no token: give the cluster's serverToken by --token-file or in GEARMESH_SERVER_TOKEN");
}

function readToken(path: string): string {
  try {
    return newest(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new UsageError(`the token cannot be read from ${path}`, { cause });
  }
}

/** While a token is being replaced there are two, and the coordinators take either. */
function newest(tokens: string): string {
  return tokens.split(/[,\n]/, 1).join("").trim();
}

async function findDevCluster(directory: string): Promise<DevCluster | undefined> {
  const found = await readDevCluster(directory);
  const parent = dirname(directory);
  return found || parent === directory ? found : findDevCluster(parent);
}

function milliseconds(text: string): number {
  const ms = Number(text);
  if (!Number.isSafeInteger(ms) || ms < 1) throw new InvalidArgumentError("It must be a number of ms above 0.");
  return ms;
}
