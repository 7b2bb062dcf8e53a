/**
 * What a status text may take in the trailers, percent-encoded: common clients take 8 KiB of headers in all, and an HTTP/2
 * connection breaks, with every call on it, where they exceed what the other end takes. Unit: bytes.
 */
const MAX_ENCODED_BYTES = 6 * 1024;

/** A status text that can be sent: cut where it is too long, and without halves of surrogate pairs, on which grpc-js throws. */
export function sendableText(text: string): string {
  let bytes = 0;
  let end = 0;
  // Half a pair at the cut is one character of this walk, too.
  for (const character of text.slice(0, MAX_ENCODED_BYTES).toWellFormed()) {
    bytes += encodeURI(character).length;
    if (bytes > MAX_ENCODED_BYTES) break;
    end += character.length;
  }
  return end === text.length ? text.toWellFormed() : `${text.slice(0, end).toWellFormed()}...`;
}
