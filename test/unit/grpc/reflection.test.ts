import { once } from "node:events";
import { credentials, makeClientConstructor, Server, ServerCredentials, type ServiceDefinition } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import test from "ava";
import { loadDefinitions } from "../../../src/grpc/definitions.ts";
import { createReflection } from "../../../src/grpc/reflection.ts";

const PROTO = new URL("../../../node_modules/@grpc/reflection/build/proto/grpc/reflection/", import.meta.url).pathname;

interface Answer {
  readonly listServicesResponse?: { readonly service: readonly { readonly name: string }[] };
  readonly fileDescriptorResponse?: { readonly fileDescriptorProto: readonly Uint8Array[] };
}

for (const version of ["v1", "v1alpha"]) {
  test(`every service, method and message can be asked for by reflection ${version}`, async (t) => {
    const { packages } = loadDefinitions();
    const server = new Server();
    createReflection(packages).addToServer(server);
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    t.teardown(() => server.forceShutdown());
    const loaded = loadSync(`${PROTO}${version}/reflection.proto`);
    const definition = loaded[`grpc.reflection.${version}.ServerReflection`] as ServiceDefinition;
    const method = definition["ServerReflectionInfo"];
    if (!method) throw new Error("the service has one method");
    const Client = makeClientConstructor(definition, "reflection");
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
    t.teardown(() => client.close());
    const call = client.makeBidiStreamRequest(method.path, method.requestSerialize, method.responseDeserialize);
    t.teardown(() => call.cancel());
    call.on("error", () => undefined);
    const ask = async (question: object): Promise<Answer> => {
      const answered = once(call, "data");
      call.write(question);
      const [answer] = await answered;
      return answer;
    };

    const names = Object.keys(packages);
    const services = Object.entries(packages).filter(([, found]) => !("format" in found));
    const { listServicesResponse } = await ask({ listServices: "*" });
    t.deepEqual(listServicesResponse?.service.map(({ name }) => name).sort(), services.map(([name]) => name).sort());
    const methods = services.flatMap(([name, found]) => Object.keys(found).map((each) => `${name}.${each}`));
    for (const symbol of [...names, ...methods]) {
      const { fileDescriptorResponse } = await ask({ fileContainingSymbol: symbol });
      t.truthy(fileDescriptorResponse?.fileDescriptorProto.length, symbol);
    }
  });
}
