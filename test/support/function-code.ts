/** Registers `f`, a synchronous function with this body; it sees `client` and `args`. `flags` is what follows the function: `, ["no-writes"]`. */
export function syncFunction(body: string, flags = ""): string {
  return `redis.register_function("f", (client, ...args) => { ${body} }${flags});`;
}

/** Registers `f`, an async function with this body; it sees `client` and `args`. */
export function asyncFunction(body: string): string {
  return `redis.register_async_function("f", async (client, ...args) => { ${body} });`;
}
