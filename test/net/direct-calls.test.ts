/** Calls past the RPC server, made past the RPC client and by it: nobody can tell the difference. */
import { describe, expect, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Logger, Queue, Schema, Scope } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"
import type { AddressInfo, Socket } from "node:net"
import { createServer } from "node:net"
import { NoHello, Overloaded } from "../../src/FlareDbError.ts"
import { Gate } from "../../src/net/Gate.ts"
import { connectDirect } from "../../src/net/TcpClient.ts"
import { serve } from "../../src/net/TcpServer.ts"

class TooLarge extends Schema.TaggedError<TooLarge>()("TooLarge", { limit: Schema.Natural }) {}

const error = Schema.Union([TooLarge, NoHello, Overloaded])

class Rpcs extends RpcGroup.make(
  Rpc.make("Double", { payload: { value: Schema.Natural }, success: Schema.Natural, error }),
  Rpc.make("Wait", { success: Schema.String, error }),
  Rpc.make("Note", { payload: { text: Schema.String }, error }),
  Rpc.make("Plain", { payload: { value: Schema.Natural }, success: Schema.Natural, error })
) {}

/** A call of the same name with another payload. */
class Other extends RpcGroup.make(
  Rpc.make("Double", { payload: { value: Schema.String }, success: Schema.Natural, error })
) {}

/** Lets everybody in: what is tested here comes behind it. */
class OpenGate extends Gate<RpcGroup.Rpcs<typeof Rpcs>> {
  override admits(): boolean {
    return true
  }
}

const gate = new OpenGate(Rpcs, {
  hello: "Plain",
  noHello: (call) => new NoHello({ call }),
  overloaded: (excess) => excess,
  notifications: ["Note"]
})

const port = Effect.gen(function*() {
  const notes = yield* Queue.unbounded<string>()
  const release = yield* Deferred.make<string>()
  const waiting = yield* Queue.unbounded<number>()
  const never = () => Effect.die("its direct handler is called instead")
  const handlers = Rpcs.toLayer({
    Double: never,
    Wait: never,
    Note: never,
    Plain: ({ value }) => Effect.succeed(value + 1)
  })
  const { port } = yield* serve(Rpcs, {
    name: "test",
    host: "127.0.0.1",
    port: 0,
    maxFrameBytes: 64 * 1024,
    gate,
    direct: {
      Double: ({ value }) =>
        value > 1_000_000 ? Effect.fail(new TooLarge({ limit: 1_000_000 })) : Effect.succeed(2 * value),
      Wait: (_, clientId) => {
        Queue.offerUnsafe(waiting, clientId)
        return Deferred.await(release)
      },
      Note: ({ text }) => {
        Queue.offerUnsafe(notes, text)
        return Effect.void
      }
    }
  }).pipe(Effect.provide(handlers))
  return { notes, release, waiting, address: { host: "127.0.0.1", port, openTimeoutMs: 1_000 } }
})

