/** A connection that a node holds, for others to call. */
import { announce } from "../../support/child-process.ts";
import { connectWebsocket } from "./websocket-client.ts";

const { id } = await connectWebsocket(process.env["BENCH_PORT"] ?? "");
announce({ connectionId: id });
