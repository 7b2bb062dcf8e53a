/** The peers that the benches compare with: a plain gRPC unary echo and a bare TCP echo. */
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { promisify } from "node:util";
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from "@grpc/grpc-js";
import { announce } from "./child-process.ts";
import { type EchoMessage, echoService } from "./echo-service.ts";

const server = new Server();
server.addService(echoService(), {
  Echo: (call: ServerUnaryCall<EchoMessage, EchoMessage>, answer: sendUnaryData<EchoMessage>) => {
    answer(null, { payload: call.request.payload });
  },
});
const unaryPort = await promisify(server.bindAsync.bind(server))("127.0.0.1:0", ServerCredentials.createInsecure());

const tcp = createServer((socket) => {
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  socket.pipe(socket);
});
tcp.listen(0, "127.0.0.1");
await once(tcp, "listening");

announce({ unaryPort, tcpPort: (tcp.address() as AddressInfo).port });
