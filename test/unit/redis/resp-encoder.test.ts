import { Buffer } from "node:buffer";
import test from "ava";
import fc from "fast-check";
import { RespDecoder } from "../../../src/redis/resp-decoder.ts";
import { encodeCommand } from "../../../src/redis/resp-encoder.ts";

test("a command is an array of bulk strings", (t) => {
  const frame = encodeCommand(["SET", "ключ", Buffer.from([0, 13, 10, 255])]);
  t.is(
    frame.toString("latin1"),
    `${Buffer.from("*3\r\n$3\r\nSET\r\n$8\r\nключ\r\n$4\r\n").toString("latin1")}\0\r\n\xff\r\n`,
  );
});

test("every argument is read back as its bytes", (t) => {
  const argument = fc.oneof(fc.string({ unit: "binary" }), fc.uint8Array({ maxLength: 200 }));
  fc.assert(
    fc.property(fc.array(argument, { minLength: 1, maxLength: 120 }), (args) => {
      let read: unknown;
      new RespDecoder((reply) => {
        read = reply;
      }, 1 << 20).write(encodeCommand(args));
      t.deepEqual(
        read,
        args.map((arg) => Buffer.from(arg)),
      );
    }),
  );
});
