import { WireError, WireReader, WireWriter } from "../base/wire.ts";
import type { LibrarySource, Run, ShardOutcome, Snapshot } from "../functions/sandbox-port.ts";
import type { SandboxConfiguration } from "./settings.ts";

/** Answer to a `remote-call` report, or to a `publish`: then its one payload is the number of subscribers, as JSON. */
export interface RemoteAnswer {
  readonly kind: "remote-answer";
  readonly runId: number;
  readonly callId: number;
  /** Undefined: it was no call of every shard, and has one outcome. */
  readonly snapshot: Snapshot | undefined;
  readonly outcomes: readonly ShardOutcome[];
}

/** What the coordinator tells its sandbox process. */
export type Order =
  /** The first one. */
  | {
      readonly kind: "configure";
      readonly configuration: SandboxConfiguration;
      /** How long the process reports whose code is running, which costs a little each time. Unit: ms. */
      readonly traceMs: number;
    }
  /** Answered with `loaded` or `failed`. */
  | { readonly kind: "load"; readonly id: number; readonly library: LibrarySource }
  | { readonly kind: "unload"; readonly hash: string }
  /** Answered with `result` or `failed`. */
  | {
      readonly kind: "run";
      readonly id: number;
      readonly run: Omit<Run, "blockEnded" | "progressed">;
      readonly timeoutMs: number;
      /** Whether its blocks are reported. */
      readonly tellsBlocks: boolean;
    }
  /** The run's answer is no longer wanted, and none need come. */
  | { readonly kind: "cancel"; readonly id: number }
  | RemoteAnswer
  /** Answer to a `credentials` report; undefined: there are none now. */
  | { readonly kind: "credentials"; readonly credentials: unknown };

const KIND = {
  configure: 1,
  load: 2,
  unload: 3,
  run: 4,
  cancel: 5,
  "remote-answer": 6,
  credentials: 7,
} as const;

const RUN_KIND = { function: 0, remote: 1, method: 2, task: 3, middleware: 4 } as const satisfies Record<
  Run["kind"],
  number
>;
const RUN_KINDS = new Map<number, Run["kind"]>(
  Object.entries(RUN_KIND).map(([kind, number]) => [number, kind as Run["kind"]]),
);

/** Field 1 of every frame is its kind. */
export function encodeOrder(order: Order): Buffer {
  const writer = new WireWriter().uint(1, KIND[order.kind]);
  switch (order.kind) {
    case "configure":
      return writer.string(2, JSON.stringify(order.configuration)).uint(3, order.traceMs).finish();
    case "load": {
      const { name, hash, text, config } = order.library;
      return writer.uint(2, order.id).string(3, name).string(4, hash).string(5, text).string(6, config).finish();
    }
    case "unload":
      return writer.string(2, order.hash).finish();
    case "run": {
      const { hash, function: name, kind, args, asking } = order.run;
      writer.uint(2, order.id).uint(3, order.timeoutMs).string(4, hash).string(5, name);
      writer.uint(6, RUN_KIND[kind]);
      for (const arg of args) writer.bytes(7, arg);
      if (asking) writer.uint(8, 1);
      if (order.tellsBlocks) writer.uint(9, 1);
      return writer.finish();
    }
    case "cancel":
      return writer.uint(2, order.id).finish();
    case "remote-answer":
      writer.uint(2, order.runId).uint(3, order.callId);
      for (const outcome of order.outcomes) {
        if (outcome.ok) writer.bytes(4, outcome.payload);
        else writer.string(5, outcome.error);
      }
      if (order.snapshot) writer.string(6, JSON.stringify(order.snapshot));
      return writer.finish();
    case "credentials":
      return writer.string(2, JSON.stringify(order.credentials) ?? "").finish();
  }
}

/** Throws WireError. Byte strings are views into the frame. */
export function decodeOrder(frame: Uint8Array): Order {
  const reader = new WireReader(frame);
  const kind = reader.next() ? reader.uint() : 0;
  switch (kind) {
    case KIND.configure:
      return readConfigure(reader);
    case KIND.load:
      return readLoad(reader);
    case KIND.unload:
      return { kind: "unload", hash: onlyText(reader) };
    case KIND.run:
      return readRun(reader);
    case KIND.cancel:
      return { kind: "cancel", id: reader.next() ? reader.uint() : 0 };
    case KIND["remote-answer"]:
      return readRemoteAnswer(reader);
    case KIND.credentials:
      return readCredentials(reader);
    default:
      throw new WireError(`unknown order ${kind}`);
  }
}

function onlyText(reader: WireReader): string {
  return reader.next() ? reader.string() : "";
}

function readConfigure(reader: WireReader): Order {
  let text = "";
  let traceMs = 0;
  while (reader.next()) {
    if (reader.field === 2) text = reader.string();
    else if (reader.field === 3) traceMs = reader.uint();
  }
  return { kind: "configure", configuration: JSON.parse(text), traceMs };
}

function readCredentials(reader: WireReader): Order {
  const text = onlyText(reader);
  return { kind: "credentials", credentials: text === "" ? undefined : JSON.parse(text) };
}

function readLoad(reader: WireReader): Order {
  let id = 0;
  let name = "";
  let hash = "";
  let text = "";
  let config = "";
  while (reader.next()) {
    if (reader.field === 2) id = reader.uint();
    else if (reader.field === 3) name = reader.string();
    else if (reader.field === 4) hash = reader.string();
    else if (reader.field === 5) text = reader.string();
    else if (reader.field === 6) config = reader.string();
  }
  return { kind: "load", id, library: { name, hash, text, config } };
}

function readRun(reader: WireReader): Order {
  let id = 0;
  let timeoutMs = 0;
  let hash = "";
  let name = "";
  let kind: Run["kind"] = "function";
  let isAsking = false;
  let tellsBlocks = false;
  const args: Uint8Array[] = [];
  while (reader.next()) {
    if (reader.field === 2) id = reader.uint();
    else if (reader.field === 3) timeoutMs = reader.uint();
    else if (reader.field === 4) hash = reader.string();
    else if (reader.field === 5) name = reader.string();
    else if (reader.field === 6) kind = runKind(reader.uint());
    else if (reader.field === 7) args.push(reader.bytes());
    else if (reader.field === 8) isAsking = reader.uint() === 1;
    else if (reader.field === 9) tellsBlocks = reader.uint() === 1;
  }
  const run: Run = { hash, function: name, kind, args };
  return { kind: "run", id, timeoutMs, tellsBlocks, run: isAsking ? { ...run, asking: true } : run };
}

function runKind(number: number): Run["kind"] {
  const kind = RUN_KINDS.get(number);
  if (!kind) throw new WireError(`unknown kind of run ${number}`);
  return kind;
}

function readRemoteAnswer(reader: WireReader): RemoteAnswer {
  let runId = 0;
  let callId = 0;
  let snapshot: Snapshot | undefined;
  const outcomes: ShardOutcome[] = [];
  while (reader.next()) {
    if (reader.field === 2) runId = reader.uint();
    else if (reader.field === 3) callId = reader.uint();
    else if (reader.field === 4) outcomes.push({ ok: true, payload: reader.bytes() });
    else if (reader.field === 5) outcomes.push({ ok: false, error: reader.string() });
    else if (reader.field === 6) snapshot = JSON.parse(reader.string());
  }
  return { kind: "remote-answer", runId, callId, snapshot, outcomes };
}