describe("direct calls", () => {
  it.live("are answered, each with its own answer, beside calls of the RPC client", () =>
    Effect.gen(function*() {
      const { address } = yield* port
      const { calls, direct } = yield* connectDirect(Rpcs, address)
      const double = direct.call("Double")
      const numbers = Array.from({ length: 200 }, (_, i) => i)
      const [doubled, plain, usual] = yield* Effect.all([
        Effect.forEach(numbers, (value) => double({ value }), { concurrency: "unbounded" }),
        Effect.forEach(numbers, (value) => calls.Plain({ value }), { concurrency: "unbounded" }),
        Effect.forEach(numbers, (value) => calls.Double({ value }), { concurrency: "unbounded" })
      ], { concurrency: "unbounded" })
      expect(doubled).toEqual(numbers.map((value) => 2 * value))
      expect(plain).toEqual(numbers.map((value) => value + 1))
      expect(usual).toEqual(doubled)
    }))

  it.live("fail with the errors of their schema", () =>
    Effect.gen(function*() {
      const { address } = yield* port
      const { calls, direct } = yield* connectDirect(Rpcs, address)
      const error = yield* Effect.flip(direct.call("Double")({ value: 2_000_000 }))
      expect(error).toEqual(new TooLarge({ limit: 1_000_000 }))
      expect(yield* Effect.flip(calls.Double({ value: 2_000_000 }))).toEqual(error)
    }))

  it.live("whose handlers take their time hold up nothing, and are answered in the end", () =>
    Effect.gen(function*() {
      const { address, release, waiting } = yield* port
      const { direct } = yield* connectDirect(Rpcs, address)
      const answer = yield* Effect.forkChild(direct.call("Wait")(undefined), { startImmediately: true })
      yield* Queue.take(waiting)
      expect(yield* direct.call("Double")({ value: 4 })).toBe(8)
      yield* Deferred.succeed(release, "now")
      expect(yield* Fiber.join(answer)).toBe("now")
    }))

  it.live("may be abandoned: an answer that nobody waits for is dropped", () =>
    Effect.gen(function*() {
      const { address, release, waiting } = yield* port
      const { direct } = yield* connectDirect(Rpcs, address)
      const abandoned = yield* Effect.forkChild(direct.call("Wait")(undefined), { startImmediately: true })
      yield* Queue.take(waiting)
      yield* Fiber.interrupt(abandoned)
      yield* Deferred.succeed(release, "late")
      expect(yield* direct.call("Double")({ value: 4 })).toBe(8)
    }))

  it.live("that are notifications are carried out in order and not answered", () =>
    Effect.gen(function*() {
      const { address, notes } = yield* port
      const { direct } = yield* connectDirect(Rpcs, address)
      const texts = Array.from({ length: 100 }, (_, i) => `note ${i}`)
      const note = direct.notifyUnsafe("Note")
      for (const text of texts) note({ text }, () => undefined)
      expect(yield* Effect.forEach(texts, () => Queue.take(notes))).toEqual(texts)
    }))

  it.live("that are notifications wait in the sender's hands while the other side does not read", () =>
    Effect.gen(function*() {
      const sockets = yield* Queue.unbounded<Socket>()
      const server = createServer({ pauseOnConnect: true }, (socket) => Queue.offerUnsafe(sockets, socket))
      yield* Effect.addFinalizer(() => Effect.sync(() => server.close()))
      yield* Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void)))
      const { port: at } = server.address() as AddressInfo
      const { direct } = yield* connectDirect(Rpcs, { host: "127.0.0.1", port: at, openTimeoutMs: 5_000 })
      const socket = yield* Queue.take(sockets)
      yield* Effect.addFinalizer(() => Effect.sync(() => socket.destroy()))
      const note = direct.notifyUnsafe("Note")
      const taken = yield* Deferred.make<void>()
      // More than the system keeps for a connection.
      let sent = 0
      while (sent++ < 1_000 && note({ text: "x".repeat(100_000) }, () => Deferred.doneUnsafe(taken, Exit.void))) {
        yield* Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
      }
      expect(sent).toBeLessThan(1_000)
      expect(yield* Deferred.isDone(taken)).toBe(false)
      socket.on("data", () => undefined).resume()
      yield* Deferred.await(taken)
    }))

  it.live("with a payload that is none of theirs are answered by a defect and told of, and the connection goes on", () => {
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => lines.push(String(message)))
    return Effect.gen(function*() {
      const { address } = yield* port
      const { direct } = yield* connectDirect(Other, address)
      for (const value of ["four", "five"]) {
        const exit = yield* Effect.exit(direct.call("Double")({ value }))
        expect(Exit.isFailure(exit) && Cause.hasDies(exit.cause)).toBe(true)
        expect(String(Exit.isFailure(exit) && Cause.squash(exit.cause))).toMatch(/payload of Double is malformed/)
      }
      expect(lines.filter((line) => /test port: the payload of Double is malformed/.test(line))).toHaveLength(2)
    }).pipe(Effect.provide(Logger.layer([logger])))
  })

  it.live("fail when the connection is lost before the answer", () =>
    Effect.gen(function*() {
      const scope = yield* Effect.scope
      const call = yield* Effect.scoped(
        Effect.gen(function*() {
          const { address, waiting } = yield* port
          const { direct } = yield* Scope.provide(connectDirect(Rpcs, address), scope)
          const call = yield* Effect.forkDetach(direct.call("Wait")(undefined), { startImmediately: true })
          yield* Queue.take(waiting)
          return call
        })
      )
      expect(Exit.isFailure(yield* Fiber.await(call))).toBe(true)
    }))
})
