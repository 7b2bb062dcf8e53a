import { Fault, isFaultCode } from "../base/fault.ts";
import { WireError, WireReader, WireWriter } from "../base/wire.ts";
import { type BlockTimes, NO_REGISTRATIONS, type Registrations } from "../functions/sandbox-port.ts";

/** What the sandbox process tells the coordinator. */
export type Report =
  /** It took its configuration. */
  | { readonly kind: "ready" }
  | { readonly kind: "loaded"; readonly id: number; readonly registrations: Registrations }
  | { readonly kind: "result"; readonly id: number; readonly result: Uint8Array }
  /** Ends a load or a run. */
  | { readonly kind: "failed"; readonly id: number; readonly fault: Fault }
  /** A run asks for a remote function: on the shard of `key`, or on every shard where there is none. */
  | {
      readonly kind: "remote-call";
      readonly runId: number;
      /** Unique within the run. */
      readonly callId: number;
      readonly remoteFunction: string;
      /** Its own time; undefined: it has what every remote call has. */
      readonly timeoutMs: number | undefined;
      /** See RemoteCall. */
      readonly rerunOnChange: boolean;
      readonly key: Uint8Array | undefined;
      readonly args: readonly Uint8Array[];
    }
  /** A run has a message for whoever subscribed to its type. Answered like a `remote-call`. */
  | {
      readonly kind: "publish";
      readonly runId: number;
      /** Unique within the run, among those of remote calls. */
      readonly callId: number;
      readonly messageType: string;
      /** An encoded Payload. */
      readonly payload: Uint8Array;
    }
  /** How far the task of a run is: an encoded Payload. Not answered. */
  | { readonly kind: "progress"; readonly id: number; readonly progress: Uint8Array }
  /** A run has background work, and may go on after its `result` or `failed`: until `over`, which comes after either. */
  | { readonly kind: "background"; readonly id: number }
  | { readonly kind: "over"; readonly id: number }
  /** Of a run whose blocks are to be told, before its `result` or `failed`. */
  | { readonly kind: "block"; readonly id: number; readonly times: BlockTimes }
  /** From the watchdog, twice a second. */
  | { readonly kind: "alive"; readonly rssBytes: number }
  | { readonly kind: "log"; readonly library: string; readonly text: string }
  /** Redis answered a command with this MOVED. */
  | { readonly kind: "moved"; readonly text: string }
  /** An isolate does not stop, and only the end of the process will end it. `id` is that of the run, or load, whose code it is, `loadId` that of the library's load. */
  | { readonly kind: "stuck"; readonly reason: string; readonly id: number; readonly loadId: number }
  /** From a process that was told to: which library's code has the main thread from now on, by its load; 0: none; undefined: it says so no more. */
  | { readonly kind: "running"; readonly loadId: number | undefined }
  /** It is about to greet its Redis. Answered with the order of the same name. */
  | { readonly kind: "credentials" };

const KIND = {
  ready: 1,
  loaded: 2,
  result: 3,
  failed: 4,
  "remote-call": 5,
  alive: 6,
  log: 7,
  stuck: 8,
  background: 9,
  over: 10,
  credentials: 11,
  running: 12,
  moved: 13,
  publish: 14,
  block: 15,
  progress: 16,
} as const;

/** Times travel as whole microseconds. */
const US_PER_MS = 1000;

/** Field 1 of every frame is its kind. */
export function encodeReport(report: Report): Buffer {
  const writer = new WireWriter(sizeHint(report));
  writer.uint(1, KIND[report.kind]);
  switch (report.kind) {
    case "ready":
    case "credentials":
      return writer.finish();
    case "loaded":
      return writer.uint(2, report.id).string(3, JSON.stringify(report.registrations)).finish();
    case "result":
      return writer.uint(2, report.id).bytes(3, report.result).finish();
    case "failed":
      return writer.uint(2, report.id).string(3, report.fault.code).string(4, report.fault.message).finish();
    case "remote-call":
      writer.uint(2, report.runId).uint(3, report.callId).string(4, report.remoteFunction);
      if (report.key) writer.bytes(5, report.key);
      for (const arg of report.args) writer.bytes(6, arg);
      if (report.timeoutMs !== undefined) writer.uint(7, report.timeoutMs);
      if (report.rerunOnChange) writer.uint(8, 1);
      return writer.finish();
    case "publish":
      writer.uint(2, report.runId).uint(3, report.callId).string(4, report.messageType);
      return writer.bytes(5, report.payload).finish();
    case "progress":
      return writer.uint(2, report.id).bytes(3, report.progress).finish();
    case "background":
    case "over":
      return writer.uint(2, report.id).finish();
    case "block": {
      const startedAtUs = Math.round(report.times.startedAtMs * US_PER_MS);
      const endedAtUs = Math.max(startedAtUs, Math.round(report.times.endedAtMs * US_PER_MS));
      return writer.uint(2, report.id).uint(3, startedAtUs).uint(4, endedAtUs).finish();
    }
    case "alive":
      return writer.uint(2, report.rssBytes).finish();
    case "log":
      return writer.string(2, report.library).string(3, report.text).finish();
    case "moved":
      return writer.string(2, report.text).finish();
    case "stuck":
      return writer.uint(2, report.id).string(3, report.reason).uint(4, report.loadId).finish();
    case "running":
      return (report.loadId === undefined ? writer : writer.uint(2, report.loadId + 1)).finish();
  }
}

