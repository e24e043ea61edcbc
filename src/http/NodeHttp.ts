/**
 * Node's HTTP for what every process loads. An `import` of `node:http` reads all of its names, and one of them,
 * `WebSocket`, loads undici: 60 to 80 ms of processor time, where a whole command takes 350.
 */
export const { Agent, createServer, get, maxHeaderSize, METHODS, request } = process.getBuiltinModule("node:http")
