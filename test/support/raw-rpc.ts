import { connect } from "node:http2";

/** How a gRPC call ended that was sent byte by byte. */
export interface RawEnd {
  /** The gRPC status; undefined where the stream was reset. */
  readonly status: number | undefined;
  /** The code in the trailers; undefined where none was sent. */
  readonly code: string | undefined;
  readonly text: string;
}

/** A message of a gRPC call, as it is framed. */
export function grpcMessage(body: Uint8Array): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt32BE(body.length, 1);
  return Buffer.concat([header, body]);
}

/** Sends `body` as it is on a connection of its own. `halfClose: false`: as one who means to send more. */
export async function rawCall(
  address: string,
  path: string,
  body: Uint8Array,
  { token, headers = {}, halfClose = true }: { token?: string; headers?: object; halfClose?: boolean } = {},
): Promise<RawEnd> {
  const session = connect(`http://${address}`);
  const { promise, resolve } = Promise.withResolvers<void>();
  let end: RawEnd = { status: undefined, code: undefined, text: "" };
  session.on("error", () => resolve());
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    te: "trailers",
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
    ...headers,
  });
  const read = (headers: Record<string, unknown>): void => {
    if (headers["grpc-status"] === undefined) return;
    const text = decodeURIComponent(String(headers["grpc-message"] ?? ""));
    const code = headers["gearmesh-code"];
    end = { status: Number(headers["grpc-status"]), code: code === undefined ? undefined : String(code), text };
    resolve();
  };
  stream.on("response", read);
  stream.on("trailers", read);
  stream.on("error", () => resolve());
  stream.on("close", () => resolve());
  stream.resume();
  stream.write(body);
  if (halfClose) stream.end();
  await promise;
  session.destroy();
  return end;
}
