/** One field of an INFO or CLUSTER INFO reply, whose lines are `field:value`. */
export function infoField(info: string, field: string): string | undefined {
  for (const line of info.split("\r\n")) {
    if (line.startsWith(`${field}:`)) return line.slice(field.length + 1);
  }
  return undefined;
}
