import { readdirSync } from "node:fs";
import { credentials, Metadata, makeClientConstructor, type ServiceDefinition, status } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import test from "ava";
import type { Cluster } from "../../src/dev/cluster.ts";
import { startPatientCluster } from "../support/cluster.ts";

const PROTO = new URL("../../proto/", import.meta.url).pathname;
const FILES = readdirSync(`${PROTO}gearmesh/v1`).map((name) => `gearmesh/v1/${name}`);

let cluster: Cluster;

test.before(async () => {
  cluster = await startPatientCluster({ shards: 1, env: { GEARMESH_MAX_AUTH_FAILURES: "100000" } });
});

test.after.always(async () => {
  await cluster?.[Symbol.asyncDispose]();
});

/** Every method of every service in `proto/`, so that a new one cannot be forgotten here. */
function services(): (readonly [string, ServiceDefinition])[] {
  return Object.entries(loadSync(FILES, { includeDirs: [PROTO] }))
    .filter(([, definition]) => !("format" in definition))
    .map(([name, definition]) => [name, definition as ServiceDefinition]);
}

/** The status that an empty call of any kind ends with. */
function statusOf(definition: ServiceDefinition, method: string, metadata: Metadata): Promise<status> {
  const Client = makeClientConstructor(definition, "any");
  const client = new Client(cluster.nodes[0]?.coordinator.address ?? "", credentials.createInsecure());
  const found = definition[method];
  if (!found) throw new Error(`no method ${method}`);
  return new Promise<status>((resolve) => {
    const { path, requestSerialize, responseDeserialize } = found;
    const deadline = { deadline: Date.now() + 60_000 };
    const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata, deadline);
    call.on("data", () => undefined);
    call.on("error", () => undefined);
    call.on("status", ({ code }) => resolve(code));
    call.write({});
    call.end();
  }).finally(() => client.close());
}

function bearer(token: string): Metadata {
  const metadata = new Metadata();
  metadata.set("authorization", token);
  return metadata;
}

for (const [service, definition] of services()) {
  for (const method of Object.keys(definition)) {
    test(`${service}/${method} refuses a missing and a wrong token`, async (t) => {
      const right = cluster.token;
      const wrong = [
        new Metadata(),
        bearer(""),
        bearer("Bearer "),
        bearer(right),
        bearer(`Bearer ${right.slice(0, -1)}`),
        bearer(`Bearer ${right}x`),
        bearer(`Bearer ${"x".repeat(right.length)}`),
        bearer(`Basic ${right}`),
      ];
      for (const metadata of wrong) t.is(await statusOf(definition, method, metadata), status.UNAUTHENTICATED);
    });
  }
}

test("reflection needs the token like everything else", async (t) => {
  const proto = new URL(
    "../../node_modules/@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto",
    import.meta.url,
  );
  const definition = loadSync(proto.pathname)["grpc.reflection.v1.ServerReflection"] as ServiceDefinition;
  t.is(await statusOf(definition, "ServerReflectionInfo", new Metadata()), status.UNAUTHENTICATED);
  t.not(await statusOf(definition, "ServerReflectionInfo", bearer(`Bearer ${cluster.token}`)), status.UNAUTHENTICATED);
});

test("health needs none, for the server and for each service", async (t) => {
  const proto = new URL("../../node_modules/grpc-health-check/proto/health/v1/health.proto", import.meta.url);
  const definition = loadSync(proto.pathname)["grpc.health.v1.Health"] as ServiceDefinition;
  t.is(await statusOf(definition, "Check", new Metadata()), status.OK);
});
