/** An application that serves a method on a connection to one of our coordinators. */
import { connect } from "../../src/client/client.ts";
import { announce } from "./child-process.ts";

const client = connect({ address: process.env["BENCH_ADDRESS"] ?? "", token: process.env["BENCH_TOKEN"] ?? "" });
const { id } = await client.open({ methods: { "bench.echo": (text) => text } });
announce({ connectionId: id });
