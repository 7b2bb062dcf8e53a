import { compileFunction } from "node:vm";

/** The parts of Actionhero's websocket client that the bench uses. */
export interface WebsocketClient {
  connect(done: (error: Error | null, details: { readonly data: { readonly id: string } }) => void): void;
  action(name: string, params: object, done: (response: Readonly<Record<string, unknown>>) => void): void;
}

/** Connects to the node on this port of loopback with the client that it serves to browsers. Resolves with the connection's id too. */
export async function connectWebsocket(
  port: string,
): Promise<{ readonly client: WebsocketClient; readonly id: string }> {
  const origin = `http://127.0.0.1:${port}`;
  const script = await fetch(`${origin}/public/javascript/ActionheroWebsocketClient.js`);
  const window: { location: object; ActionheroWebsocketClient?: new () => WebsocketClient } = { location: { origin } };
  compileFunction(await script.text(), ["window"])(window);
  if (!window.ActionheroWebsocketClient) throw new Error("the script defines no client");
  const client = new window.ActionheroWebsocketClient();
  const id = await new Promise<string>((resolve, reject) => {
    client.connect((error, details) => (error ? reject(error) : resolve(details.data.id)));
  });
  return { client, id };
}
