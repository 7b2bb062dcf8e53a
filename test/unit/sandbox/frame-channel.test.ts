import { Duplex } from "node:stream";
import test from "ava";
import fc from "fast-check";
import { FrameChannel } from "../../../src/sandbox/frame-channel.ts";

/** A socket whose writes are collected, and which gives what `arrive` is told. */
class Wire extends Duplex {
  readonly writes: Buffer[] = [];

  override _read(): void {
    // Pushed by `arrive`.
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.writes.push(chunk);
    done();
  }

  arrive(chunk: Buffer): void {
    this.emit("data", chunk);
  }
}

function receiving(): { wire: Wire; channel: FrameChannel; frames: Buffer[]; ends: () => number } {
  const wire = new Wire();
  const frames: Buffer[] = [];
  let ends = 0;
  const channel = new FrameChannel(wire, { frame: (bytes) => frames.push(bytes), ended: () => ends++ });
  return { wire, channel, frames, ends: () => ends };
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test("the frames of a turn leave in one write", async (t) => {
  const { wire, channel } = receiving();
  channel.send(Buffer.from("a"));
  channel.send(Buffer.from("bc"));
  t.is(wire.writes.length, 0);
  t.is(channel.waitingBytes, 11);
  await nextTurn();
  t.deepEqual(wire.writes, [Buffer.from("\0\0\0\x01a\0\0\0\x02bc")]);
  t.is(channel.waitingBytes, 0);
});

test("frames arrive whole however the bytes are cut", async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 17 }), { minLength: 1, maxLength: 8 }),
      async (sent, cuts) => {
        const from = receiving();
        for (const frame of sent) from.channel.send(Buffer.from(frame));
        await nextTurn();
        const bytes = Buffer.concat(from.wire.writes);
        const to = receiving();
        for (let at = 0, cut = 0; at < bytes.length; cut++) {
          const size = cuts[cut % cuts.length] ?? 1;
          to.wire.arrive(bytes.subarray(at, at + size));
          at += size;
        }
        t.deepEqual(
          to.frames,
          sent.map((frame) => Buffer.from(frame)),
        );
      },
    ),
  );
});

test("a length that no frame of ours has ends the channel, once", (t) => {
  const { wire, channel, frames, ends } = receiving();
  wire.arrive(Buffer.from([0xff, 0xff, 0xff, 0xff, 1, 2]));
  wire.emit("end");
  channel.close();
  t.is(ends(), 1);
  t.is(frames.length, 0);
});

test("nothing is written after the end", async (t) => {
  const { wire, channel } = receiving();
  channel.send(Buffer.from("a"));
  wire.emit("end");
  channel.send(Buffer.from("b"));
  await nextTurn();
  t.is(wire.writes.length, 0);
});
