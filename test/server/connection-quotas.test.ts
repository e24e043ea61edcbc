/** What one connection may have of sessions and leases: what is alive counts, and what has ended does not. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { Overloaded, Unavailable } from "../../src/FlareDbError.ts"
import type { Command } from "../../src/kv/model/Command.ts"
import { encodeCommand } from "../../src/kv/model/Command.ts"
import { encodeReply } from "../../src/kv/model/ReplyCodec.ts"
import type { GrantKind } from "../../src/kv/Grants.ts"
import { ConnectionQuota } from "../../src/server/ConnectionQuotas.ts"

const grant: Command = { _tag: "GrantLease", ttlMs: 1_000 }
const open: Command = { _tag: "OpenSession", ttlMs: 1_000, secret: new Uint8Array(16), owner: "" }
const put: Command = { _tag: "Put", key: Uint8Array.of(1), value: Uint8Array.of(2), lease: 0 }

/** A store that grants what it is asked for, and a connection to it. */
const connection = (maximum: Readonly<Record<GrantKind, number>>) => {
  const alive = new Set<number>()
  let lastId = 0
  let ended = 0
  let looks = 0
  const quota = new ConnectionQuota({
    isAlive: (_, id) => {
      looks += 1
      return alive.has(id)
    },
    ended: () => ended
  }, maximum)
  const carryOut = (commands: ReadonlyArray<Uint8Array>) =>
    Effect.succeed(commands.map((command) => {
      if (command[1] === 1) return encodeReply({ _tag: "PutReply", revision: 1, createRevision: 1, version: 1 })
      alive.add(++lastId)
      return command[1] === 8
        ? encodeReply({ _tag: "SessionReply", revision: 1, session: lastId, ttlMs: 1_000 })
        : encodeReply({ _tag: "LeaseReply", revision: 1, lease: lastId, ttlMs: 1_000, remainingMs: 1_000 })
    }))
  const send = (commands: ReadonlyArray<Command>, write: Parameters<typeof quota.write>[1] = carryOut) =>
    quota.write(commands.map((command) => encodeCommand(command)), write)
  const end = (id: number) => {
    if (alive.delete(id)) ended += 1
  }
  return { alive, send, end, looks: () => looks }
}

const granted = (results: ReadonlyArray<unknown>): number => results.filter((one) => one instanceof Uint8Array).length

describe("a connection", () => {
  it.effect("is refused what goes beyond its quota, in the place of that, and nothing else", () =>
    Effect.gen(function*() {
      const { send } = connection({ session: 2, lease: 3 })
      const results = yield* send([open, put, open, open, grant, put])
      assert.deepStrictEqual(results.map((one) => one instanceof Uint8Array), [true, true, true, false, true, true])
      assert.deepInclude(results[3], { limit: "maxConnectionSessions", current: 2, maximum: 2 })
      assert.instanceOf(results[3], Overloaded)
      assert.strictEqual(granted(yield* send([grant, grant, grant])), 2)
    }))

  it.effect("may have another one as soon as one of them has ended", () =>
    Effect.gen(function*() {
      const { alive, end, send } = connection({ session: 1, lease: 1_000 })
      assert.strictEqual(granted(yield* send(Array.from({ length: 1_001 }, () => grant))), 1_000)
      end([...alive][500] as number)
      assert.strictEqual(granted(yield* send([grant, grant])), 1)
    }))

  it.effect("costs one look at all it has for each call at most, however much it asks for", () =>
    Effect.gen(function*() {
      const { alive, end, looks, send } = connection({ session: 1, lease: 1_000 })
      yield* send(Array.from({ length: 1_000 }, () => grant))
      end([...alive][500] as number)
      const before = looks()
      yield* send(Array.from({ length: 4_000 }, () => grant))
      assert.isAtMost(looks() - before, 1_000 + 2 * 4_000)
    }))

  it.effect("counts what is under way, and no more once that has failed", () =>
    Effect.gen(function*() {
      const { send } = connection({ session: 1, lease: 1 })
      const gate = yield* Deferred.make<void>()
      const failing = yield* Effect.forkChild(
        send([open], () => Effect.as(Deferred.await(gate), [new Unavailable({ reason: "no leader" })])),
        { startImmediately: true }
      )
      assert.strictEqual(granted(yield* send([open])), 0)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(failing)
      assert.strictEqual(granted(yield* send([open])), 1)
    }))
})
