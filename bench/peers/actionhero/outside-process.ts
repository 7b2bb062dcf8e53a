/** An application outside Actionhero's nodes, in another language as it were: it asks one of them over its websocket server. */
import { announce } from "../../support/child-process.ts";
import { measureOwnCalls } from "../../support/own-load.ts";
import { TEXT } from "../../support/text.ts";
import { connectWebsocket } from "./websocket-client.ts";

const connectionId = process.env["BENCH_CONNECTION_ID"] ?? "";
const { client } = await connectWebsocket(process.env["BENCH_PORT"] ?? "");

/** An action on the node that it is connected to, which calls the node that holds the connection. */
function relay(): Promise<void> {
  return new Promise((resolve, reject) => {
    client.action("relay", { connectionId, text: TEXT }, (response) => {
      if (response["text"] === TEXT) resolve();
      else reject(new Error(`not what was sent: ${JSON.stringify(response)}`));
    });
  });
}

measureOwnCalls({ "to-connection": relay });
announce({});
