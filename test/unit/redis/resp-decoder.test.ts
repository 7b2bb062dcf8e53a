import { Buffer } from "node:buffer";
import test from "ava";
import fc from "fast-check";
import { RedisErrorReply, type RedisReply } from "../../../src/functions/shard-redis.ts";
import { RespDecodeError, RespDecoder } from "../../../src/redis/resp-decoder.ts";

/** As Redis writes it; the reverse of the decoder, so that equal bytes mean an equal reply. */
function encode(reply: RedisReply): string {
  if (reply === null) return "_\r\n";
  if (typeof reply === "boolean") return reply ? "#t\r\n" : "#f\r\n";
  if (typeof reply === "bigint") return `:${reply}\r\n`;
  if (typeof reply === "number") return `,${String(reply).replace("Infinity", "inf").replace("NaN", "nan")}\r\n`;
  if (Buffer.isBuffer(reply)) return `$${reply.length}\r\n${reply.toString("latin1")}\r\n`;
  if (reply instanceof RedisErrorReply) return `-${reply.message}\r\n`;
  if (reply instanceof Set) return `~${reply.size}\r\n${[...reply].map(encode).join("")}`;
  if (reply instanceof Map) return `%${reply.size}\r\n${[...reply].flat().map(encode).join("")}`;
  if (Array.isArray(reply)) return `*${reply.length}\r\n${reply.map(encode).join("")}`;
  throw new Error("not a reply");
}

function decode(bytes: Buffer, cuts: readonly number[] = [], maxReplyBytes = 1 << 20): RedisReply[] {
  const replies: RedisReply[] = [];
  const decoder = new RespDecoder((reply) => replies.push(reply), maxReplyBytes);
  const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  let start = 0;
  for (const end of ends) {
    decoder.write(bytes.subarray(start, end));
    start = end;
  }
  return replies;
}

const { reply: anyReply } = fc.letrec<{ reply: RedisReply }>((tie) => ({
  reply: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    // Redis has no -0: its text is "-0", ours "0".
    fc.double().map((value) => (value === 0 ? 0 : value)),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.stringMatching(/^[A-Z]{1,8}( \w+)*$/).map((text) => new RedisErrorReply(text)),
    fc.array(tie("reply"), { maxLength: 5 }),
    fc.array(tie("reply"), { maxLength: 5 }).map((items) => new Set(items)),
    fc.array(fc.tuple(tie("reply"), tie("reply")), { maxLength: 5 }).map((entries) => new Map(entries)),
  ),
}));

test("every reply comes back as it was sent, wherever the stream is cut", (t) => {
  fc.assert(
    fc.property(fc.array(anyReply, { maxLength: 4 }), fc.array(fc.nat(), { maxLength: 12 }), (replies, cuts) => {
      const sent = replies.map(encode).join("");
      t.is(decode(Buffer.from(sent, "latin1"), cuts).map(encode).join(""), sent);
    }),
  );
});

test("a long string in many chunks is whole", (t) => {
  const text = "x".repeat(300_000);
  const bytes = Buffer.from(`*2\r\n$${text.length}\r\n${text}\r\n:1\r\n`);
  const cuts = Array.from({ length: 100 }, (_, index) => index * 3001);
  t.deepEqual(decode(bytes, cuts), [[Buffer.from(text), 1n]]);
});

test("doubles are exact, and integers beyond 2^53 too", (t) => {
  const replies = decode(
    Buffer.from(",0.3\r\n,4.35\r\n:9007199254740993\r\n:-9223372036854775808\r\n(123456789012345678901\r\n,-inf\r\n"),
  );
  t.deepEqual(replies, [0.3, 4.35, 9007199254740993n, -9223372036854775808n, 123456789012345678901n, -Infinity]);
});

test("the nulls of RESP2, verbatim strings and bulk errors are read too", (t) => {
  const replies = decode(Buffer.from("$-1\r\n*-1\r\n=8\r\ntxt:text\r\n!5\r\nERR x\r\n+OK\r\n"));
  t.deepEqual(replies, [null, null, Buffer.from("text"), new RedisErrorReply("ERR x"), Buffer.from("OK")]);
});

test("a binary map key stays what it is", (t) => {
  const [map] = decode(Buffer.from("%1\r\n$2\r\n\xff\xfe\r\n:1\r\n", "latin1"));
  t.true(map instanceof Map);
  t.deepEqual([...(map as ReadonlyMap<RedisReply, RedisReply>)], [[Buffer.from([0xff, 0xfe]), 1n]]);
});

test("push messages and attributes answer nothing", (t) => {
  const stream = ">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n|1\r\n+ttl\r\n:1\r\n:7\r\n*2\r\n:1\r\n|1\r\n+a\r\n+b\r\n:2\r\n";
  t.deepEqual(decode(Buffer.from(stream)), [7n, [1n, 2n]]);
});

test("a reply beyond the bound is refused by its header, before its bytes come", (t) => {
  const error = t.throws(() => decode(Buffer.from("$2000\r\n"), [], 1000), { instanceOf: RespDecodeError });
  t.is(error.reason, "too-large");
  const many = `*20\r\n${"$100\r\n".concat("x".repeat(100), "\r\n").repeat(11)}`;
  t.is(t.throws(() => decode(Buffer.from(many), [], 1000), { instanceOf: RespDecodeError }).reason, "too-large");
});

test("the bound is one reply's, not the stream's", (t) => {
  const reply = `$100\r\n${"x".repeat(100)}\r\n`;
  t.is(decode(Buffer.from(reply.repeat(50)), [7, 300], 200).length, 50);
});

for (const stream of ["HTTP/1.1 400 Bad Request\r\n", ":12a\r\n", ":\r\n", ",x\r\n", "$9999999999999999999\r\n"]) {
  test(`${JSON.stringify(stream)} is refused`, (t) => {
    t.is(t.throws(() => decode(Buffer.from(stream)), { instanceOf: RespDecodeError }).reason, "malformed");
  });
}
