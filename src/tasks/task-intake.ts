import type { Clock } from "../base/clock.ts";
import { Fault } from "../base/fault.ts";
import { Attempt } from "./attempt.ts";
import type { QueueTable } from "./queue-table.ts";
import type { Settlement } from "./settlement.ts";
import type { TaskFailed } from "./task-ports.ts";
import type { Taken, TaskPartition, TaskStore } from "./task-store.ts";
import type { TaskWork } from "./task-work.ts";

/** A partition that had nothing is looked at again after as long, although nobody has told of anything. Unit: ms. */
const POLL_MS = 1000;
/** A partition that could not be reached is tried again after as long. Unit: ms. */
const RETRY_MS = 200;

export interface TaskIntakeParts {
  readonly store: TaskStore;
  readonly queues: QueueTable;
  readonly work: TaskWork;
  readonly settlement: Settlement;
  /** Whether some worker here is free for whatever the queue has next, `taking` tasks that are on their way not counted. */
  readonly hasRoom: (queue: string, taking: number) => boolean;
  /** A queue has more than this node can work now. */
  readonly saturated: (queue: string) => void;
  readonly clock: Clock;
  /** Starts every token: the process's own. */
  readonly origin: string;
  readonly failed: TaskFailed;
}

/** Where tasks come from. */
interface Source {
  readonly queue: string;
  readonly partition: TaskPartition;
  /** Whether it may have one now. */
  isReady: boolean;
  isTaking: boolean;
  /** Somebody told of a task since it was asked last: that it had nothing is no news. */
  isWoken: boolean;
  /** Ends the wait for when it may have one again. */
  stopWaiting: (() => void) | undefined;
}

/**
 * Takes tasks while there is room for them: from the first queue that may have some, and from each queue's partitions on this node's own shard first. A partition is asked by one request at a time, and where it had
 * nothing, again when somebody tells of a task, when the next delayed one is due, and now and then.
 */
export class TaskIntake {
  readonly #parts: TaskIntakeParts;
  /** In the order in which they are drained. */
  #sources: readonly Source[] = [];
  /** Tasks that are on their way here. */
  #taking = 0;
  #tokens = 0;
  #isStopped = false;

  constructor(parts: TaskIntakeParts) {
    this.#parts = parts;
  }

  /** Takes in what is known of queues now. */
  arrange(): void {
    const { queues, store } = this.#parts;
    const known = new Map(this.#sources.map((source) => [source.partition.id, source]));
    this.#sources = queues.names().flatMap((queue) =>
      queues.partitions(queue).map((id) => {
        const source = known.get(id) ?? newSource(queue, store.partition(id));
        known.delete(id);
        return source;
      }),
    );
    for (const gone of known.values()) gone.stopWaiting?.();
    this.look();
  }

  /** Partitions whose tasks this node may work. */
  partitions(): readonly TaskPartition[] {
    return this.#sources.map(({ partition }) => partition);
  }

  /** A queue has got something. Whether there is room for it here. */
  wake(queue: string): boolean {
    if (this.#isStopped) return false;
    if (!this.#sources.some((source) => source.queue === queue)) this.arrange();
    for (const source of this.#sources) {
      if (source.queue !== queue) continue;
      source.stopWaiting?.();
      source.isReady = true;
      source.isWoken = true;
    }
    const hasRoom = this.#parts.hasRoom(queue, this.#taking);
    this.look();
    return hasRoom;
  }

  /** There may be room for another task. */
  look(): void {
    if (this.#isStopped) return;
    const { hasRoom, saturated } = this.#parts;
    for (const source of this.#sources) {
      if (!source.isReady || source.isTaking) continue;
      if (hasRoom(source.queue, this.#taking)) void this.#take(source);
      else saturated(source.queue);
    }
  }

  /** Takes no more. */
  stop(): void {
    this.#isStopped = true;
    for (const { stopWaiting } of this.#sources) stopWaiting?.();
  }

  async #take(source: Source): Promise<void> {
    const token = `${this.#parts.origin}:${(this.#tokens++).toString(36)}`;
    source.isTaking = true;
    source.isWoken = false;
    this.#taking++;
    try {
      const taken = await source.partition.take(token);
      if (taken.task) void this.#lane(source, token, taken);
      else this.#rest(source, taken);
    } catch (thrown) {
      const fault = Fault.from(thrown);
      this.#parts.failed("no task could be taken", fault);
      this.#restFor(source, RETRY_MS);
      if (fault.code !== "UNAVAILABLE") void this.#parts.settlement.reclaim(source.partition, token);
    } finally {
      source.isTaking = false;
      this.#taking--;
    }
    this.look();
  }

  /** One task after the other by the same token, for as long as each answer brings the next one. */
  async #lane(source: Source, token: string, first: Taken): Promise<void> {
    const { work } = this.#parts;
    let taken: Taken | undefined = first;
    while (taken?.task) {
      let isTaking = false;
      const mayTakeNext = (): boolean => {
        isTaking = this.#mayTakeNext(source);
        if (!isTaking) return false;
        this.#taking++;
        source.isWoken = false;
        return true;
      };
      const attempt = new Attempt(source.partition, taken.task, token);
      // It was on its way when this node began to leave.
      taken = this.#isStopped ? await work.refuse(attempt) : await work.work(attempt, mayTakeNext);
      if (isTaking) this.#taking--;
      if (taken && !taken.task) this.#rest(source, taken);
    }
    this.look();
  }

  /** Not where a queue before this one may have some. */
  #mayTakeNext(source: Source): boolean {
    if (this.#isStopped) return false;
    const first = this.#sources.find(({ isReady }) => isReady);
    return first === source && this.#parts.hasRoom(source.queue, this.#taking);
  }

  #rest(source: Source, { limitedMs, nextAtMs }: Taken): void {
    if (source.isWoken && limitedMs === 0) return;
    const dueMs = nextAtMs > 0 ? nextAtMs - Date.now() : POLL_MS;
    this.#restFor(source, limitedMs > 0 ? limitedMs : Math.min(POLL_MS, Math.max(1, dueMs)));
  }

  #restFor(source: Source, ms: number): void {
    source.isReady = false;
    source.stopWaiting?.();
    if (this.#isStopped) return;
    source.stopWaiting = this.#parts.clock.after(ms, () => {
      source.isReady = true;
      this.look();
    });
  }
}

function newSource(queue: string, partition: TaskPartition): Source {
  return { queue, partition, isReady: true, isTaking: false, isWoken: false, stopWaiting: undefined };
}
