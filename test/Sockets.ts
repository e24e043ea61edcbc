/** Keeps a process from opening sockets, and notes what tried to. */
import { Socket as UdpSocket } from "node:dgram"
import { Server, Socket } from "node:net"

/** What opens a socket. HTTP, HTTPS and TLS come down to the first two. */
const openers: ReadonlyArray<readonly [object, string]> = [
  [Server.prototype, "listen"],
  [Socket.prototype, "connect"],
  [UdpSocket.prototype, "bind"]
]

/** From here until `restore`, whatever opens a socket fails and is in `tried`: its caller may take the failure for an outcome. */
export const withoutSockets = (): { readonly tried: Array<string>; readonly restore: () => void } => {
  const tried: Array<string> = []
  const restores = openers.map(([prototype, name]) => {
    const methods = prototype as Record<string, unknown>
    const before = methods[name]
    methods[name] = () => {
      tried.push(name)
      throw new Error(`${name}: tests that open sockets are in the project \`ports\`, see vitest.config.ts`)
    }
    return () => {
      methods[name] = before
    }
  })
  return { tried, restore: () => restores.forEach((restore) => restore()) }
}
