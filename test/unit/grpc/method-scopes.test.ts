import { readdirSync } from "node:fs";
import { loadSync, type ServiceDefinition } from "@grpc/proto-loader";
import test from "ava";
import { isKnownPath, scopeOf } from "../../../src/grpc/method-scopes.ts";

const PROTO = new URL("../../../proto/", import.meta.url).pathname;
const FILES = readdirSync(`${PROTO}gearmesh/v1`).map((name) => `gearmesh/v1/${name}`);
const definitions = loadSync(FILES, { includeDirs: [PROTO] });
const services = Object.entries(definitions).filter(([, definition]) => !("format" in definition));

for (const [service, definition] of services) {
  test(`each method of ${service} has a scope`, (t) => {
    for (const [method, { path }] of Object.entries(definition as ServiceDefinition)) {
      t.regex(scopeOf(service, method) ?? "none at all", /^(call|admin|peer)$/, method);
      t.true(isKnownPath(path));
    }
  });
}

test("what changes the deployment needs admin", (t) => {
  for (const method of ["Load", "Delete", "Rollback"]) t.is(scopeOf("gearmesh.v1.FunctionService", method), "admin");
  t.is(scopeOf("gearmesh.v1.TopologyService", "RefreshCluster"), "admin");
  t.is(scopeOf("gearmesh.v1.FunctionService", "Call"), "call");
});

test("names that look like those of methods are none", (t) => {
  for (const path of [
    "/gearmesh.v1.FunctionService/call",
    "/gearmesh.v1.FunctionService/Call/",
    "//gearmesh.v1.FunctionService/Call",
    "gearmesh.v1.FunctionService/Call",
    "/gearmesh.v1.FunctionService/__proto__",
    "/__proto__/Call",
    "/gearmesh.v1.FunctionService/toString",
    "/constructor/name",
    "/",
    "",
  ]) {
    t.false(isKnownPath(path), path);
  }
});
