import type { CallContext } from "../base/call-context.ts";
import { Fault } from "../base/fault.ts";
import { type JsonValue, jsonText, payloadOf, payloadValue } from "../base/json-payload.ts";
import type { BuiltInMethod } from "../rpc/method-table.ts";
import type { Logs } from "../telemetry/logs.ts";
import type { ClusterRefresh } from "../topology/cluster-refresh.ts";
import type { Topology } from "../topology/topology.ts";
import { logLevel } from "./log-level-method.ts";
import { packageVersion } from "./version.ts";

export interface BuiltInParts {
  readonly logs: Pick<Logs, "of" | "levels" | "setLevel">;
  readonly refresh: ClusterRefresh;
  readonly topology: () => Topology | undefined;
  readonly nodeName: () => string;
  readonly runId: string;
  readonly isActive: () => boolean;
  readonly connections: () => number;
}

type BuiltIn = (args: readonly JsonValue[], context: CallContext) => Promise<JsonValue>;

/** What an operator does, rather than a program that uses the cluster: see METHOD_SCOPES. */
const FOR_ADMINS: ReadonlySet<string> = new Set(["log.level", "topology.refresh"]);

/** Longest text that `log` writes. Unit: UTF-16 code units. */
const MAX_LOG_LENGTH = 8192;

const LEVELS = ["trace", "debug", "info", "warn", "error"] as const;

/** The methods that every node has. `api.log` is what the original calls `log`. */
export function builtInMethods(parts: BuiltInParts): ReadonlyMap<string, BuiltInMethod> {
  const log: BuiltIn = async ([text = "", level = "info"]) => {
    const known = LEVELS.find((each) => each === level);
    if (!known) throw new Fault("INVALID_ARGUMENT", `the level of a log line is one of ${LEVELS.join(", ")}`);
    const line = typeof text === "string" ? text : jsonText(text);
    parts.logs.of("rpc")[known]({ from: "rpc" }, line.slice(0, MAX_LOG_LENGTH));
    return true;
  };
  const methods: readonly (readonly [string, BuiltIn])[] = [
    ["log", log],
    ["api.log", log],
    ["log.level", async (args) => logLevel(parts.logs, args)],
    ["ping", async ([value = "pong"]) => value],
    ["node.info", async () => nodeInfo(parts)],
    [
      "topology.refresh",
      async () => {
        const { version, hash } = await parts.refresh.here();
        return { version, hash };
      },
    ],
  ];
  return new Map(
    methods.map(([name, run]) => [
      name,
      {
        run: async ({ args }, context) => payloadOf(await run(args.map(textualOf), context)),
        isForAdmins: FOR_ADMINS.has(name),
      },
    ]),
  );
}

function nodeInfo({ topology, nodeName, runId, isActive, connections }: BuiltInParts): JsonValue {
  const map = topology();
  return {
    name: nodeName(),
    nodeId: map?.self ?? null,
    runId,
    role: isActive() ? "active" : "standby",
    version: packageVersion(),
    pid: process.pid,
    uptimeSeconds: Math.floor(process.uptime()),
    topologyVersion: map?.version ?? 0,
    connections: connections(),
  };
}

/** Bytes, which none of these methods expects, as text. */
function textualOf(payload: Uint8Array): JsonValue {
  const value = payloadValue(payload);
  return value instanceof Uint8Array ? Buffer.from(value).toString() : value;
}
