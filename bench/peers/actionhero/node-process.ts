/** One Actionhero node. It makes the calls itself and measures them: within Actionhero, callers and handlers live inside the nodes. */
import type { AddressInfo } from "node:net";
import { api, cache, Process, redis } from "actionhero";
import { pairsOf } from "../../support/cache-pairs.ts";
import { announce } from "../../support/child-process.ts";
import { measureOwnCalls } from "../../support/own-load.ts";
import { TEXT } from "../../support/text.ts";

/** Held by another node. Empty: this node makes no calls. */
const connectionId = process.env["BENCH_CONNECTION_ID"] ?? "";

/** With no id on every node, this one included; the first answer counts, since the others' cannot be had. */
async function call(id?: string): Promise<void> {
  if ((await redis.doCluster("api.bench.echo", [TEXT], id, true)) !== TEXT) throw new Error("not what was sent");
}

api.bench = { echo: async (text) => text };
await new Process().start();
measureOwnCalls({
  "to-connection": () => call(connectionId),
  "to-all": () => call(),
  apply: () => api.connections.apply(connectionId, "set", ["auth", true]),
  "save-load": pairsOf(cache),
});
announce({ port: (api.servers.servers.web.server.address() as AddressInfo).port });
