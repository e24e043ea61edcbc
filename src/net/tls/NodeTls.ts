/**
 * Node's TLS, and HTTP over it, for what every process has in its files: they are loaded at the first use, because that
 * takes 15 ms of processor time where a whole command takes 200, and most connections are plain.
 */
export const nodeTls = () => process.getBuiltinModule("node:tls")

export const nodeHttps = () => process.getBuiltinModule("node:https")
