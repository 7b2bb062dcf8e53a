import test from "ava";
import { connect } from "../../../src/client/client.ts";
import { faultOf } from "../../support/fault-of.ts";

const NOBODY = "127.0.0.1:1";

test("a worker whose client is closed while no coordinator has it is closed with it", async (t) => {
  const client = connect({ address: NOBODY, token: "0123456789abcdef" });
  const { promise: lost, resolve } = Promise.withResolvers<void>();
  const worker = client.tasks.work({ any: () => null }, { onLost: () => resolve() });
  const ready = faultOf(worker.ready);
  await lost;
  client.close();
  t.is((await ready).code, "CANCELLED");
  await worker.close();
});
