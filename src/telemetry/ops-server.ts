import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Registry } from "prom-client";
import { Fault } from "../base/fault.ts";
import type { Readiness } from "./readiness.ts";

export interface OpsServerParts {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly registry: Registry;
  /** Why the coordinator cannot serve now; undefined where it can. */
  readonly missing: () => string | undefined;
  /** The name that the coordinator goes by now. */
  readonly nodeName: () => string;
  /** Whether who sends this `authorization` from this `host:port` may read /metrics. */
  readonly mayReadMetrics: (authorization: string | undefined, peer: string) => MetricsAccess;
}

/** What a reader of /metrics is answered: the metrics, or the status of who has no token, one for something else, or has failed too often. */
export type MetricsAccess = "yes" | 401 | 403 | 429;

export interface OpsServer {
  /** The port it listens on. */
  readonly port: number;
  close(): Promise<void>;
}

/** Scrapers and probes are few; whoever opens more is not one of them. */
const MAX_CONNECTIONS = 64;
const REQUEST_TIMEOUT_MS = 5000;
/** How often requests that come too slowly are looked for; Node's 30 s would let a few of them keep probes out for as long. */
const TIMEOUT_CHECK_MS = 1000;
const MAX_HEADER_BYTES = 8192;

/**
 * Serves what operators and their machines look at, over HTTP: /metrics, /ready, /live, the last two without a token. Liveness is only that the
 * event loop turns: a coordinator whose Redis is away must not be restarted for it. Rejects with UNAVAILABLE where the address is taken.
 */
export async function startOpsServer(parts: OpsServerParts): Promise<OpsServer> {
  const { host, port, registry, missing, nodeName, mayReadMetrics } = parts;
  const metrics = async ({ headers, socket }: IncomingMessage): Promise<Page> => {
    const access = mayReadMetrics(headers.authorization, `${socket.remoteAddress}:${socket.remotePort}`);
    if (access !== "yes") return { ...json(access, { error: NO_METRICS[access] }), authenticate: "Bearer" };
    return { status: 200, type: registry.contentType, body: await registry.metrics() };
  };
  const pages: Pages = new Map<string, (request: IncomingMessage) => Promise<Page>>([
    ["/metrics", metrics],
    ["/ready", async () => readinessPage(nodeName(), missing())],
    ["/live", async () => json(200, { live: true })],
  ]);
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
    },
    (request, response) => {
      answer(pages, request).then(
        (page) => write(page, request, response),
        () => write(json(500, { error: "internal error" }), request, response),
      );
    },
  );
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    // It stays: once the server listens, an error is one connection that could not be accepted.
    server.on("error", (cause: NodeJS.ErrnoException) => {
      const problem = `cannot listen on ${host}:${port} (${cause.code}); set opsListen to a free address`;
      reject(new Fault("UNAVAILABLE", problem, { cause }));
    });
    server.listen(port, host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface Page {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly allow?: string;
  readonly authenticate?: string;
}

const NO_METRICS: Record<Exclude<MetricsAccess, "yes">, string> = {
  401: "send a token with the scope metrics as `authorization: Bearer <token>`",
  403: "the token has not the scope metrics",
  429: "too many attempts from this address failed to authenticate; try again later",
};

type Pages = ReadonlyMap<string, (request: IncomingMessage) => Promise<Page>>;

function json(status: number, content: object): Page {
  return { status, type: "application/json", body: `${JSON.stringify(content)}\n` };
}

function readinessPage(node: string, reason: string | undefined): Page {
  const readiness: Readiness = { ready: reason === undefined, node, ...(reason !== undefined && { reason }) };
  return json(readiness.ready ? 200 : 503, readiness);
}

async function answer(pages: Pages, request: IncomingMessage): Promise<Page> {
  const [path = "/"] = (request.url ?? "/").split("?", 1);
  const page = pages.get(path);
  if (!page) return json(404, { error: `there is ${[...pages.keys()].join(", ")}` });
  if (!isRead(request)) return { ...json(405, { error: "use GET" }), allow: "GET, HEAD" };
  return page(request);
}

function isRead({ method }: IncomingMessage): boolean {
  return method === "GET" || method === "HEAD";
}

function write(
  { status, type, body, allow, authenticate }: Page,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  response.writeHead(status, {
    "content-type": type,
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    ...(allow !== undefined && { allow }),
    ...(authenticate !== undefined && { "www-authenticate": authenticate }),
    // Whoever sends a body is not read: the connection ends instead.
    ...(!isRead(request) && { connection: "close" }),
  });
  response.end(request.method === "HEAD" ? undefined : body);
}
