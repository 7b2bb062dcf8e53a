import { createHash, randomBytes } from "node:crypto";

/** 256 bits, so that nobody guesses one. */
const SECRET_BYTES = 32;
/** 128 bits: ids are given out on every node without asking the others. */
const ID_BYTES = 16;

export function newConnectionId(): string {
  return randomBytes(ID_BYTES).toString("hex");
}

/** What `newConnectionId` makes. */
export function isConnectionId(text: string): boolean {
  return /^[0-9a-f]{32}$/.test(text);
}

/** A resume token, for the client alone, and its hash, which is all that is kept of it. */
export interface ResumeToken {
  readonly token: string;
  readonly hash: string;
}

/** `<connection id>.<secret>`. */
export function newResumeToken(connectionId: string): ResumeToken {
  const token = `${connectionId}.${randomBytes(SECRET_BYTES).toString("base64url")}`;
  return { token, hash: hashOf(token) };
}

/** Which connection a token is for; undefined for what is no token. Whether it is valid is for its hash to tell. */
export function connectionOf(token: string): string | undefined {
  return /^([0-9a-f]{32})\.[\w-]{43}$/.exec(token)?.[1];
}

/** SHA-256 in hex. */
export function hashOf(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
