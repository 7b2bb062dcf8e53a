import { once } from "node:events";
import { createServer } from "node:net";
import test from "ava";

import { arePortsFree, BLOCK_SIZE, claimPortBlock, PORT_OFFSETS } from "../../../src/dev/free-ports.ts";

test("two claims never share a port, at any offset", async (t) => {
  await using first = await claimPortBlock(BLOCK_SIZE, () => 0);
  await using second = await claimPortBlock(BLOCK_SIZE, () => 0);
  const ports = [first, second].flatMap(({ basePort }) =>
    [0, ...Object.values(PORT_OFFSETS)].flatMap((offset) =>
      Array.from({ length: BLOCK_SIZE }, (_, index) => basePort + offset + index),
    ),
  );
  t.is(new Set(ports).size, ports.length);
});

test("a block one of whose ports is taken is passed over", async (t) => {
  await using block = await claimPortBlock(3);
  const { basePort } = block;
  const server = createServer().listen(basePort + 2 + PORT_OFFSETS.ops, "127.0.0.1");
  await once(server, "listening");
  t.false(await arePortsFree(basePort, 3));
  t.true(await arePortsFree(basePort, 2));
  server.close();
});
