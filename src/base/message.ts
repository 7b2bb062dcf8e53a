import { assertRoom, MAX_ITEMS } from "./items.ts";
import { WireReader, WireWriter } from "./wire.ts";

/**
 * Codecs of protobuf messages, declared field by field. They carry what is encoded already as bytes, and cost about twice as much as a codec written by hand: those of
 * every call's path are written by hand.
 */
export interface MessageCodec<T> {
  encode(message: T): Buffer;
  /** Fields that are not known are skipped. Byte strings are views into `bytes`. Throws a WireError. */
  decode(bytes: Uint8Array): T;
}

/** What a codec reads and writes. */
export type MessageOf<Codec> = Codec extends MessageCodec<infer T> ? T : never;

/** One field of a message. */
export interface MessageField<T> {
  readonly number: number;
  /** How often a message may have it: its items, where it is repeated or a map. Not named: what was read last counts. */
  readonly maxItems?: number;
  /** What the field is where the message does not have it. */
  absent(): T;
  /** Writes nothing where the value is as if it were absent. */
  write(writer: WireWriter, value: T): void;
  /** What the field is with what the reader is at. `before`, which is what was read of it so far, may be changed for it. */
  read(reader: WireReader, before: T): T;
}

type Shape<T> = { readonly [K in keyof T]: MessageField<T[K]> };

/** `const details = message({ id: text(1), rooms: many(text(7)) })`: a codec, with the type that it reads and writes. */
export function message<T extends object>(shape: Shape<T>): MessageCodec<T> {
  const entries = Object.entries(shape) as [keyof T, MessageField<T[keyof T]>][];
  const byNumber = new Map(entries.map((entry) => [entry[1].number, entry]));
  return {
    encode(value) {
      const writer = new WireWriter();
      for (const [name, field] of entries) field.write(writer, value[name]);
      return writer.finish();
    },
    decode(bytes) {
      const value = Object.fromEntries(entries.map(([name, field]) => [name, field.absent()])) as T;
      const counts = new Map<number, number>();
      const reader = new WireReader(bytes);
      while (reader.next()) {
        const entry = byNumber.get(reader.field);
        if (!entry) continue;
        const [name, field] = entry;
        countItem(field, counts);
        value[name] = field.read(reader, value[name]);
      }
      return value;
    },
  };
}

/** Counted as they are read, since entries of a map may all have the same key. */
function countItem(
  { number, maxItems }: Pick<MessageField<never>, "number" | "maxItems">,
  counts: Map<number, number>,
): void {
  if (maxItems === undefined) return;
  const before = counts.get(number) ?? 0;
  assertRoom(before, maxItems);
  counts.set(number, before + 1);
}

const NO_BYTES: Uint8Array = new Uint8Array(0);

/** A uint32 or uint64 below 2^53. */
export function uint(number: number): MessageField<number> {
  return {
    number,
    absent: () => 0,
    write: (writer, value) => value !== 0 && writer.uint(number, value),
    read: (reader) => reader.uint(),
  };
}

/** A uint32 or uint64 with presence: undefined where it is absent, which 0 is not. */
export function optionalUint(number: number): MessageField<number | undefined> {
  return {
    number,
    absent: () => undefined,
    write: (writer, value) => value !== undefined && writer.uint(number, value),
    read: (reader) => reader.uint(),
  };
}

export function double(number: number): MessageField<number> {
  return {
    number,
    absent: () => 0,
    write: (writer, value) => value !== 0 && writer.double(number, value),
    read: (reader) => reader.double(),
  };
}

export function flag(number: number): MessageField<boolean> {
  return {
    number,
    absent: () => false,
    write: (writer, value) => value && writer.uint(number, 1),
    read: (reader) => reader.uint() !== 0,
  };
}

export function text(number: number): MessageField<string> {
  return {
    number,
    absent: () => "",
    write: (writer, value) => value !== "" && writer.string(number, value),
    read: (reader) => reader.string(),
  };
}

export function bytes(number: number): MessageField<Uint8Array> {
  return {
    number,
    absent: () => NO_BYTES,
    write: (writer, value) => value.length > 0 && writer.bytes(number, value),
    read: (reader) => reader.bytes(),
  };
}

