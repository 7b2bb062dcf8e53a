import { ApiError } from "./api-error.ts";
import { type AnyFunction, commandArgument, functionFrom, targetFrom } from "./arguments.ts";
import { type Answer, type Host, replyIn } from "./host.ts";
import { packArguments, packMessage, packProgress, sizeOf } from "./payloads.ts";
import { defineProperty, resolved, whenSettled } from "./primordials.ts";
import { type RemoteTarget, resultsAndErrors, singleValue, subscribersReached, type Task } from "./run.ts";

/** Name and arguments of one command. It leaves the isolate by copies that no limit of V8 covers. */
const MAX_COMMAND_BYTES = 64 * 1024 * 1024;

/** What the clients of one isolate share. */
export class ClientContext {
  readonly host: Host;
  readonly maxBytes: number;
  /** The block that runs; an isolate runs one at a time, since a block is synchronous. */
  openBlock: Block | undefined;

  constructor(host: Host, maxBytes: number) {
    this.host = host;
    this.maxBytes = maxBytes;
  }

  /** Runs `body` with a client that may use the shard's Redis until it returns. */
  block(task: Task, body: AnyFunction, args: readonly unknown[]): unknown {
    task.assertGoesOn();
    if (this.openBlock) throw new ApiError("a block cannot be opened within a block");
    const block = new Block(task);
    this.openBlock = block;
    try {
      return body(...([new BlockClient(this, block), ...args] as never[]));
    } finally {
      this.openBlock = undefined;
    }
  }

  /** Tells how far the task is that the run works. Nothing answers: who waits for the task learns of it. */
  progress({ run }: Task, value: unknown): void {
    const payload = packProgress(value, this.maxBytes);
    if (this.host.progress(run.id, payload)) return;
    throw new ApiError("'progress' is for a task's own function, as register_task has it: this one works no task");
  }
}

class Block {
  readonly task: Task;

  constructor(task: Task) {
    this.task = task;
  }
}

/** What a block and a synchronous function are given. */
export class BlockClient {
  readonly #context: ClientContext;
  readonly #block: Block;

  constructor(context: ClientContext, block: Block) {
    this.#context = context;
    this.#block = block;
  }

  call(...args: unknown[]): unknown {
    return replyIn(this.#command(false, args));
  }

  callRaw(...args: unknown[]): unknown {
    return replyIn(this.#command(true, args));
  }

  callAsync(...args: unknown[]): Promise<unknown> {
    return replyLater(this.#command(false, args));
  }

  callAsyncRaw(...args: unknown[]): Promise<unknown> {
    return replyLater(this.#command(true, args));
  }

  isBlockAllowed(): boolean {
    return true;
  }

  /** Runs `body` with an async client once this block has ended, and after its function if that does not wait; returns its promise. */
  executeAsync(body: unknown): Promise<unknown> {
    this.#assertOpen();
    const call = functionFrom(body, "executeAsync");
    return this.#block.task.run.background((task) => call(new AsyncClient(this.#context, task) as never));
  }

  /** A block is synchronous and cannot wait for other nodes. */
  publish(): never {
    throw new ApiError("'publish' is not for blocks: use the async client, or that of executeAsync");
  }

  progress(value: unknown): void {
    this.#assertOpen();
    this.#context.progress(this.#block.task, value);
  }

  #assertOpen(): void {
    if (this.#context.openBlock !== this.#block) throw new ApiError("the client was used after its block ended");
  }

  #command(isRaw: boolean, args: readonly unknown[]): Answer {
    this.#assertOpen();
    const packed: (string | ArrayBuffer)[] = [];
    let bytes = 0;
    for (let i = 0; i < args.length; i++) {
      const arg = commandArgument(args[i]);
      packed[i] = arg;
      bytes += sizeOf(arg);
    }
    if (bytes > MAX_COMMAND_BYTES) {
      throw new ApiError(`a command takes more than ${MAX_COMMAND_BYTES} bytes`, "RESOURCE_EXHAUSTED");
    }
    // Never an array that holds the run's id and is then written to: a setter on Array.prototype would get hold of it.
    return this.#context.host.call(this.#block.task.run.id, isRaw, ...packed);
  }
}

/** What an async and a remote function are given. */
export class AsyncClient {
  readonly #context: ClientContext;
  readonly #task: Task;

  constructor(context: ClientContext, task: Task) {
    this.#context = context;
    this.#task = task;
  }

  block(body: unknown): unknown {
    return this.#context.block(this.#task, functionFrom(body, "block"), []);
  }

  runOnKey(key: unknown, remoteFunction: unknown, ...args: unknown[]): Promise<unknown> {
    const target = targetFrom(remoteFunction);
    if (target.rerunOnChange)
      throw new ApiError("rerunOnChange is for runOnShards: runOnKey follows its key by itself");
    const outcomes = this.#remoteCall(target, commandArgument(key), args);
    return whenSettled(outcomes, singleValue as (outcomes: unknown) => unknown);
  }

  runOnShards(remoteFunction: unknown, ...args: unknown[]): Promise<unknown> {
    const outcomes = this.#remoteCall(targetFrom(remoteFunction), null, args);
    return whenSettled(outcomes, resultsAndErrors as (outcomes: unknown) => unknown);
  }

  /** Sends a message to whoever has subscribed to its type, on any node; resolves with the number of those it reached. */
  publish(messageType: unknown, message: unknown): Promise<unknown> {
    this.#task.assertGoesOn();
    if (typeof messageType !== "string") throw new ApiError("the message type of 'publish' must be a string");
    const payload = packMessage(message, this.#context.maxBytes, messageType.length);
    const outcomes = this.#task.run.publish(messageType, payload);
    return whenSettled(outcomes, subscribersReached as (outcomes: unknown) => unknown);
  }

  progress(value: unknown): void {
    this.#task.assertGoesOn();
    this.#context.progress(this.#task, value);
  }

  #remoteCall(target: RemoteTarget, key: string | ArrayBuffer | null, args: readonly unknown[]): Promise<unknown> {
    this.#task.assertGoesOn();
    const ownBytes = target.name.length + (key === null ? 0 : sizeOf(key));
    const payloads = packArguments(args, this.#context.maxBytes, ownBytes);
    return this.#task.run.remoteCall(target, key, payloads);
  }
}

alias(BlockClient.prototype, { call_raw: "callRaw", allow_block: "isBlockAllowed", run_on_background: "executeAsync" });
alias(AsyncClient.prototype, { run_on_key: "runOnKey", run_on_all_shards: "runOnShards" });

/** What came with version 1.1 of the API. Libraries that ask for 1.0 do not have it: they may tell by its absence. */
export function withholdLaterMethods(apiVersion: string): void {
  if (apiVersion !== "1.0") return;
  const prototype = BlockClient.prototype as Partial<BlockClient>;
  delete prototype.callAsync;
  delete prototype.callAsyncRaw;
}

/** A promise for the reply. The command was answered already; whoever waits learns of it after the block, errors included. */
function replyLater(answer: Answer): Promise<unknown> {
  return whenSettled(resolved(undefined), () => replyIn(answer));
}

/** The API's older spelling. */
function alias(prototype: object, names: Readonly<Record<string, string>>): void {
  for (const older in names) {
    const method = (prototype as Record<string, unknown>)[names[older] as string];
    defineProperty(prototype, older, { value: method, writable: true, configurable: true });
  }
}