/** Unit: bytes. */
function sizeHint(report: Report): number {
  if (report.kind === "result") return report.result.length + 48;
  if (report.kind === "progress") return report.progress.length + 48;
  return report.kind === "publish" ? report.payload.length + 256 : 256;
}

/** Throws WireError. Byte strings are views into the frame. */
export function decodeReport(frame: Uint8Array): Report {
  const reader = new WireReader(frame);
  const kind = reader.next() ? reader.uint() : 0;
  switch (kind) {
    case KIND.ready:
      return { kind: "ready" };
    case KIND.loaded:
      return readLoaded(reader);
    case KIND.result:
      return readResult(reader);
    case KIND.failed:
      return readFailed(reader);
    case KIND["remote-call"]:
      return readRemoteCall(reader);
    case KIND.publish:
      return readPublish(reader);
    case KIND.progress:
      return readProgress(reader);
    case KIND.background:
      return { kind: "background", id: reader.next() ? reader.uint() : 0 };
    case KIND.over:
      return { kind: "over", id: reader.next() ? reader.uint() : 0 };
    case KIND.block:
      return readBlock(reader);
    case KIND.alive:
      return { kind: "alive", rssBytes: reader.next() ? reader.uint() : 0 };
    case KIND.log:
      return readLog(reader);
    case KIND.moved:
      return { kind: "moved", text: reader.next() ? reader.string() : "" };
    case KIND.stuck:
      return readStuck(reader);
    case KIND.credentials:
      return { kind: "credentials" };
    case KIND.running:
      return { kind: "running", loadId: reader.next() ? reader.uint() - 1 : undefined };
    default:
      throw new WireError(`unknown report ${kind}`);
  }
}

function readLoaded(reader: WireReader): Report {
  let id = 0;
  let registrations = NO_REGISTRATIONS;
  while (reader.next()) {
    if (reader.field === 2) id = reader.uint();
    else if (reader.field === 3) registrations = JSON.parse(reader.string()) as Registrations;
  }
  return { kind: "loaded", id, registrations };
}

function readResult(reader: WireReader): Report {
  let id = 0;
  let result: Uint8Array = new Uint8Array(0);
  while (reader.next()) {
    if (reader.field === 2) id = reader.uint();
    else if (reader.field === 3) result = reader.bytes();
  }
  return { kind: "result", id, result };
}

function readFailed(reader: WireReader): Report {
  let id = 0;
  let code = "";
  let message = "";
  while (reader.next()) {
    if (reader.field === 2) id = reader.uint();
    else if (reader.field === 3) code = reader.string();
    else if (reader.field === 4) message = reader.string();
  }
  return { kind: "failed", id, fault: new Fault(isFaultCode(code) ? code : "INTERNAL", message) };
}

function readRemoteCall(reader: WireReader): Report {
  let runId = 0;
  let callId = 0;
  let remoteFunction = "";
  let timeoutMs: number | undefined;
  let rerunOnChange = false;
  let key: Uint8Array | undefined;
  const args: Uint8Array[] = [];
  while (reader.next()) {
    if (reader.field === 2) runId = reader.uint();
    else if (reader.field === 3) callId = reader.uint();
    else if (reader.field === 4) remoteFunction = reader.string();
    else if (reader.field === 5) key = reader.bytes();
    else if (reader.field === 6) args.push(reader.bytes());
    else if (reader.field === 7) timeoutMs = reader.uint();
    else if (reader.field === 8) rerunOnChange = reader.uint() === 1;
  }
  return { kind: "remote-call", runId, callId, remoteFunction, timeoutMs, rerunOnChange, key, args };
}

function readPublish(reader: WireReader): Report {
  let runId = 0;
  let callId = 0;
  let messageType = "";
  let payload: Uint8Array = new Uint8Array(0);
  while (reader.next()) {
    if (reader.field === 2) runId = reader.uint();
    else if (reader.field === 3) callId = reader.uint();
    else if (reader.field === 4) messageType = reader.string();
    else if (reader.field === 5) payload = reader.bytes();
  }
  return { kind: "publish", runId, callId, messageType, payload };
}

function readProgress(reader: WireReader): Report {
  let id = 0;
  let progress: Uint8Array = new Uint8Array(0);
  while (reader.next()) {
    if (reader.field === 2) id = reader.uint();
    else if (reader.field === 3) progress = reader.bytes();
  }
  return { kind: "progress", id, progress };
}

function readBlock(reader: WireReader): Report {
  let id = 0;
  let startedAtMs = 0;
  let endedAtMs = 0;
  while (reader.next()) {
    if (reader.field === 2) id = reader.uint();
    else if (reader.field === 3) startedAtMs = reader.uint() / US_PER_MS;
    else if (reader.field === 4) endedAtMs = reader.uint() / US_PER_MS;
  }
  return { kind: "block", id, times: { startedAtMs, endedAtMs } };
}

function readStuck(reader: WireReader): Report {
  let id = 0;
  let reason = "";
  let loadId = 0;
  while (reader.next()) {
    if (reader.field === 2) id = reader.uint();
    else if (reader.field === 3) reason = reader.string();
    else if (reader.field === 4) loadId = reader.uint();
  }
  return { kind: "stuck", id, reason, loadId };
}

function readLog(reader: WireReader): Report {
  let library = "";
  let text = "";
  while (reader.next()) {
    if (reader.field === 2) library = reader.string();
    else if (reader.field === 3) text = reader.string();
  }
  return { kind: "log", library, text };
}
