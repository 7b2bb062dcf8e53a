import test from "ava";
import { parseClusterNodes } from "../../../src/redis/cluster-nodes.ts";

const A = "07c37dfeb235213a872192d90877d0cd55635b91";
const B = "67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1";
const C = "292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f";

test("masters, replicas, suspects and the dead", (t) => {
  const [replica, failed, self, suspect] = parseClusterNodes(
    [
      `${A} 127.0.0.1:30004@31004,hostname4 slave ${B} 0 1426238317239 4 connected`,
      `${B} 127.0.0.1:30002@31002,,shard-id=69bc master,fail - 1 1426238316232 2 disconnected 5461-10922 12000`,
      `${C} :30003@31003 myself,master - 0 0 3 connected 10923-11999 12001-16383 [93-<-${B}] [77->-${A}]`,
      `${C} 127.0.0.1:30005@31005 master,fail? - 0 0 5 connected`,
      "",
    ].join("\n"),
  );
  t.deepEqual(replica, {
    id: A,
    address: { host: "127.0.0.1", port: 30004 },
    flags: new Set(["slave"]),
    masterId: B,
    epoch: 4,
    isLinkConnected: true,
    slots: [],
    isImporting: false,
  });
  t.deepEqual(failed?.slots, [
    { start: 5461, end: 10922 },
    { start: 12000, end: 12000 },
  ]);
  t.true(failed?.flags.has("fail"));
  t.false(failed?.isLinkConnected);
  t.deepEqual(self?.address, { host: "", port: 30003 });
  // Slots that are moving still belong to whom the ranges say.
  t.deepEqual(self?.slots, [
    { start: 10923, end: 11999 },
    { start: 12001, end: 16383 },
  ]);
  t.true(self?.isImporting);
  t.true(suspect?.flags.has("fail?"));
  t.false(suspect?.flags.has("fail"));
});

test("IPv6 addresses keep their colons", (t) => {
  const [node] = parseClusterNodes(`${A} ::1:7000@17000 myself,master - 0 0 1 connected 0-16383`);
  t.deepEqual(node?.address, { host: "::1", port: 7000 });
});

test("what is no line of CLUSTER NODES is refused", (t) => {
  t.throws(() => parseClusterNodes("ERR unknown command"), { message: /not a line of CLUSTER NODES/ });
});
