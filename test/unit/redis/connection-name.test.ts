import test from "ava";
import { connectionName, parseConnections } from "../../../src/redis/connection-name.ts";

const line = (id: number, name: string, idle = 0) =>
  `id=${id} addr=127.0.0.1:5${id} laddr=127.0.0.1:6379 fd=8 name=${name} age=10 idle=${idle} flags=N db=0 sub=0 cmd=ping user=default resp=3`;

test("names are read as they are written", (t) => {
  const purposes = ["active", "standby", "sandbox"] as const;
  const list = purposes
    .map((purpose, index) => line(index, connectionName("ns", "run", purpose), index + 1))
    .join("\n");
  t.deepEqual(
    parseConnections(`${list}\n`, "ns"),
    purposes.map((purpose, index) => ({ id: String(index), runId: "run", purpose, idleMs: index * 1000 })),
  );
});

test("other clients and other namespaces are not ours", (t) => {
  const names = [
    "",
    "app",
    "gearmesh:other:run",
    "gearmesh:ns2:run:active",
    "gearmesh:ns:a:b:active",
    "gearmesh:ns:run:else",
  ];
  t.deepEqual(parseConnections(names.map((name, id) => line(id, name)).join("\n"), "ns"), []);
  t.deepEqual(parseConnections("", "ns"), []);
});
