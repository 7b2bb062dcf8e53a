import type { Socket } from "node:net";
import { deadlineIn, monotonicMs } from "../../base/deadline.ts";
import { Fault } from "../../base/fault.ts";
import { encodePayload, type Payload } from "../../base/payload.ts";
import type { LibrarySource } from "../../functions/sandbox-port.ts";
import { FrameChannel } from "../frame-channel.ts";
import { decodeOrder, type Order, type RemoteAnswer } from "../orders.ts";
import { encodeReport, type Report } from "../reports.ts";
import type { SandboxConfiguration, SandboxLimits } from "../settings.ts";
import { BlockCommands } from "./block-commands.ts";
import type { GuestModules } from "./guest-modules.ts";
import { HostRun } from "./host-run.ts";
import { HostedLibrary } from "./hosted-library.ts";
import type { LibraryReports } from "./library-instance.ts";
import { LogLimiter } from "./log-limiter.ts";
import { PacedProgress } from "./paced-progress.ts";
import type { RunningCode } from "./running-code.ts";
import type { ShardAccess } from "./shard-access.ts";
import { TurnQueue } from "./turn-queue.ts";

export interface SandboxHostParts {
  /** To the coordinator. */
  readonly socket: Socket;
  readonly modules: GuestModules;
  readonly running: RunningCode;
  /** Called once, with what the coordinator configured. */
  readonly openShard: (configuration: SandboxConfiguration, credentials: () => Promise<unknown>) => ShardAccess;
  /** The coordinator watches from now on; see RunningCode for `traceMs`. */
  readonly watched: (traceMs: number) => void;
  /** The coordinator is gone: the process must end. */
  readonly abandoned: () => void;
}

interface Configured {
  readonly limits: SandboxLimits;
  readonly commands: BlockCommands;
}

/** The sandbox process: does what the coordinator orders, and reports. */
export class SandboxHost {
  readonly #parts: SandboxHostParts;
  readonly #channel: FrameChannel;
  readonly #libraries = new Map<string, HostedLibrary>();
  readonly #runs = new Map<number, HostRun>();
  readonly #turns = new TurnQueue(monotonicMs);
  /** Of the question that the coordinator has not answered yet. */
  #credentials: PromiseWithResolvers<unknown> | undefined;
  #configured: Configured | undefined;

  constructor(parts: SandboxHostParts) {
    this.#parts = parts;
    const receiver = { frame: (bytes: Buffer) => this.#obey(decodeOrder(bytes)), ended: parts.abandoned };
    this.#channel = new FrameChannel(parts.socket, receiver, () => this.#runs.size <= 1);
  }

  #obey(order: Order): void {
    switch (order.kind) {
      case "configure":
        void this.#configure(order);
        break;
      case "load":
        void this.#load(order.id, order.library);
        break;
      case "unload":
        this.#unload(order.hash);
        break;
      case "run":
        this.#run(order);
        break;
      case "cancel":
        this.#cancel(order.id);
        break;
      case "remote-answer":
        this.#answer(order);
        break;
      case "credentials":
        this.#credentials?.resolve(order.credentials);
        this.#credentials = undefined;
        break;
    }
  }

