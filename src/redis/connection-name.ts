import type { CoordinatorConnection } from "../topology/activity.ts";

/** What CLIENT LIST shows of a coordinator's connection: `gearmesh:<namespace>:<run id>`, and what it is for. */
export function connectionName(namespace: string, runId: string, purpose: CoordinatorConnection["purpose"]): string {
  const base = `gearmesh:${namespace}:${runId}`;
  return purpose === "standby" ? base : `${base}:${purpose}`;
}

/** The coordinators' connections of this namespace, out of a CLIENT LIST reply: a line of `field=value` for each client. */
export function parseConnections(list: string, namespace: string): CoordinatorConnection[] {
  const prefix = `gearmesh:${namespace}:`;
  return list.split("\n").flatMap((line) => {
    const fields = new Map(line.trim().split(" ").map(splitField));
    const name = fields.get("name") ?? "";
    if (!name.startsWith(prefix)) return [];
    const [runId = "", purpose = "standby", ...rest] = name.slice(prefix.length).split(":");
    if (rest.length > 0 || !isPurpose(purpose)) return [];
    // Redis subtracts whole seconds of its clock: `idle=1` may be a moment across a full second.
    const idleMs = Math.max(0, Number(fields.get("idle") ?? 0) - 1) * 1000;
    return [{ id: fields.get("id") ?? "", runId, purpose, idleMs }];
  });
}

function splitField(field: string): [string, string] {
  const at = field.indexOf("=");
  return [field.slice(0, at), field.slice(at + 1)];
}

function isPurpose(text: string): text is CoordinatorConnection["purpose"] {
  return text === "active" || text === "standby" || text === "sandbox";
}
