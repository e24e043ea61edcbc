/** Operations that are asked for one by one, at a node that may be behind. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, References } from "effect"
import * as AccessMetrics from "../../src/callers/AccessMetrics.ts"
import { AuditLog } from "../../src/callers/AuditLog.ts"
import { Authentication } from "../../src/callers/Authentication.ts"
import { onlyAdministrators } from "../../src/callers/OnlyAdministrators.ts"
import { InvalidArgument, Unauthorized, Unavailable } from "../../src/FlareDbError.ts"
import type { MachineAccess } from "../../src/machine/MachineAccess.ts"
import { ProtocolViolations } from "../../src/net/ProtocolViolations.ts"
import type { RaftNode } from "../../src/node/RaftNode.ts"
import { decodeBatch, encodeBatch } from "../../src/protocol/Batch.ts"
import { AnswerBudget } from "../../src/server/AnswerBudget.ts"
import { Callers } from "../../src/server/Callers.ts"
import { ClientWrites } from "../../src/server/ClientWrites.ts"
import { ClientReads } from "../../src/server/ClientReads.ts"
import { OperationCount } from "../../src/server/OperationCount.ts"
import { OperationGuard } from "../../src/server/OperationGuard.ts"
import { DirectCall } from "../../src/net/DirectCalls.ts"

const quietly = Effect.provideService(References.MinimumLogLevel, "None")
const bytes = (...values: ReadonlyArray<number>): Uint8Array => Uint8Array.from(values)

/** Operations are single bytes; those of `allowed` may be carried out. */
const guardOf = (allowed: Set<number>, events: "writes" | "all" = "all") =>
  Effect.gen(function*() {
    let text = ""
    const audit = yield* AuditLog.make({ file: "audit", events, strict: true, nodeId: 1 }, () =>
      Effect.succeed({
        append: (lines) =>
          Effect.sync(() => {
            text += lines
          }),
        close: Effect.void
      }))
    const refusal = (operation: Uint8Array) =>
      allowed.has(operation[0] as number) ? undefined : new Unauthorized({ name: "shop", what: `do ${operation[0]}` })
    const access: MachineAccess = {
      ...onlyAdministrators,
      version: () => allowed.size,
      command: (_, command) => refusal(command) ?? command,
      query: (_, query) => refusal(query),
      describeQuery: (query) => ({ operation: `query ${query[0]}`, ranges: [], writes: false }),
      describeCommand: (command) => ({ operation: `command ${command[0]}`, ranges: [], writes: true })
    }
    const violations = yield* ProtocolViolations.make("client")
    const callers = new Callers({
      authentication: new Authentication({ clientAuth: "token", mode: "off", access, isLoopback: () => true }),
      access,
      violations,
      metrics: yield* AccessMetrics.make(access),
      audit
    })
    callers.add(1, { _tag: "KnownCaller", caller: { name: "shop", isNode: false, token: 1 }, bootstrap: false })
    return { guard: new OperationGuard(callers), audit, lines: () => text.trimEnd().split("\n").filter(Boolean) }
  })

