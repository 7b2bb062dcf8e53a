/**
 * The rooms of the house and who may enter which: imports point one way, and one folder only knows each outside
 * thing. docs/ARCHITECTURE.md says why.
 */
interface Layer {
  /** What the folder is, for the message that refuses an import. */
  readonly is: string;
  /** Folders of src it may import besides itself. */
  readonly folders: readonly string[];
  /** Packages it may import; a trailing `/` stands for a whole scope. */
  readonly packages?: readonly string[];
  /** Node's modules it may import; all where it is left out. */
  readonly builtins?: readonly string[];
  /** Files of other folders that it may `import type` from: plain types without behaviour. */
  readonly types?: readonly string[];
}

/** Node's modules that compute and do no I/O. */
const PURE_BUILTINS = [
  "node:assert",
  "node:async_hooks",
  "node:buffer",
  "node:crypto",
  "node:events",
  "node:timers",
  "node:util",
];

const CAPABILITIES = [
  "topology",
  "mesh",
  "functions",
  "storage",
  "rpc",
  "connections",
  "rooms",
  "pubsub",
  "cache",
  "tasks",
];
const ADAPTERS = ["redis", "sandbox", "grpc", "telemetry"];

const capability: Layer = {
  is: "a capability: it imports base and nothing from outside, and declares a port for whatever else it needs",
  folders: ["base"],
  builtins: PURE_BUILTINS,
};

function adapter(outside: string, packages: readonly string[]): Layer {
  return {
    is: `the only folder that knows ${outside}: it imports base, capabilities and ${packages.join(", ")}`,
    folders: ["base", ...CAPABILITIES],
    packages,
  };
}

export const LAYERS: Readonly<Record<string, Layer>> = {
  base: { is: "the ground: it imports nothing but itself", folders: [], builtins: PURE_BUILTINS },
  topology: capability,
  mesh: capability,
  functions: { ...capability, types: ["topology/topology.ts"] },
  storage: capability,
  rpc: capability,
  connections: capability,
  rooms: capability,
  pubsub: capability,
  cache: capability,
  tasks: capability,
  redis: adapter("Redis", ["ioredis", "cluster-key-slot", "bullmq"]),
  sandbox: adapter("isolates", ["isolated-vm"]),
  grpc: adapter("gRPC", ["@grpc/", "grpc-health-check"]),
  telemetry: adapter("logs, metrics and traces", ["pino", "pino-pretty", "prom-client", "@opentelemetry/"]),
  client: {
    is: "what users import: it imports base, capabilities and grpc",
    folders: ["base", ...CAPABILITIES, "grpc"],
    packages: ["@grpc/"],
  },
  supervisor: {
    is: "the coordinators of one machine, kept running: it imports base, capabilities and adapters, and does not know how a coordinator is made",
    folders: ["base", ...CAPABILITIES, ...ADAPTERS],
  },
  app: {
    is: "where the parts are put together: it imports everything below, and leaves each outside thing to its folder",
    folders: ["base", ...CAPABILITIES, ...ADAPTERS, "client"],
    packages: ["zod", "cron-parser"],
  },
  dev: {
    is: "the development cluster: it imports everything below, and neither app nor cli",
    folders: ["base", ...CAPABILITIES, ...ADAPTERS, "client"],
  },
  cli: {
    is: "the command line: it imports everything, and leaves each outside thing but commander to its folder",
    folders: ["base", ...CAPABILITIES, ...ADAPTERS, "client", "app", "dev", "supervisor"],
    packages: ["commander"],
  },
};
