/**
 * The file descriptor of a socket, for reading or writing past the event loop; undefined where it is closed, or is none. Node tells it
 * nowhere else.
 */
export function descriptorOf(socket: object): number | undefined {
  const { fd } = (socket as { readonly _handle?: { readonly fd?: number } | null })._handle ?? {};
  return fd !== undefined && fd >= 0 ? fd : undefined;
}