describe("the operations of a call", () => {
  it.effect("are answered in their places, whatever of them is refused", () =>
    Effect.gen(function*() {
      const { guard } = yield* guardOf(new Set([1, 3, 5]))
      const guarded = guard.commands(1, [1, 2, 3, 4, 5].map((value) => bytes(value)))
      assert.deepEqual(guarded.allowed.map(([value]) => value), [1, 3, 5])
      const failure = new InvalidArgument({ field: "a", problem: "b" })
      const results = guarded.finish<Uint8Array | InvalidArgument>([bytes(11), failure, bytes(15)])
      assert.deepEqual(results.map((result) => result instanceof Uint8Array ? result[0] : result._tag), [
        11,
        "Unauthorized",
        "InvalidArgument",
        "Unauthorized",
        15
      ])
    }).pipe(Effect.scoped, quietly))

  it.effect("give their room in the audit log back, however they end", () =>
    Effect.gen(function*() {
      const { audit, guard, lines } = yield* guardOf(new Set([1, 2]))
      const all = [bytes(1), bytes(2), bytes(3)]
      guard.queries(1, all).discard()
      guard.queries(1, all).abandoned()
      guard.queries(1, all).finish([bytes(0), { _tag: "NotLeader" }])
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      assert.strictEqual(audit.table.entries(), 0)
      assert.lengthOf(lines().filter((line) => line.includes("unknown")), 2)
      assert.lengthOf(lines().filter((line) => line.includes("refused: Unauthorized")), 2)
      assert.lengthOf(lines(), 5)
    }).pipe(Effect.scoped, quietly))

  it.effect("are asked for again behind the leader's word when a node that may be behind would refuse one", () =>
    Effect.gen(function*() {
      const allowed = new Set([1])
      const { guard } = yield* guardOf(allowed)
      let fences = 0
      const node = {
        readBarrier: Effect.sync(() => {
          fences += 1
          allowed.add(2)
        }),
        query: (queries: ReadonlyArray<Uint8Array>) => Effect.succeed(queries)
      } as unknown as RaftNode["Service"]
      const reads = new ClientReads({
        node,
        guard,
        operations: new OperationCount(10),
        answers: new AnswerBudget(1_000_000, () => 0),
        count: () => undefined
      })
      const read = (...queries: ReadonlyArray<number>) =>
        Effect.map(
          reads.read(
            { consistency: "linearizable", from: "any", queries: encodeBatch(queries.map((value) => bytes(value))) },
            new DirectCall(1, () => undefined)
          ),
          ({ failures, replies }) => ({ failures: failures.map(({ slot }) => slot), replies: decodeBatch(replies, 9) })
        )
      assert.deepEqual((yield* read(1)).failures, [])
      assert.strictEqual(fences, 0)
      assert.deepEqual(yield* read(1, 2), { failures: [], replies: [bytes(1), bytes(2)] })
      assert.strictEqual(fences, 1)
      assert.deepEqual((yield* read(1, 3)).failures, [1])
      assert.strictEqual(fences, 2)
    }).pipe(Effect.scoped, quietly))

  it.effect("are carried out by a leader that would have refused one before it knew that it still leads", () =>
    Effect.gen(function*() {
      const allowed = new Set([1])
      const { audit, guard, lines } = yield* guardOf(allowed)
      let fences = 0
      let barrier: Effect.Effect<void, Unavailable> = Effect.sync(() => {
        fences += 1
        allowed.add(2)
      })
      const operations = new OperationCount(10)
      const writes = new ClientWrites({
        node: {
          get readBarrier() {
            return barrier
          },
          propose: (commands: ReadonlyArray<Uint8Array>) => Effect.succeed(commands)
        } as unknown as RaftNode["Service"],
        guard,
        operations,
        answers: new AnswerBudget(1_000_000, () => 0),
        newQuota: () => undefined,
        count: () => undefined
      })
      const write = (...commands: ReadonlyArray<number>) =>
        Effect.map(
          writes.write(
            { commands: encodeBatch(commands.map((value) => bytes(value))) },
            new DirectCall(1, () => undefined)
          ) ?? assert.fail("the call is answered elsewhere"),
          ({ failures, replies }) => ({
            failures: failures.map(({ error, slot }) => `${slot} ${error._tag}`),
            replies: decodeBatch(replies, 9)
          })
        )
      assert.deepEqual(yield* write(1, 2), { failures: [], replies: [bytes(1), bytes(2)] })
      assert.strictEqual(fences, 1)
      assert.deepEqual((yield* write(1, 3)).failures, ["1 Unauthorized"])
      assert.strictEqual(fences, 2)
      barrier = Effect.fail(new Unavailable({ reason: "there is no leader" }))
      assert.deepEqual((yield* write(1, 3)).failures, ["1 Unavailable"])
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      assert.lengthOf(lines().filter((line) => line.includes("refused: Unauthorized")), 1)
      assert.strictEqual(audit.table.entries(), 0)
    }).pipe(Effect.scoped, quietly))

  it.effect("are not refused by a node that cannot find out whether it is behind", () =>
    Effect.gen(function*() {
      const { guard, lines } = yield* guardOf(new Set([1]))
      const reads = new ClientReads({
        node: {
          readBarrier: Effect.fail(new Unavailable({ reason: "there is no leader" })),
          query: (queries: ReadonlyArray<Uint8Array>) => Effect.succeed(queries)
        } as unknown as RaftNode["Service"],
        guard,
        operations: new OperationCount(10),
        answers: new AnswerBudget(1_000_000, () => 0),
        count: () => undefined
      })
      const { failures, replies } = yield* reads.read(
        { consistency: "stale", from: "any", queries: encodeBatch([bytes(1), bytes(2)]) },
        new DirectCall(1, () => undefined)
      )
      assert.deepEqual(decodeBatch(replies, 9), [bytes(1), bytes()])
      assert.deepStrictEqual(failures.map(({ slot }) => slot), [1])
      const [{ error } = {}] = failures
      assert.instanceOf(error, Unavailable)
      assert.include(error.message, "this node cannot know what its caller may do: ")
      assert.lengthOf(lines().filter((line) => line.includes("refused: Unauthorized")), 0)
    }).pipe(Effect.scoped, quietly))

  it.effect("are not answered with what was written behind the loss of a role, at a node that was behind", () =>
    Effect.gen(function*() {
      const allowed = new Set([1, 2])
      const { guard, lines } = yield* guardOf(allowed)
      const reads = new ClientReads({
        node: {
          readBarrier: Effect.void,
          // It waits for what was acknowledged before, and that takes the right to 2 away.
          query: (queries: ReadonlyArray<Uint8Array>) =>
            Effect.sync(() => {
              allowed.delete(2)
              return queries
            })
        } as unknown as RaftNode["Service"],
        guard,
        operations: new OperationCount(10),
        answers: new AnswerBudget(1_000_000, () => 0),
        count: () => undefined
      })
      const { failures } = yield* reads.read(
        { consistency: "linearizable", from: "any", queries: encodeBatch([bytes(1), bytes(2)]) },
        new DirectCall(1, () => undefined)
      )
      assert.deepEqual(failures.map(({ error, slot }) => [slot, error._tag]), [[1, "Unauthorized"]])
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      assert.deepEqual(lines().map((line) => JSON.parse(line)).map(({ operation, outcome }) => [operation, outcome]), [
        ["query 1", "ok"],
        ["query 2", "refused: Unauthorized"]
      ])
    }).pipe(Effect.scoped, quietly))
})
