/** The parts of Actionhero that the bench uses: it is installed on demand, and types are checked without it. */
declare module "actionhero" {
  export class Process {
    start(): Promise<void>;
  }

  export abstract class Action {
    name: string;
    description: string;
    inputs: Readonly<Record<string, { readonly required: boolean }>>;
    abstract run(data: { readonly params: Readonly<Record<string, string>> }): Promise<object>;
  }

  /** What is set here can be called from every node, as `api.name`. */
  export const api: {
    bench: Readonly<Record<string, (text: string) => Promise<string>>>;
    readonly connections: { apply(connectionId: string, method: string, args: readonly unknown[]): Promise<unknown> };
    readonly servers: { readonly servers: { readonly web: { readonly server: import("node:http").Server } } };
  };

  export const cache: {
    save(key: string, value: string): Promise<unknown>;
    load(key: string): Promise<{ readonly value: unknown }>;
  };

  export const redis: {
    doCluster(
      method: string,
      args: readonly unknown[],
      connectionId: string | undefined,
      waitForResponse: true,
    ): Promise<unknown>;
  };
}
