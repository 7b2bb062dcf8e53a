import { existsSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { Redis } from "ioredis";
import { Fault, type FaultCode } from "../../../src/base/fault.ts";
import { connect, type GearmeshClient } from "../../../src/client/client.ts";
import type { Cluster, ClusterNode } from "../../../src/dev/cluster.ts";
import { decodeLibraryVersion, type LibraryVersion } from "../../../src/functions/library-version.ts";
import { slotOf } from "../../../src/redis/key-slot.ts";
import { type FaultOrder, orderPath } from "../../support/fault-order.ts";
import { VERSIONED, versionedText } from "../../support/versioned-library.ts";
import { VersionMonitor } from "./version-monitor.ts";

const RECORD_KEY = "gearmesh:{libraries}";
const POLL_MS = 10;

/** How a load ended for its caller. */
export type LoadOutcome = FaultCode | "OK" | "PENDING";

/** One cluster whose coordinators fail as they are told to, and are brought back. */
export class FaultRig implements AsyncDisposable {
  readonly cluster: Cluster;
  readonly monitors: ReadonlyMap<ClusterNode, VersionMonitor>;
  readonly #record: Redis;

  constructor(cluster: Cluster) {
    this.cluster = cluster;
    const { nodes, token } = cluster;
    const keeper = nodes[Math.floor((slotOf(Buffer.from(RECORD_KEY)) * nodes.length) / 16384)];
    this.#record = new Redis(keeper?.redis.port ?? 0);
    this.monitors = new Map(nodes.map((node) => [node, new VersionMonitor(node.coordinator.address, token)]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.monitors.values()].map((monitor) => monitor[Symbol.asyncDispose]()));
    this.#record.disconnect();
  }

  client({ coordinator: { address } }: ClusterNode): GearmeshClient {
    return connect({ address, token: this.cluster.token });
  }

  order(node: ClusterNode, order: FaultOrder): void {
    const path = this.#orderPath(node);
    // The coordinator must not read half of it.
    writeFileSync(`${path}.new`, JSON.stringify(order));
    renameSync(`${path}.new`, path);
  }

  hasOrder(node: ClusterNode): boolean {
    return existsSync(this.#orderPath(node));
  }

  withdraw(node: ClusterNode): void {
    rmSync(this.#orderPath(node), { force: true });
  }

  async load(node: ClusterNode, version: number, allowMissing = false): Promise<LoadOutcome> {
    await using client = this.client(node);
    try {
      const { pending } = await client.load(versionedText(version), { replace: true, allowMissing });
      return pending.length > 0 ? "PENDING" : "OK";
    } catch (thrown) {
      return Fault.from(thrown).code;
    }
  }

  /** Freezing ends `forMs` after it began; resolves then, or once `signal` says that there is none. */
  async resumeOnceFrozen(node: ClusterNode, forMs: number, signal: AbortSignal): Promise<void> {
    while (this.hasOrder(node)) {
      if (signal.aborted) return;
      await delay(POLL_MS);
    }
    await delay(forMs);
    node.coordinator.resume();
  }

  async kill(node: ClusterNode): Promise<void> {
    this.monitors.get(node)?.forget();
    await node.coordinator.kill();
  }

  /** Until it is ready. One that kills itself while it starts is started once more. */
  async start(node: ClusterNode): Promise<void> {
    this.monitors.get(node)?.forget();
    try {
      await node.coordinator.start();
    } catch {
      await node.coordinator.start();
    }
  }

  /** Brings back whoever killed itself. */
  async startMissing(): Promise<void> {
    const missing = this.cluster.nodes.filter(({ coordinator }) => coordinator.pid === undefined);
    await Promise.all(missing.map((node) => this.start(node)));
  }

  async recorded(): Promise<LibraryVersion | undefined> {
    const record = await this.#record.hgetBuffer(RECORD_KEY, VERSIONED);
    return record ? decodeLibraryVersion(record.subarray(record.indexOf(":") + 1)) : undefined;
  }

  async rawRecord(): Promise<Buffer | null> {
    return this.#record.hgetBuffer(RECORD_KEY, VERSIONED);
  }

  /** As a Redis does that comes back with older data, or with none. */
  async setRecordBack(older: Buffer | null): Promise<void> {
    if (older) await this.#record.hset(RECORD_KEY, VERSIONED, older);
    else await this.#record.hdel(RECORD_KEY, VERSIONED);
  }

  /** Its connections to Redis break: it levels once they are back. */
  async doubt({ redis }: ClusterNode): Promise<void> {
    const client = new Redis(redis.port);
    try {
      await client.call("CLIENT", "KILL", "TYPE", "normal");
    } finally {
      client.disconnect();
    }
  }

  #orderPath({ coordinator: { address } }: ClusterNode): string {
    return orderPath(this.cluster.directory, address);
  }
}
