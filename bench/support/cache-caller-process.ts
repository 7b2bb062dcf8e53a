/** An application that uses the cache through one of our coordinators, over a call stream to it, and measures that. */
import { connect } from "../../src/client/client.ts";
import { pairsOf } from "./cache-pairs.ts";
import { announce } from "./child-process.ts";
import { measureOwnCalls } from "./own-load.ts";

const client = connect({ address: process.env["BENCH_ADDRESS"] ?? "", token: process.env["BENCH_TOKEN"] ?? "" });
measureOwnCalls({ "save-load": pairsOf(client.stream().cache) });
announce({});
