/** A coordinator, as members are kept under it. */
export interface RoomHolder {
  /** Of its process. */
  readonly runId: string;
  /** Of the Redis node it stands beside: where to send to. */
  readonly nodeId: string;
}

/** This coordinator. */
export interface RoomSelf extends RoomHolder {
  /** What it goes by, for people. */
  readonly name: string;
}

export interface StoredMember {
  /** Since the Unix epoch, by Redis' clock. Unit: ms. */
  readonly joinedAtMs: number;
  /** Name of the node that holds the connection. */
  readonly node: string;
}

/** A room at one moment. */
export interface RoomSnapshot {
  /** Another one where the room was destroyed and added again. */
  readonly incarnation: string;
  /** All members, also those that are not among `members`, which is bounded. */
  readonly count: number;
  /** By connection id. */
  readonly members: ReadonlyMap<string, StoredMember>;
}

/** What came of a joining. */
export interface Joined {
  /** `already`: it was a member; where another node held it, this one does now. */
  readonly outcome: "joined" | "already" | "full";
  readonly incarnation: string;
  /** Of the room, which counts the joinings: messages for members of an earlier one are not for this one. */
  readonly revision: number;
  readonly joinedAtMs: number;
  /** Node ids of those who watch the room. */
  readonly watchers: readonly string[];
}

export interface Left {
  readonly wasMember: boolean;
  /** Node ids of those who watch the room. */
  readonly watchers: readonly string[];
}

/** A member, where its connection is held. */
export interface HeldMember {
  /** Since the Unix epoch, by Redis' clock. Unit: ms. */
  readonly joinedAtMs: number;
  /** Revision of the room when it joined, or came from another node. */
  readonly sinceRevision: number;
}

/** The members of a room that a coordinator holds. */
export interface HeldMembers {
  /** By connection id. */
  readonly members: ReadonlyMap<string, HeldMember>;
  /** Connections that are joining or leaving now: whether they are members is not for this to say. */
  readonly undecided: ReadonlySet<string>;
}

/** Who must be told what is said. */
export interface Audience {
  readonly incarnation: string;
  /** Of the room, now. */
  readonly revision: number;
  /** Whether the connection that was asked about is a member; true where none was. */
  readonly isMember: boolean;
  readonly holders: readonly RoomHolder[];
}

export interface Destroyed {
  readonly incarnation: string;
  /** Members it had. */
  readonly members: number;
  readonly holders: readonly RoomHolder[];
  readonly watchers: readonly string[];
}

/**
 * Rooms and their members, for all nodes. Members are kept under the coordinator that holds their connections, by its lease: whatever is asked of a room, members of a holder whose
 * lease is over are gone. A holder renews its lease in each room that it has members in. `undefined` says that there is no such room. Every method rejects with UNAVAILABLE; those that
 * write also with INDETERMINATE, where it may have happened.
 */
export interface RoomStore {
  /** `full`: there are as many rooms as there may be. */
  add(room: string): Promise<"added" | "exists" | "full">;
  /** In no order. */
  list(): Promise<readonly string[]>;
  exists(room: string): Promise<boolean>;
  destroy(room: string): Promise<Destroyed | undefined>;
  status(room: string): Promise<RoomSnapshot | undefined>;
  /** As `status`; from now on, and for as long as a lease, whoever changes the members is told that `self` watches. */
  watch(room: string, self: RoomSelf): Promise<RoomSnapshot | undefined>;
  join(room: string, connectionId: string, self: RoomSelf): Promise<Joined | undefined>;
  /** `only`: where its member is kept under that one. */
  leave(room: string, connectionId: string, only?: RoomSelf): Promise<Left | undefined>;
  /** `from`: a connection that must be a member. */
  audience(room: string, from: string | undefined): Promise<Audience | undefined>;
  /**
   * Renews the lease of `self` in a room. `gone`: there is no room of this incarnation. `differs`: the members kept under `self` are not those whose ids the digest is of (see
   * `memberDigest`).
   */
  renew(room: string, incarnation: string, self: RoomSelf, digest: number): Promise<"renewed" | "differs" | "gone">;
  /**
   * Makes the members kept under `self` those that it holds, and renews the lease. Those that another holder has are left to it. Resolves with the node ids of those who watch the room.
   */
  restore(room: string, incarnation: string, self: RoomSelf, held: HeldMembers): Promise<readonly string[] | undefined>;
}
