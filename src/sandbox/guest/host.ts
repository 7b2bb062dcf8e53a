import { ApiError } from "./api-error.ts";

/**
 * What the sandbox process lets the guest do. Every value that crosses is a primitive or an ArrayBuffer, or an array of
 * those, and no error of the host ever crosses: it answers with tagged values instead.
 */
export interface Host {
  /** `redis.command` for a block; waits for the reply. */
  call(runId: number, isRaw: boolean, ...args: (string | ArrayBuffer)[]): Answer;
  /** `timeoutMs` 0: it has none of its own. `rerunOnChange`: see RemoteTarget. `key` null: on every shard. */
  remoteCall(
    runId: number,
    callId: number,
    remoteFunction: string,
    timeoutMs: number,
    rerunOnChange: boolean,
    key: string | ArrayBuffer | null,
    ...payloads: Payload[]
  ): void;
  /** Answered like a remote call, with the number of subscribers reached. */
  publish(runId: number, callId: number, messageType: string, payload: Payload): void;
  /** How far the task is that the run works. False: it works none. */
  progress(runId: number, payload: Payload): boolean;
  /** Background work of the run begins; answered in a turn of its own. False: the library has as much of it as it may. */
  background(runId: number, callId: number): boolean;
  /** One piece of it has ended. */
  backgroundEnded(runId: number): void;
  succeeded(runId: number, result: unknown): void;
  failed(runId: number, code: string, message: string, stack: string): void;
  log(text: string): void;
}

/** What travels to and from remote functions: the bytes of an ArrayBuffer, or JSON. */
export type Payload = ArrayBuffer | string;

const OK = 0;

/** A reply without inner structure comes as it is; any other one, and a failure, come as an array that says which it is. */
export type Answer = null | boolean | bigint | number | string | [typeof OK, unknown] | [typeof FAILED, string, string];

const FAILED = 1;

/** The reply in an answer; throws what the answer says went wrong. */
export function replyIn(answer: Answer): unknown {
  if (typeof answer !== "object" || answer === null) return answer;
  if (answer[0] === OK) return answer[1];
  throw new ApiError(answer[2] as string, answer[1] as string);
}
