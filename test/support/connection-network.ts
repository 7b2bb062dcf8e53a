import { setImmediate as nextTurn } from "node:timers/promises";
import { type CallContext, NEVER_ABORTED } from "../../src/base/call-context.ts";
import { deadlineIn } from "../../src/base/deadline.ts";
import { Fault } from "../../src/base/fault.ts";
import { payloadOf, payloadValue } from "../../src/base/json-payload.ts";
import { Apply } from "../../src/connections/apply.ts";
import type { ClientCall, ClientLink, Connection } from "../../src/connections/connection.ts";
import { ConnectionHandover } from "../../src/connections/connection-handover.ts";
import { ConnectionLeases } from "../../src/connections/connection-leases.ts";
import { ConnectionLocator } from "../../src/connections/connection-locator.ts";
import { ConnectionOpening, type OpenedConnection } from "../../src/connections/connection-opening.ts";
import { ConnectionOperations } from "../../src/connections/connection-operations.ts";
import { ConnectionRecovery } from "../../src/connections/connection-recovery.ts";
import { HeldConnections } from "../../src/connections/held-connections.ts";
import type { RoomMembership } from "../../src/connections/room-membership.ts";
import {
  delivery,
  type OpenConnectionRequest,
  takeOverRequest,
  takeOverResponse,
} from "../../src/connections/session-codec.ts";
import { Verbs } from "../../src/connections/verbs.ts";
import { ManualClock } from "./manual-clock.ts";
import { DirectoryLink, MemoryConnectionDirectory } from "./memory-connection-directory.ts";

export const LEASE_MS = 9000;
export const GRACE_MS = 30_000;

export interface NetworkOptions {
  readonly maxConnections?: number;
  readonly maxWaitingBytes?: number;
  readonly maxMessageBytes?: number;
  readonly clock?: ManualClock;
  /** What a node asks of rooms. Default: a TestRooms. */
  readonly rooms?: (node: ConnectionNode) => RoomMembership;
}

export function contextOf(signal: CallContext["signal"] = NEVER_ABORTED, timeoutMs = 10_000): CallContext {
  return { deadline: deadlineIn(timeoutMs), signal, depth: 0 };
}

/** Encoded payloads of some values. */
export function payloads(...values: unknown[]): Uint8Array[] {
  return values.map(payloadOf);
}

/** Until all that can happen without time going on has happened. */
export async function settled(): Promise<void> {
  await turnsOfLoop(20);
}

export async function turnsOfLoop(count: number): Promise<void> {
  for (let i = count; i > 0; i--) await nextTurn();
}

/** How many turns of the event loop each step takes, one after the other. */
export function latencyOf(turns: readonly number[]): () => Promise<void> {
  let at = 0;
  return () => turnsOfLoop(turns[at++ % turns.length] ?? 0);
}

/** A client's end of a stream. */
export class TestLink implements ClientLink {
  readonly remote = { ip: "::1", port: 5000 };
  isLeaving = false;
  isClosed = false;
  fault: Fault | undefined;

  async invoke({ method, args }: ClientCall): Promise<Uint8Array> {
    return payloadOf({ method, args: args.map(payloadValue) });
  }

  wake(): void {
    // Tests read the log themselves.
  }

  close(fault?: Fault): void {
    this.isClosed = true;
    this.fault = fault;
  }
}

/** Rooms that keep no rules: they note what they are asked for. */
class TestRooms implements RoomMembership {
  readonly asked: string[] = [];
  readonly forgotten: string[] = [];
  isAway = false;
  /** What is asked for is done once this has resolved. */
  delay: Promise<void> = Promise.resolve();

  async join(id: string, room: string): Promise<void> {
    await this.#note(`join ${id} ${room}`);
  }

  async leave(id: string, room: string): Promise<void> {
    await this.#note(`leave ${id} ${room}`);
  }

  async leaveAll(id: string, rooms: readonly string[]): Promise<void> {
    await this.delay;
    this.asked.push(`leaveAll ${id} ${rooms}`);
  }

