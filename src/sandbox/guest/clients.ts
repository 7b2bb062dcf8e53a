import { ApiError } from "./api-error.ts";
import { type Answer, type Host, replyIn } from "./host.ts";
import { packArguments } from "./payloads.ts";
import { applyFunction, defineProperty, resolved, whenSettled } from "./primordials.ts";
import { type Run, resultsAndErrors, singleValue } from "./run.ts";

type AnyFunction = (...args: never[]) => unknown;

/** What the clients of one isolate share. */
export class ClientContext {
  readonly host: Host;
  readonly maxBytes: number;
  /** The block that runs; an isolate runs one at a time, since a block is synchronous. */
  openBlock: Block | undefined;
  #blockCount = 0;

  constructor(host: Host, maxBytes: number) {
    this.host = host;
    this.maxBytes = maxBytes;
  }

  /** Runs `body` with a client that may use the shard's Redis until it returns. */
  block(run: Run, body: AnyFunction, args: readonly unknown[]): unknown {
    run.assertGoesOn();
    if (this.openBlock) throw new ApiError("a block cannot be opened within a block");
    const block = new Block(++this.#blockCount, run);
    this.openBlock = block;
    try {
      return body(...([new BlockClient(this, block), ...args] as never[]));
    } finally {
      this.openBlock = undefined;
    }
  }
}

class Block {
  readonly id: number;
  readonly run: Run;

  constructor(id: number, run: Run) {
    this.id = id;
    this.run = run;
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
    return this.#command(false, args);
  }

  callRaw(...args: unknown[]): unknown {
    return this.#command(true, args);
  }

  isBlockAllowed(): boolean {
    return true;
  }

  /** Runs `body` with an async client once this block has ended; returns its promise. */
  executeAsync(body: unknown): Promise<unknown> {
    this.#assertOpen();
    const client = new AsyncClient(this.#context, this.#block.run);
    const call = functionFrom(body, "executeAsync");
    return whenSettled(resolved(undefined), () => call(client as never));
  }

  #assertOpen(): void {
    if (this.#context.openBlock !== this.#block) throw new ApiError("the client was used after its block ended");
  }

  #command(isRaw: boolean, args: readonly unknown[]): unknown {
    this.#assertOpen();
    const message: unknown[] = [this.#block.run.id, this.#block.id, isRaw];
    for (let i = 0; i < args.length; i++) message[i + 3] = commandArgument(args[i]);
    return replyIn(applyFunction(this.#context.host.call, undefined, message) as Answer);
  }
}

/** What an async and a remote function are given. */
export class AsyncClient {
  readonly #context: ClientContext;
  readonly #run: Run;

  constructor(context: ClientContext, run: Run) {
    this.#context = context;
    this.#run = run;
  }

  block(body: unknown): unknown {
    return this.#context.block(this.#run, functionFrom(body, "block"), []);
  }

  runOnKey(key: unknown, remoteFunction: unknown, ...args: unknown[]): Promise<unknown> {
    const payloads = packArguments(args, this.#context.maxBytes);
    const outcomes = this.#run.remoteCall(nameFrom(remoteFunction), commandArgument(key), payloads);
    return whenSettled(outcomes as Promise<unknown>, singleValue as (outcomes: unknown) => unknown);
  }

  runOnShards(remoteFunction: unknown, ...args: unknown[]): Promise<unknown> {
    const payloads = packArguments(args, this.#context.maxBytes);
    const outcomes = this.#run.remoteCall(nameFrom(remoteFunction), null, payloads);
    return whenSettled(outcomes as Promise<unknown>, resultsAndErrors as (outcomes: unknown) => unknown);
  }
}

alias(BlockClient.prototype, { call_raw: "callRaw", allow_block: "isBlockAllowed", run_on_background: "executeAsync" });
alias(AsyncClient.prototype, { run_on_key: "runOnKey", run_on_all_shards: "runOnShards" });

/** The API's older spelling. */
function alias(prototype: object, names: Readonly<Record<string, string>>): void {
  for (const older in names) {
    const method = (prototype as Record<string, unknown>)[names[older] as string];
    defineProperty(prototype, older, { value: method, writable: true, configurable: true });
  }
}

function functionFrom(value: unknown, method: string): AnyFunction {
  if (typeof value !== "function") throw new ApiError(`the argument of '${method}' must be a function`);
  return value as AnyFunction;
}

function nameFrom(value: unknown): string {
  if (typeof value !== "string") throw new ApiError("the name of a remote function must be a string");
  return value;
}

/** As bytes of a command: numbers and booleans as their text. */
function commandArgument(value: unknown): string | ArrayBuffer {
  switch (typeof value) {
    case "string":
      return value;
    case "number":
    case "bigint":
    case "boolean":
      return `${value}`;
    default:
      if (value instanceof ArrayBuffer) return value;
      throw new ApiError("Can not convert value into bytes buffer");
  }
}