/** A message that stays encoded, or a byte string of a oneof: undefined where it is absent, which an empty one is not. */
export function encoded(number: number): MessageField<Uint8Array | undefined> {
  return {
    number,
    absent: () => undefined,
    write: (writer, value) => value !== undefined && writer.bytes(number, value),
    read: (reader) => reader.bytes(),
  };
}

/** A string of a oneof: undefined where it is absent, which an empty one is not. */
export function optionalText(number: number): MessageField<string | undefined> {
  return {
    number,
    absent: () => undefined,
    write: (writer, value) => value !== undefined && writer.string(number, value),
    read: (reader) => reader.string(),
  };
}

/** A message within the message. */
export function nested<T>(number: number, codec: MessageCodec<T>): MessageField<T | undefined> {
  return {
    number,
    absent: () => undefined,
    write: (writer, value) => value !== undefined && writer.bytes(number, codec.encode(value)),
    read: (reader) => codec.decode(reader.bytes()),
  };
}

/** A repeated uint32 or uint64 below 2^53, one by one or packed. */
export function uints(number: number, maxItems = MAX_ITEMS): MessageField<readonly number[]> {
  return {
    number,
    maxItems,
    absent: () => [],
    write(writer, items) {
      for (const item of items) writer.uint(number, item);
    },
    read(reader, before) {
      const items = before as number[];
      assertRoom(items.length, maxItems);
      if (!reader.holdsBytes) {
        items.push(reader.uint());
        return items;
      }
      for (const item of reader.packedUints()) {
        assertRoom(items.length, maxItems);
        items.push(item);
      }
      return items;
    },
  };
}

/** A repeated string, in order. Also empty ones count. More than `maxItems` are not decoded. */
export function texts(number: number, maxItems = MAX_ITEMS): MessageField<readonly string[]> {
  return repeated(
    number,
    maxItems,
    (writer, item) => writer.string(number, item),
    (reader) => reader.string(),
  );
}

/** As `texts`, for byte strings and messages that stay encoded. */
export function byteStrings(number: number, maxItems = MAX_ITEMS): MessageField<readonly Uint8Array[]> {
  return repeated(
    number,
    maxItems,
    (writer, item) => writer.bytes(number, item),
    (reader) => reader.bytes(),
  );
}

/** Repeated messages, in order; at most `maxItems`. */
export function list<T>(number: number, codec: MessageCodec<T>, maxItems = MAX_ITEMS): MessageField<readonly T[]> {
  return repeated(
    number,
    maxItems,
    (writer, item) => writer.bytes(number, codec.encode(item)),
    (reader) => codec.decode(reader.bytes()),
  );
}

const KEY = 1;
const VALUE = 2;

/** A `map<string, Message>` whose values stay encoded; at most `maxItems`, also where keys are the same. */
export function dictionary(number: number, maxItems = MAX_ITEMS): MessageField<ReadonlyMap<string, Uint8Array>> {
  return {
    number,
    maxItems,
    absent: () => new Map(),
    write(writer, value) {
      for (const [key, item] of value) {
        writer.bytes(
          number,
          new WireWriter(key.length + item.length + 16).string(KEY, key).bytes(VALUE, item).finish(),
        );
      }
    },
    read(reader, before) {
      let key = "";
      let item = NO_BYTES;
      const outer = reader.enter();
      while (reader.next()) {
        if (reader.field === KEY) key = reader.string();
        else if (reader.field === VALUE) item = reader.bytes();
      }
      reader.leave(outer);
      return (before as Map<string, Uint8Array>).set(key, item);
    },
  };
}

function repeated<T>(
  number: number,
  maxItems: number,
  write: (writer: WireWriter, item: T) => void,
  read: (reader: WireReader) => T,
): MessageField<readonly T[]> {
  return {
    number,
    maxItems,
    absent: () => [],
    write(writer, items) {
      for (const item of items) write(writer, item);
    },
    read(reader, before) {
      // What `absent` made for this message alone.
      (before as T[]).push(read(reader));
      return before;
    },
  };
}
