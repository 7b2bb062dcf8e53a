import test from "ava";
import { type ClusterNode, parseClusterNodes } from "../../../src/redis/cluster-nodes.ts";
import { parseEndpoints } from "../../../src/redis/cluster-shards.ts";
import { clusterView, singleInstance } from "../../../src/redis/cluster-view.ts";

const [A, B, C, D, E] = ["a", "b", "c", "d", "e"].map((letter) => letter.repeat(40)) as [
  string,
  string,
  string,
  string,
  string,
];

function view(lines: readonly string[], self = A, endpoints = new Map<string, { host?: string; port?: number }>()) {
  const nodes: ClusterNode[] = parseClusterNodes(lines.join("\n"));
  return clusterView(self, nodes, endpoints, "10.9.9.9");
}

test("masters become shards; replicas and strangers do not", (t) => {
  const { self, selfShard, shards } = view([
    `${A} 10.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-8191`,
    `${B} 10.0.0.2:7000@17000 master - 0 0 2 connected 8192-16383`,
    `${C} 10.0.0.3:7000@17000 slave ${A} 0 0 1 connected`,
    `${D} 10.0.0.4:7000@17000 handshake - 0 0 0 disconnected`,
    `${E} 10.0.0.5:7000@17000 master - 0 0 3 connected`,
  ]);
  t.is(self, A);
  t.is(selfShard, A);
  t.deepEqual(
    shards.map(({ id, slots, epoch }) => [id, slots.length, epoch]),
    [
      [A, 1, 1],
      [B, 1, 2],
      [E, 0, 3],
    ],
  );
});

test("a failed master owns its slots until another one does", (t) => {
  const { shards } = view([
    `${A} 10.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-8191`,
    `${B} 10.0.0.2:7000@17000 master,fail - 0 0 2 disconnected 8192-16383`,
    `${C} 10.0.0.3:7000@17000 master,fail - 0 0 3 disconnected`,
    `${D} :0@0 master,noaddr - 0 0 4 disconnected`,
    `${E} 10.0.0.5:7000@17000 master,fail? - 0 0 5 connected`,
  ]);
  t.deepEqual(
    shards.map(({ id }) => id),
    [A, B, E],
  );
});

test("a replica belongs to its master's shard", (t) => {
  const { self, selfShard } = view(
    [
      `${A} 10.0.0.1:7000@17000 myself,slave ${B} 0 0 2 connected`,
      `${B} 10.0.0.2:7000@17000 master - 0 0 2 connected 0-16383`,
    ],
    A,
  );
  t.is(self, A);
  t.is(selfShard, B);
});

test("CLUSTER SHARDS says where to reach a node; an unknown host is the one we reached ours by", (t) => {
  const reply = [
    [
      "slots",
      [0, 8191],
      "nodes",
      [["id", A, "port", 7000, "ip", "10.0.0.1", "endpoint", "redis-a.example", "role", "master"]],
    ],
    ["slots", [8192, 16383], "nodes", [["id", B, "port", 7000, "ip", "10.0.0.2", "endpoint", "?", "role", "master"]]],
    ["slots", [], "nodes", [["id", C, "port", 7000, "ip", "", "endpoint", "", "role", "master"]]],
    ["slots", [], "nodes", [["id", D, "port", 7000, "ip", "fd00::4", "endpoint", "fd00::4", "role", "master"]]],
    ["slots", [], "nodes", [["id", E, "port", 7000, "ip", "10.0.0.5", "endpoint", null, "role", "master"]]],
  ];
  const lines = [
    `${A} 10.0.0.1:7000@17000,redis-a.example myself,master - 0 0 1 connected 0-8191`,
    `${B} 10.0.0.2:7000@17000 master - 0 0 2 connected 8192-16383`,
    `${C} :7000@17000 master - 0 0 3 connected`,
    `${D} fd00::4:7000@17000 master - 0 0 4 connected`,
    `${E} 10.0.0.5:7000@17000 master - 0 0 5 connected`,
  ];
  const { shards } = view(lines, A, new Map(parseEndpoints(reply)));
  const addresses = shards.map(({ address }) => address);
  t.deepEqual(addresses, [
    { host: "redis-a.example", port: 7000 },
    { host: "10.0.0.2", port: 7000 },
    { host: "10.9.9.9", port: 7000 },
    { host: "fd00::4", port: 7000 },
    { host: "10.0.0.5", port: 7000 },
  ]);
  t.deepEqual(parseEndpoints([]), new Map());
});

test("a Redis without cluster mode owns every slot", (t) => {
  const { self, selfShard, shards } = singleInstance("run", { host: "10.0.0.1", port: 6379 });
  t.is(self, "run");
  t.is(selfShard, "run");
  t.deepEqual(shards, [
    { id: "run", address: { host: "10.0.0.1", port: 6379 }, slots: [{ start: 0, end: 16383 }], epoch: 0 },
  ]);
});
