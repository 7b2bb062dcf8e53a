import { Server, ServerCredentials, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { loadDefinitions } from "../../../src/grpc/definitions.ts";
import { functionServiceDefinition } from "../../../src/grpc/function-service.ts";
import { Health } from "../../../src/grpc/health.ts";
import { pubSubServiceDefinition } from "../../../src/grpc/pubsub-service.ts";

const definitions = loadDefinitions();

/** A gRPC server with gearmesh's services whose methods answer as a test says, on a free port of loopback. */
export class AnsweringServer implements AsyncDisposable {
  readonly health = new Health([]);
  readonly #server = new Server();

  /** Methods that are not given never answer. `onPort`: 0 is any that is free. */
  static async start(
    methods: UntypedServiceImplementation,
    onPort = 0,
  ): Promise<{ server: AnsweringServer; address: string }> {
    const server = new AnsweringServer();
    const grpc = server.#server;
    const services = [
      functionServiceDefinition(definitions),
      definitions.topology,
      pubSubServiceDefinition(definitions),
    ];
    for (const service of services) {
      const silent = Object.keys(service).map((name) => [name, () => undefined] as const);
      grpc.addService(service, { ...Object.fromEntries(silent), ...methods });
    }
    server.health.addTo(grpc);
    const port = await new Promise<number>((resolve, reject) => {
      grpc.bindAsync(`127.0.0.1:${onPort}`, ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    return { server, address: `127.0.0.1:${port}` };
  }

  /** Ends the calls that run. */
  stop(): void {
    this.#server.forceShutdown();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
  }
}