  async adopt(id: string, rooms: readonly string[]): Promise<void> {
    await this.#note(`adopt ${id} ${rooms}`);
  }

  forget(id: string): void {
    this.forgotten.push(id);
  }

  async view(): Promise<null> {
    return null;
  }

  async say(id: string, room: string): Promise<void> {
    await this.#note(`say ${id} ${room}`);
  }

  async #note(what: string): Promise<void> {
    await this.delay;
    if (this.isAway) throw new Fault("UNAVAILABLE", "Redis is away");
    this.asked.push(what);
  }
}

/** What a client says when it opens. */
export type Opening = Partial<OpenConnectionRequest>;

/** A node that holds connections. */
export class ConnectionNode {
  readonly name: string;
  readonly directory: DirectoryLink;
  readonly rooms = new TestRooms();
  /** Why connections were closed, and how they were opened. */
  readonly observed: string[] = [];
  /** Who serves each method. */
  readonly methods = new Map<string, Set<Connection>>();
  readonly held: HeldConnections;
  readonly leases: ConnectionLeases;
  readonly opening: ConnectionOpening;
  readonly handover: ConnectionHandover;
  readonly operations: ConnectionOperations;
  readonly locator: ConnectionLocator;
  readonly apply: Apply;
  readonly verbs: Verbs;
  /** Whether the others reach it. */
  isLinked = true;
  /** What it answers instead of handing a connection over. */
  refusal: Fault | undefined;
  /** How long a request of another node, and its answer, take. */
  latency: () => Promise<void> = async () => undefined;

  constructor(network: ConnectionNetwork, name: string, options: NetworkOptions) {
    const { maxConnections = 1000, maxWaitingBytes } = options;
    const { clock } = network;
    this.name = name;
    this.directory = new DirectoryLink(network.directory);
    const { directory } = this;
    const rooms = options.rooms?.(this) ?? this.rooms;
    const holder = () => ({ nodeId: name, runId: `run of ${name}` });
    const nodeName = () => name;
    const observer = {
      opened: (kind: string) => this.observed.push(kind),
      closed: (reason: string) => this.observed.push(reason),
    };
    const deliveries = { maxCount: 1000, maxBytes: maxWaitingBytes ?? 1_000_000 };
    const methods = {
      register: (method: string, connection: Connection) => {
        this.methods.set(method, (this.methods.get(method) ?? new Set()).add(connection));
      },
      unregisterAll: (connection: Connection) => {
        for (const connections of this.methods.values()) connections.delete(connection);
      },
    };
    const held = new HeldConnections({
      directory,
      holder,
      nodeName,
      rooms,
      methods,
      clock,
      graceMs: GRACE_MS,
      observer,
    });
    this.held = held;
    this.leases = new ConnectionLeases({ held, directory, holder, rooms, clock, leaseMs: LEASE_MS });
    const recovery = new ConnectionRecovery({
      directory,
      holder,
      takeOver: async (nodeId, request) => {
        const body = takeOverRequest.encode(request);
        if (nodeId === name) return takeOverResponse.decode(this.handover.fromPeer(body));
        return takeOverResponse.decode(await network.ask(nodeId, async (node) => node.handOver(body)));
      },
      deliveries,
    });
    this.opening = new ConnectionOpening({
      held,
      leases: this.leases,
      recovery,
      directory,
      nodeName,
      assertRegistrable: () => undefined,
      deliveries,
      graceMs: GRACE_MS,
      maxConnections,
      observer,
    });
    this.handover = new ConnectionHandover({ held, nodeName, clock, maxBytes: options.maxMessageBytes ?? 1_000_000 });
    this.operations = new ConnectionOperations({ held, rooms });
    this.locator = new ConnectionLocator({
      directory,
      isHeldHere: (id) => held.get(id) !== undefined,
      isLeaving: () => false,
    });
    this.apply = new Apply({
      held,
      locator: this.locator,
      operations: this.operations,
      nodeName,
      askHolder: (nodeId, body, context) => network.ask(nodeId, (node) => node.apply.fromPeer(body, context)),
      runMethod: async (connection, call, context) => {
        if (this.methods.get(call.method)?.has(connection)) return connection.invoke(call, context);
        throw new Fault("UNKNOWN_METHOD", `${call.method} is not registered`);
      },
      rpcTimeoutMs: 10_000,
    });
    this.verbs = new Verbs({ held, operations: this.operations, rooms, nodeName });
  }

