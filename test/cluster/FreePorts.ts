/**
 * Ports for the nodes of a test: free ones, which stay the test's own until its worker ends.
 *
 * They lie below those that the system gives to outgoing connections and to port 0. It could give such a port to somebody else
 * between the moment it is found and the moment a node binds it, and each time that a node is down. The test holds a UDP socket of the same
 * number meanwhile, which no node uses: other workers and other runs of the suite see it, and the kernel gives it back.
 */
import { Effect } from "effect"
import { createSocket } from "node:dgram"
import { createServer } from "node:net"

const host = "127.0.0.1"
const first = 10_000
const count = 20_000

/** Claims of this worker. */
const claims: Array<ReturnType<typeof createSocket>> = []

/** Takes the UDP port of the number for as long as the worker lives; false where another worker has it. */
const claim = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createSocket("udp4")
    socket.once("error", () => socket.close(() => resolve(false)))
    socket.bind({ port, address: host, exclusive: true }, () => {
      socket.unref()
      claims.push(socket)
      resolve(true)
    })
  })

/** Whether a server can listen on the port. */
const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once("error", () => resolve(false))
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)))
  })

/** Where this worker looks next. Workers begin in different places, so they seldom meet. */
let next = Math.floor(Math.random() * count)

/** `wanted` different ports that nobody listens on. */
export const freePorts = (wanted: number): Effect.Effect<ReadonlyArray<number>> =>
  Effect.promise(async () => {
    const found: Array<number> = []
    for (let tried = 0; found.length < wanted; tried++) {
      if (tried === count) throw new Error(`no ${wanted} free ports between ${first} and ${first + count}`)
      const port = first + next++ % count
      if (await claim(port) && await isFree(port)) found.push(port)
    }
    return found
  })
