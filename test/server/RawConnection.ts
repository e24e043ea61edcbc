/** A connection that says exactly what a test has it say, and hears what the other side answers. */
import { Effect, Queue, Schema } from "effect"
import type { Exit, Scope } from "effect"
import { Rpc } from "effect/rpc"
import type { RpcGroup } from "effect/rpc"
import type { Socket } from "node:net"
import { connect } from "node:net"
import { serialization } from "../wire/Frames.ts"

/** What comes back. */
interface Answer {
  readonly _tag: string
  readonly requestId?: string | number
  readonly exit?: unknown
}

export interface RawConnection {
  readonly socket: Socket
  readonly send: (bytes: Uint8Array) => void
  /** The next message that is no pong. */
  readonly next: Effect.Effect<Answer>
  readonly closed: Effect.Effect<void>
  readonly isClosed: () => boolean
}

/** A connection for as long as the scope. */
export const open = (port: number, reads = true): Effect.Effect<RawConnection, never, Scope.Scope> =>
  Effect.gen(function*() {
    const answers = yield* Queue.unbounded<Answer>()
    const parser = serialization.makeUnsafe()
    let gone = false
    const socket = yield* Effect.acquireRelease(
      Effect.callback<Socket>((resume) => {
        const connecting = connect(port, "127.0.0.1", () => resume(Effect.succeed(connecting)))
        connecting.on("error", () => undefined)
        connecting.on("close", () => {
          gone = true
        })
        if (reads) {
          connecting.on("data", (bytes) => {
            for (const answer of parser.decode(bytes) as ReadonlyArray<Answer>) Queue.offerUnsafe(answers, answer)
          })
        } else connecting.pause()
      }),
      (opened) => Effect.sync(() => opened.destroy())
    )
    return {
      socket,
      send: (bytes) => void socket.write(bytes),
      next: Queue.take(answers),
      closed: Effect.callback<void>((resume) => {
        if (gone) return resume(Effect.void)
        socket.once("close", () => resume(Effect.void))
      }),
      isClosed: () => gone
    }
  })

/** How a call of `tag` ended. */
export const exitOf = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  tag: string,
  answer: Answer
): Exit.Exit<unknown, unknown> => {
  const rpc = group.requests.get(tag)
  if (rpc === undefined) throw new Error(`there is no call ${tag}`)
  const decode = Schema.decodeUnknownSync(
    serialization.codecFor(Rpc.exitSchema(rpc)) as Schema.Codec<Exit.Exit<unknown, unknown>, unknown>
  )
  return decode(answer.exit)
}
