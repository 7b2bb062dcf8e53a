/** Statuses that gRPC itself raises before anything left this process; the reason is somewhere within. */
const NEVER_SENT =
  /^(?:No connection established|Name resolution failed|Stream refused by server)(?:.*?Error(?: \[\w+\])?: (.+?)\. Res|\. Last error: (.+?)\. Res)?/s;

/** Why nothing of a call left this process, by the details of its status; undefined where something may have. */
export function neverSent(details: string): string | undefined {
  const found = NEVER_SENT.exec(details);
  if (!found) return undefined;
  const [whole, ofNode, ofOpenSsl] = found;
  return (ofNode ?? ofOpenSsl ?? whole).replace(/\s+/g, " ");
}
