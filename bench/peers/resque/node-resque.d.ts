/** As much of node-resque as the bench uses: its own types need more than the bench installs. */
declare module "node-resque" {
  interface Connection {
    readonly connection: { readonly host: string; readonly port: number; readonly options?: object };
  }
  type Jobs = Readonly<Record<string, { perform(...args: unknown[]): Promise<unknown> }>>;
  export class Queue {
    constructor(options: Connection, jobs?: Jobs);
    connect(): Promise<void>;
    enqueue(queue: string, name: string, args?: readonly unknown[]): Promise<unknown>;
  }
  export class Worker {
    constructor(options: Connection & { readonly queues: readonly string[]; readonly timeout?: number }, jobs: Jobs);
    connect(): Promise<void>;
    start(): Promise<void>;
  }
}
