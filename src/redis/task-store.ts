import type { TaskCatalogue, TaskPartition, TaskStore } from "../tasks/task-store.ts";
import type { StoreClient } from "./store-client.ts";
import { RedisTaskCatalogue } from "./task-catalogue.ts";
import { TaskClient } from "./task-client.ts";
import { RedisTaskPartition, type TaskPartitionOptions } from "./task-partition.ts";

/** Tasks over a client of their own: what waits for a replica holds up nobody else. */
export class RedisTaskStore implements TaskStore {
  readonly catalogue: TaskCatalogue;
  readonly #store: StoreClient;
  readonly #client: TaskClient;
  readonly #options: TaskPartitionOptions;
  readonly #partitions = new Map<string, TaskPartition>();

  constructor(store: StoreClient, options: TaskPartitionOptions) {
    this.#store = store;
    this.#client = new TaskClient(store);
    this.#options = options;
    this.catalogue = new RedisTaskCatalogue(store, options.namespace);
  }

  partition(id: string): TaskPartition {
    let partition = this.#partitions.get(id);
    if (!partition) {
      partition = new RedisTaskPartition(id, this.#client, this.#store, this.#options);
      this.#partitions.set(id, partition);
    }
    return partition;
  }
}
