import { type ChildProcess, type ForkOptions, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** A process of the bench that has said what the others need to know of it. */
export interface BenchProcess<Ready> extends AsyncDisposable {
  readonly pid: number;
  /** What it sent once it was up. */
  readonly ready: Ready;
  /** Asks it something, and resolves with what it answers. One question at a time. Rejects where it cannot answer, or ends. */
  ask<Answer>(question: object): Promise<Answer>;
}

export interface BenchProcessOptions extends Pick<ForkOptions, "cwd"> {
  /** Added to ours. */
  readonly env?: Readonly<Record<string, string>>;
}

type Reply = { readonly answer: unknown } | { readonly failure: string };

/** Starts `file` of the bench folder with this Node, and waits for its first message. It is killed when disposed. */
export async function startProcess<Ready>(
  file: string,
  { env, ...options }: BenchProcessOptions = {},
): Promise<BenchProcess<Ready>> {
  const path = fileURLToPath(new URL(`../${file}`, import.meta.url));
  const child = fork(path, { ...options, env: { ...process.env, ...env } });
  return {
    pid: child.pid ?? 0,
    ready: (await nextMessage(child, file)) as Ready,
    async ask<Answer>(question: object): Promise<Answer> {
      child.send(question);
      const reply = (await nextMessage(child, file)) as Reply;
      if ("failure" in reply) throw new Error(`${file}: ${reply.failure}`);
      return reply.answer as Answer;
    },
    [Symbol.asyncDispose]: () => stop(child),
  };
}

/** Says from within such a process that it is up. It ends with its parent. */
export function announce(ready: Record<string, unknown>): void {
  process.send?.(ready);
  process.once("disconnect", () => process.exit());
}

/** Answers within such a process what it is asked. */
export function answer<Question>(answerOf: (question: Question) => Promise<unknown>): void {
  process.on("message", (question: Question) => {
    answerOf(question).then(
      (answer) => process.send?.({ answer } satisfies Reply),
      (error: Error) => process.send?.({ failure: error.stack ?? error.message } satisfies Reply),
    );
  });
}

async function nextMessage(child: ChildProcess, file: string): Promise<unknown> {
  const settled = new AbortController();
  const { signal } = settled;
  try {
    const [message] = await Promise.race([
      once(child, "message", { signal }),
      once(child, "exit", { signal }).then(([code]) => {
        throw new Error(`${file} ended with ${code} before it answered`);
      }),
    ]);
    return message;
  } finally {
    settled.abort();
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}
