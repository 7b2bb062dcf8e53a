import { createHash } from "node:crypto";

/**
 * `digest` with a member more, or, as it is its own inverse, with that member less: the exclusive or of the first 32 bits of each id's SHA-1, as a signed integer. Two sets of members with
 * the same digest are taken for the same. The store keeps one for each holder, by the same rule.
 */
export function memberDigest(digest: number, connectionId: string): number {
  return digest ^ createHash("sha1").update(connectionId).digest().readUInt32BE(0);
}
