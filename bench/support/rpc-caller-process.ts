/** An application that calls methods through one of our coordinators, over a connection to it, and measures that. */
import { connect } from "../../src/client/client.ts";
import type { RpcTarget } from "../../src/client/rpc.ts";
import { announce } from "./child-process.ts";
import { measureOwnCalls } from "./own-load.ts";
import { TEXT } from "./text.ts";

/** Held by another coordinator. */
const connectionId = process.env["BENCH_CONNECTION_ID"] ?? "";
const client = connect({ address: process.env["BENCH_ADDRESS"] ?? "", token: process.env["BENCH_TOKEN"] ?? "" });
const connection = await client.open();

async function call(target: RpcTarget): Promise<void> {
  const [reply] = await connection.rpc("bench.echo", { args: [TEXT], target, wait: "first" });
  if (reply?.fault) throw reply.fault;
  if (reply?.value !== TEXT) throw new Error("not what was sent");
}

measureOwnCalls({
  "to-connection": () => call({ connection: connectionId }),
  "to-all": () => call("all"),
  apply: () => connection.apply(connectionId, "set", ["auth", true]),
});
announce({});
