/** The sandbox process's socket to its coordinator, as the process inherits it. */
export const SOCKET_DESCRIPTOR = 3;

/** Where the process's watchdog reports. */
export const WATCHDOG_DESCRIPTOR = 4;