  #report(report: Report): void {
    this.#channel.send(encodeReport(report));
  }

  async #configure({ configuration, traceMs }: Extract<Order, { kind: "configure" }>): Promise<void> {
    const { limits } = configuration;
    const shard = this.#parts.openShard(configuration, () => this.#askForCredentials());
    const commands = new BlockCommands({
      shard,
      turns: this.#turns,
      maxHoldMs: limits.lockRedisTimeoutMs,
      moved: (text) => this.#report({ kind: "moved", text }),
      blockEnded: ({ id }, times) => this.#report({ kind: "block", id, times }),
    });
    this.#configured = { limits, commands };
    this.#parts.watched(traceMs);
    // The first runs wait for `ready`: after a restart they find Redis as it was before.
    await shard.opened;
    this.#report({ kind: "ready" });
  }

  /** A connection that is given up leaves its question to the next one. */
  #askForCredentials(): Promise<unknown> {
    if (!this.#credentials) {
      this.#credentials = Promise.withResolvers();
      this.#report({ kind: "credentials" });
    }
    return this.#credentials.promise;
  }

  async #load(id: number, source: LibrarySource): Promise<void> {
    try {
      if (!this.#configured) throw new Fault("INTERNAL", "the sandbox process was not configured");
      const { modules, running } = this.#parts;
      const library = new HostedLibrary({
        source,
        modules,
        running,
        loadId: id,
        reports: () => this.#reports(id),
        ...this.#configured,
      });
      this.#libraries.get(source.hash)?.dispose();
      this.#libraries.set(source.hash, library);
      this.#report({ kind: "loaded", id, registrations: await library.load() });
    } catch (thrown) {
      this.#unload(source.hash);
      this.#report({ kind: "failed", id, fault: Fault.from(thrown) });
    }
  }

  #unload(hash: string): void {
    this.#libraries.get(hash)?.dispose();
    this.#libraries.delete(hash);
  }

  #run({ id, run, timeoutMs, tellsBlocks }: Extract<Order, { kind: "run" }>): void {
    const library = this.#libraries.get(run.hash);
    const hostRun = new HostRun(id, run, deadlineIn(timeoutMs), tellsBlocks);
    if (library) {
      this.#runs.set(id, hostRun);
      this.#turns.push(run.hash, {
        run: () => library.start(hostRun),
        mayRunMeanwhile: () => library.mayStartMeanwhile(hostRun),
      });
    } else {
      this.#failed(hostRun, new Fault("UNKNOWN_LIBRARY", "this version of the library is not loaded"));
    }
  }

  #cancel(id: number): void {
    const run = this.#runs.get(id);
    if (!run) return;
    this.#runs.delete(id);
    this.#libraries.get(run.run.hash)?.cancel(run);
  }

  #answer(answer: RemoteAnswer): void {
    const run = this.#runs.get(answer.runId);
    const library = run && this.#libraries.get(run.run.hash);
    if (!library) return;
    this.#turns.push(run.run.hash, {
      run: () => library.answer(run, answer),
      mayRunMeanwhile: () => library.mayAnswerMeanwhile(run),
    });
  }

  #reports(loadId: number): LibraryReports {
    const logLimiter = new LogLimiter(monotonicMs);
    return {
      succeeded: (run, result) => {
        this.#settling(run);
        this.#report({ kind: "result", id: run.id, result });
        this.#dropIfOver(run);
      },
      failed: (run, fault) => this.#failed(run, fault),
      remoteCall: (run, callId, { name, ...call }) =>
        this.#report({ kind: "remote-call", runId: run.id, callId, remoteFunction: name, ...call }),
      publish: (run, callId, messageType, payload) =>
        this.#report({ kind: "publish", runId: run.id, callId, messageType, payload }),
      progress: (run, progress) => {
        run.progress ??= new PacedProgress((newest) => this.#progress(run, newest));
        run.progress.told(progress);
      },
      background: (run) => this.#report({ kind: "background", id: run.id }),
      over: (run) => this.#dropIfOver(run),
      // Not at once: it may wait for Redis, and what the function returned would wait with it.
      later: (run, callId) =>
        setImmediate(() =>
          this.#answer({ kind: "remote-answer", runId: run.id, callId, snapshot: undefined, outcomes: [] }),
        ),
      log: (library, text) => {
        const line = logLimiter.take(text);
        if (line !== undefined) this.#report({ kind: "log", library, text: line });
      },
      stuck: (reason) => this.#report({ kind: "stuck", reason, id: loadId, loadId }),
    };
  }

  #progress({ id }: HostRun, progress: Payload): void {
    this.#report({ kind: "progress", id, progress: encodePayload(progress) });
  }

  /** What is known of the run goes before its answer. */
  #settling(run: HostRun): void {
    this.#configured?.commands.settling(run);
    run.progress?.settling();
  }

  #failed(run: HostRun, fault: Fault): void {
    this.#settling(run);
    this.#report({ kind: "failed", id: run.id, fault });
    this.#dropIfOver(run);
  }

  #dropIfOver(run: HostRun): void {
    if (!run.isOver || !this.#runs.delete(run.id)) return;
    if (run.hadBackgroundWork) this.#report({ kind: "over", id: run.id });
  }
}
