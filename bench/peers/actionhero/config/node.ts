/** One Actionhero node of the bench: its own settings but for these. Files go to where it runs. */
import { fileURLToPath } from "node:url";

export const DEFAULT = {
  general: () => ({ paths: { action: [fileURLToPath(new URL("../actions", import.meta.url))] } }),
  routes: () => ({}),
  web: () => ({ bindIP: "127.0.0.1", port: 0 }),
};
