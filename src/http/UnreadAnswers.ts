/**
 * Connections whose caller does not take its answer. What was answered lies in the memory of the node, and the
 * connection is one of `maxHttpConnections`, so such a connection is closed after `maxFrameMs`. Node's own time limit
 * of a connection sees whether any byte of an answer was taken; a request that waits for its answer is left alone.
 */
import type { IncomingMessage, Server } from "node:http"
import { formatAddress } from "../net/Listening.ts"
import type { ProtocolViolations } from "../net/ProtocolViolations.ts"

type Socket = IncomingMessage["socket"]

/** Closes such connections of a server that does not listen yet. */
export const closeUnread = (
  server: Server,
  maxFrameMs: number,
  violations: Pick<ProtocolViolations, "report">
): void => {
  const underWay = new WeakMap<Socket, number>()
  const count = (socket: Socket, more: number) => underWay.set(socket, (underWay.get(socket) ?? 0) + more)
  server.on("request", ({ socket }, response) => {
    count(socket, 1)
    response.once("close", () => count(socket, -1))
  })
  server.timeout = maxFrameMs
  server.on("timeout", (socket: Socket) => {
    const waiting = socket.writableLength
    if (waiting > 0) {
      violations.report(
        "unread-answers",
        formatAddress(socket.remoteAddress ?? "unknown", socket.remotePort ?? 0),
        `closed a connection: nothing of ${waiting} bytes was taken for maxFrameMs (${maxFrameMs})`
      )
    } else if ((underWay.get(socket) ?? 0) > 0) {
      socket.setTimeout(maxFrameMs)
      return
    }
    socket.destroy()
  })
}
