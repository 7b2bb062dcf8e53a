import test from "ava";
import fc from "fast-check";
import protobuf from "protobufjs";
import type { MessageCodec } from "../../src/base/message.ts";

/** What the .proto files of gearmesh.v1 say, as another implementation reads it. `files`: without their ending. */
export function foreignProto(...files: readonly string[]): protobuf.Root {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => new URL(`../../proto/${target}`, import.meta.url).pathname;
  root.loadSync(files.map((file) => `gearmesh/v1/${file}.proto`));
  return root;
}

/** Makes the test that another implementation, which reads and writes what the .proto says, reads and writes the same. */
export function agreesWith(proto: protobuf.Root) {
  return <T>(type: string, codec: MessageCodec<T>, values: fc.Arbitrary<T>): void => {
    test(`${type} is as the .proto has it`, (t) => {
      const foreign = proto.lookupType(`gearmesh.v1.${type}`);
      fc.assert(
        fc.property(values, (each) => {
          const written = codec.encode(each);
          t.deepEqual(codec.decode(written), each);
          const read = foreign.decode(written);
          t.deepEqual(codec.decode(foreign.encode(read).finish()), each);
          t.deepEqual(Object.keys(foreign.toObject(read)).length > 0, written.length > 0);
        }),
      );
    });
  };
}
