import type {
  ServerDuplexStream,
  ServerWritableStream,
  ServiceDefinition,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { Fault } from "../base/fault.ts";
import type { TaskHandler, TaskMethod } from "../tasks/task-requests.ts";
import type { WorkerLink } from "../tasks/worker-session.ts";
import type { Definitions } from "./definitions.ts";
import { namedStream, type OnBehalf } from "./named-stream.ts";
import { passedThrough } from "./pass-through.ts";
import { statusOf } from "./status.ts";
import { type BugObserver, type UnaryParts, unary } from "./unary.ts";

/** What a worker's stream is told. */
export interface WorkerEvents {
  heard(bytes: Uint8Array): void;
  /** The stream is over. */
  end(fault?: Fault): void;
}

export interface TaskServiceParts extends UnaryParts {
  /** Each takes the encoded request and resolves with the encoded response. */
  readonly requests: Readonly<Record<TaskMethod, TaskHandler>>;
  /** Takes an encoded AwaitTaskRequest; yields encoded responses. */
  readonly awaitTask: (body: Uint8Array, signal: AbortSignal) => AsyncGenerator<Uint8Array, void, undefined>;
  /** Takes the stream of a worker whose token has been checked. */
  readonly acceptWorker: (link: WorkerLink) => WorkerEvents;
}

export function taskServiceDefinition({ tasks }: Definitions): ServiceDefinition {
  return Object.fromEntries(
    Object.entries(tasks).map(([name, method]) => [name, passedThrough(method as typeof tasks.Enqueue)]),
  );
}

export function taskService(parts: TaskServiceParts): UntypedServiceImplementation {
  const requests = Object.entries(parts.requests).map(
    ([name, answer]) => [name, unary<Uint8Array, Uint8Array>(parts, answer)] as const,
  );
  return {
    ...Object.fromEntries(requests),
    AwaitTask: namedStream(parts, (call: ServerWritableStream<Uint8Array, Uint8Array>) => void awaitTask(parts, call)),
    Work: namedStream(parts, (call: ServerDuplexStream<Uint8Array, Uint8Array>, onBehalf) =>
      work(parts, call, onBehalf),
    ),
  };
}

async function awaitTask(
  { awaitTask: wait, observer }: TaskServiceParts,
  call: ServerWritableStream<Uint8Array, Uint8Array>,
): Promise<void> {
  const cancelled = new AbortController();
  call.on("cancelled", () => cancelled.abort());
  try {
    for await (const event of wait(call.request, cancelled.signal)) call.write(event);
    call.end();
  } catch (thrown) {
    call.emit("error", toldOf(observer, thrown));
  }
}

function work(
  { acceptWorker, observer }: TaskServiceParts,
  call: ServerDuplexStream<Uint8Array, Uint8Array>,
  onBehalf: OnBehalf,
): void {
  let isOver = false;
  const events = acceptWorker({
    send: (event) => {
      if (!isOver) call.write(event);
    },
    end(fault) {
      if (isOver) return;
      isOver = true;
      if (fault) call.emit("error", toldOf(observer, fault));
      else call.end();
    },
  });
  const ended = onBehalf(() => events.end());
  const heard = onBehalf((bytes: Uint8Array) => events.heard(bytes));
  call.on("data", heard);
  call.on("end", ended);
  call.on("cancelled", ended);
  call.on("error", ended);
}

/** How grpc-js sends a status other than OK. */
function toldOf(observer: BugObserver, thrown: unknown): ReturnType<typeof statusOf> {
  const fault = Fault.from(thrown);
  if (fault.code === "INTERNAL") observer.bug(fault.cause ?? fault);
  return statusOf(fault);
}
