/** Ports that no process listens on, found by listening on them once. */
import { Effect } from "effect"
import { createServer } from "node:net"

const listen = (): Promise<{ readonly port: number; readonly close: () => Promise<void> }> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      if (address === null || typeof address === "string") return reject(new Error("no port"))
      resolve({ port: address.port, close: () => new Promise((closed) => server.close(() => closed())) })
    })
  })

/** `count` different ports; all are held until the last is found, so that none is found twice. */
export const freePorts = (count: number): Effect.Effect<ReadonlyArray<number>> =>
  Effect.promise(async () => {
    const held = await Promise.all(Array.from({ length: count }, listen))
    await Promise.all(held.map((server) => server.close()))
    return held.map((server) => server.port)
  })
