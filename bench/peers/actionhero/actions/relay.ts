import { Action, redis } from "actionhero";

/** Passes a text on to the node that holds a connection, and its answer back: what an outside client asks for. */
export class Relay extends Action {
  constructor() {
    super();
    this.name = "relay";
    this.description = "Calls a method on the node that holds a connection";
    this.inputs = { connectionId: { required: true }, text: { required: true } };
  }

  override async run({ params: { connectionId, text } }: { readonly params: Readonly<Record<string, string>> }) {
    return { text: await redis.doCluster("api.bench.echo", [text], connectionId, true) };
  }
}
