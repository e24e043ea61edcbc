/**
 * A port in front of a node's that lets so many bytes of each answer's connection through and none of what follows: who
 * asks for more than that is in the middle of it until the node ends, however fast the machine is.
 */
import { Effect } from "effect"
import type { Scope } from "effect"
import type { Socket } from "node:net"
import { connect, createServer } from "node:net"
import { freePorts } from "../FreePorts.ts"

/** Gives the endpoint. */
export const halfWay = (target: number, bytes: number): Effect.Effect<string, never, Scope.Scope> =>
  Effect.gen(function*() {
    const [port = 0] = yield* freePorts(1)
    const open = new Set<Socket>()
    const server = createServer((near) => {
      const far = connect(target, "127.0.0.1")
      let left = bytes
      near.on("data", (chunk) => void far.write(chunk))
      far.on("data", (chunk) => {
        if (left > 0) near.write(chunk.subarray(0, left))
        left -= chunk.byteLength
      })
      for (const [one, other] of [[near, far], [far, near]] as const) {
        open.add(one)
        one.on("error", () => undefined)
        one.once("close", () => {
          open.delete(one)
          other.destroy()
        })
      }
    })
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => void server.listen(port, "127.0.0.1", () => resume(Effect.void))),
      () =>
        Effect.sync(() => {
          server.close()
          for (const socket of open) socket.destroy()
        })
    )
    return `127.0.0.1:${port}`
  })
