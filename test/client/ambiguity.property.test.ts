/**
 * What a caller is told of a write agrees with what nodes may have done, whatever becomes of its attempts: `Indeterminate`
 * exactly when one may have carried it out without saying so, and never a second attempt after that.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import { KeyValue } from "../../src/client/KeyValue.ts"
import * as RemoteClient from "../../src/client/RemoteClient.ts"
import { Indeterminate, Overloaded, Unavailable } from "../../src/FlareDbError.ts"
import { decodeCommand } from "../../src/kv/model/Command.ts"
import { encodeGetReply } from "../../src/kv/model/ReplyCodec.ts"
import type { Answer } from "./FakeCluster.ts"
import { acknowledge, connectTo, FakeNode, notLeader } from "./FakeCluster.ts"

const Behaviour = Schema.Literals([
  "acknowledges",
  "is not the leader",
  "is overloaded",
  "is unavailable",
  "does not know",
  "never had it",
  "is lost",
  "is silent",
  "answers late"
])

/** Behaviours after which a node may have carried a write out. */
const ambiguous: ReadonlySet<string> = new Set(["does not know", "is lost", "is silent", "answers late"])

const puts = 6
const keyOf = (bytes: Uint8Array): string => {
  const decoded = decodeCommand(bytes)
  if (!("command" in decoded) || decoded.command._tag !== "Put") throw new Error("a put was expected")
  return Buffer.from(decoded.command.key).toString()
}

const failing = (error: Unavailable | Overloaded | Indeterminate) => (count: number): Answer =>
  Effect.succeed(Array.from({ length: count }, () => error))

const behave = (node: FakeNode, behaviour: typeof Behaviour.Type, count: number): Answer => {
  switch (behaviour) {
    case "acknowledges":
      return acknowledge(count)
    case "is not the leader":
      return notLeader(undefined)(count)
    case "is overloaded":
      return failing(new Overloaded({ limit: "x", current: 1, maximum: 1 }))(count)
    case "is unavailable":
      return failing(new Unavailable({ reason: "no majority" }))(count)
    case "does not know":
      return failing(new Indeterminate({ reason: "it lost the leadership" }))(count)
    case "never had it":
      return Effect.fail(node.lost(false))
    case "is lost":
      return Effect.fail(node.lost(true))
    case "is silent":
      return Effect.never
    case "answers late":
      return Effect.andThen(Effect.sleep(700), acknowledge(count))
  }
}

describe("a write without a session", () => {
  const Behaviours = Schema.Array(Behaviour).check(Schema.isMinLength(1), Schema.isMaxLength(12))
  it.effect.prop("is told to its caller as it was", [Behaviours], ([behaviours]) =>
    Effect.gen(function*() {
      const nodes = [new FakeNode(1), new FakeNode(2), new FakeNode(3)]
      /** What became of the attempts at each key. */
      const met = new Map<string, Array<string>>()
      let calls = 0
      for (const node of nodes) {
        node.write = (count, commands) => {
          const behaviour = behaviours[calls++ % behaviours.length] as typeof Behaviour.Type
          for (const command of commands) met.set(keyOf(command), [...met.get(keyOf(command)) ?? [], behaviour])
          return behave(node, behaviour, count)
        }
      }
      const endpoints = nodes.map(({ endpoint }) => endpoint)
      const options = { endpoints, sessions: false, requestTimeoutMs: 2_000, attemptTimeoutMs: 500 }
      yield* Effect.gen(function*() {
        const kv = yield* KeyValue
        const writes: Array<Fiber.Fiber<unknown, { readonly _tag: string }>> = []
        for (let i = 0; i < puts; i++) {
          writes.push(yield* Effect.forkChild(kv.put(`key ${i}`, "value"), { startImmediately: true }))
          // Some leave together, some alone.
          if (i % 2 === 1) yield* TestClock.adjust(5)
        }
        for (let i = 0; i < 60; i++) yield* TestClock.adjust(50)
        for (let i = 0; i < puts; i++) {
          const exit = yield* Fiber.await(writes[i] as Fiber.Fiber<unknown, { readonly _tag: string }>)
          const attempts = met.get(`key ${i}`) ?? []
          const last = attempts.at(-1) ?? "was not asked"
          const ambiguousOnes = attempts.filter((behaviour) => ambiguous.has(behaviour))
          const told = `${JSON.stringify(exit)} after ${attempts.join(", ")}`
          // Nothing is sent again after it may have been carried out.
          assert.isTrue(ambiguousOnes.length === 0 || (ambiguousOnes.length === 1 && ambiguous.has(last)), told)
          if (Exit.isSuccess(exit)) assert.include(["acknowledges", "answers late"], last, told)
          else {
            const failure = Option.getOrThrow(Cause.findErrorOption(exit.cause))
            assert.strictEqual(failure._tag === "Indeterminate", ambiguousOnes.length > 0, told)
          }
        }
      }).pipe(Effect.provide(RemoteClient.layerConnect(options, connectTo(nodes))))
    }), { arbitrary: { runs: 60 } })
})

it.effect("an answer that comes late does not send again what is being sent again", () =>
  Effect.gen(function*() {
    const nodes = [new FakeNode(1), new FakeNode(2)] as const
    const [first, second] = nodes
    const late = yield* Deferred.make<void>()
    const release = yield* Deferred.make<void>()
    const get = (count: number) => Array.from({ length: count }, () => encodeGetReply(1, undefined))
    first.read = (count) =>
      Effect.andThen(Deferred.await(late), notLeader(undefined)(count)) as ReturnType<FakeNode["read"]>
    second.read = (count) => Effect.as(Deferred.await(release), get(count))
    const options = { endpoints: nodes.map(({ endpoint }) => endpoint), attemptTimeoutMs: 500 }
    yield* Effect.gen(function*() {
      const kv = yield* KeyValue
      const read = yield* Effect.forkChild(kv.get("key"), { startImmediately: true })
      for (let i = 0; i < 12; i++) yield* TestClock.adjust(50)
      assert.deepStrictEqual([first.reads, second.reads], [[1], [1]])
      yield* Deferred.succeed(late, undefined)
      for (let i = 0; i < 4; i++) yield* TestClock.adjust(50)
      assert.deepStrictEqual([first.reads, second.reads], [[1], [1]])
      yield* Deferred.succeed(release, undefined)
      yield* Fiber.join(read)
    }).pipe(Effect.provide(RemoteClient.layerConnect(options, connectTo(nodes))))
  }))
