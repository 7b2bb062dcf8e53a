import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Registry } from "prom-client";
import { Fault } from "../base/fault.ts";

export interface OpsServerParts {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly registry: Registry;
  /** Why the coordinator cannot serve now; undefined where it can. */
  readonly missing: () => string | undefined;
}

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
 * Serves what operators and their machines look at, over HTTP and without a token: /metrics, /ready, /live. Liveness is only that the
 * event loop turns: a coordinator whose Redis is away must not be restarted for it. Rejects with UNAVAILABLE where the address is taken.
 */
export async function startOpsServer({ host, port, registry, missing }: OpsServerParts): Promise<OpsServer> {
  const pages: Pages = new Map<string, () => Promise<Page>>([
    ["/metrics", async () => ({ status: 200, type: registry.contentType, body: await registry.metrics() })],
    ["/ready", async () => readinessPage(missing())],
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
}

type Pages = ReadonlyMap<string, () => Promise<Page>>;

function json(status: number, content: object): Page {
  return { status, type: "application/json", body: `${JSON.stringify(content)}\n` };
}

function readinessPage(reason: string | undefined): Page {
  return reason === undefined ? json(200, { ready: true }) : json(503, { ready: false, reason });
}

async function answer(pages: Pages, request: IncomingMessage): Promise<Page> {
  const [path = "/"] = (request.url ?? "/").split("?", 1);
  const page = pages.get(path);
  if (!page) return json(404, { error: `there is ${[...pages.keys()].join(", ")}` });
  if (!isRead(request)) return { ...json(405, { error: "use GET" }), allow: "GET, HEAD" };
  return page();
}

function isRead({ method }: IncomingMessage): boolean {
  return method === "GET" || method === "HEAD";
}

function write({ status, type, body, allow }: Page, request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(status, {
    "content-type": type,
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    ...(allow !== undefined && { allow }),
    // Whoever sends a body is not read: the connection ends instead.
    ...(!isRead(request) && { connection: "close" }),
  });
  response.end(request.method === "HEAD" ? undefined : body);
}
