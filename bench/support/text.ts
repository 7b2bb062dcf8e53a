/** What is sent to be echoed, by us and by the peers: 64 bytes. */
export const TEXT = "0123456789abcdef".repeat(4);