  handOver(body: Uint8Array): Uint8Array {
    if (this.refusal) throw this.refusal;
    return this.handover.fromPeer(body);
  }

  async open(
    opening: Opening = {},
    context: CallContext = contextOf(),
  ): Promise<OpenedConnection & { readonly token: string; readonly link: TestLink }> {
    const link = new TestLink();
    const none = { type: "", fingerprint: "", params: new Map(), methods: [], resumeToken: "", receivedSequence: 0 };
    const opened = await this.opening.open({ ...none, ...opening }, link, context);
    return { ...opened, token: opened.response.resumeToken, link };
  }

  /** One whose client is away. */
  async openAndLeave(opening: Opening = {}): Promise<{ readonly connection: Connection; readonly token: string }> {
    const { connection, token, link } = await this.open(opening);
    this.held.detach(connection, link);
    return { connection, token };
  }

  resume(token: string, receivedSequence = 0, context?: CallContext) {
    return this.open({ resumeToken: token, receivedSequence }, context);
  }

  /** An operation on a connection, with these values. */
  operate(connection: Connection, operation: string, ...args: unknown[]): Promise<void> {
    return this.operations.run(operation, connection, payloads(...args), contextOf());
  }
}

/** Nodes that share a directory, and links between them. Time stands still until the clock is advanced. */
export class ConnectionNetwork {
  readonly clock: ManualClock;
  readonly directory: MemoryConnectionDirectory;
  readonly a: ConnectionNode;
  readonly b: ConnectionNode;
  readonly c: ConnectionNode;

  constructor(options: NetworkOptions = {}) {
    this.clock = options.clock ?? new ManualClock();
    this.directory = new MemoryConnectionDirectory(this.clock, { leaseMs: LEASE_MS, graceMs: GRACE_MS });
    this.a = new ConnectionNode(this, "a", options);
    this.b = new ConnectionNode(this, "b", options);
    this.c = new ConnectionNode(this, "c", options);
  }

  get nodes(): readonly ConnectionNode[] {
    return [this.a, this.b, this.c];
  }

  async ask<T>(nodeId: string, what: (node: ConnectionNode) => Promise<T>): Promise<T> {
    const node = this.nodes.find(({ name }) => name === nodeId);
    if (!node?.isLinked) throw new Fault("UNAVAILABLE", `no link to ${nodeId}`);
    await node.latency();
    const answer = await what(node);
    await node.latency();
    return answer;
  }

  /** Who holds the connection. */
  holdersOf(id: string): string[] {
    return this.nodes.filter(({ held }) => held.get(id)).map(({ name }) => name);
  }

  /** Goes on by a third of a lease: all nodes that have started renew what they hold. */
  async renewals(): Promise<void> {
    this.clock.advance(LEASE_MS / 3);
    await settled();
  }
}

/** What is handed to a connection's client now: values of messages, or `missed <n>` and `unknown`. Notes how far it is. */
export function heardOf(connection: Connection): { readonly heard: unknown[]; readonly received: number } {
  const heard: unknown[] = [];
  let received = 0;
  for (let next = connection.log.next(); next; next = connection.log.next()) {
    const { sequence, message, missed } = delivery.decode(next);
    received = sequence;
    if (missed) heard.push(missed.unknown ? "unknown" : `missed ${missed.count}`);
    else heard.push(message && payloadValue(message));
  }
  return { heard, received };
}
