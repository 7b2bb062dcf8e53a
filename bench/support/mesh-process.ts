/** The far end of the mesh bench: a coordinator's gRPC server with the mesh alone, and a handler that echoes. */
import { promisify } from "node:util";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { MESH_SERVICE } from "../../src/grpc/frame-methods.ts";
import { frameHandler } from "../../src/grpc/link-service.ts";
import { METHOD } from "../../src/mesh/method.ts";
import { announce } from "./child-process.ts";
import { createMesh } from "./mesh-node.ts";

const mesh = createMesh("far", process.env["BENCH_TOKEN"] ?? "", new Map([[METHOD.CALL, async (body) => body]]));
const server = new Server();
server.addService(MESH_SERVICE, { Link: frameHandler((stream) => mesh.accept(stream)) });
const port = await promisify(server.bindAsync.bind(server))("127.0.0.1:0", ServerCredentials.createInsecure());
announce({ port });
