/** A table of sessions that clients without a word have filled: a new client gets a session, and no answer is lost. */
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import type { Command, CommandId } from "../../src/kv/model/Command.ts"
import { encodeCommand } from "../../src/kv/model/Command.ts"
import { maxSessions } from "../../src/kv/model/Limits.ts"
import type { Reply } from "../../src/kv/model/Reply.ts"
import { decodeReply } from "../../src/kv/model/ReplyCodec.ts"
import * as KvStateMachine from "../../src/kv/KvStateMachine.ts"
import { StateMachine } from "../../src/machine/StateMachine.ts"
import { LogIndex, Term } from "../../src/raft/Types.ts"
import * as MemoryStore from "../../src/storage/memory/MemoryStore.ts"

const ttlMs = 300_000
const secret = Uint8Array.from({ length: 16 }, (_, i) => i)
const open: Command = { _tag: "OpenSession", ttlMs, secret, owner: "" }
const put: Command = { _tag: "Put", key: Uint8Array.of(1), value: Uint8Array.of(2), lease: 0 }

/** A log of commands, each with its session and its time, on a machine that can be started again. */
class Log {
  private readonly disk = new MemoryStore.MemoryDisk([1])
  private index = 0
  private machine: StateMachine["Service"] | undefined

  /** A log that goes on from here, whose machine starts from what this one stored. */
  fork(): Log {
    const fork = new Log()
    fork.disk.state = this.disk.state
    fork.index = this.index
    return fork
  }

  readonly restart = Effect.gen({ self: this }, function*() {
    const layer = Layer.fresh(KvStateMachine.layer.pipe(Layer.provide(MemoryStore.layer(this.disk))))
    this.machine = Context.get(yield* Layer.build(layer), StateMachine)
  })

  readonly apply = Effect.fnUntraced({ self: this }, function*(
    timestampMs: number,
    commands: ReadonlyArray<{ readonly command: Command; readonly commandId?: CommandId }>
  ) {
    if (this.machine === undefined) yield* this.restart
    const entries = commands.map(({ command, commandId }) => ({
      index: LogIndex(++this.index),
      term: Term(1),
      kind: "command" as const,
      timestampMs,
      payload: encodeCommand(command, commandId)
    }))
    const replies: Array<Reply> = []
    while (replies.length < entries.length) {
      const some = yield* (this.machine as StateMachine["Service"]).apply(entries.slice(replies.length))
      for (const reply of some) replies.push(decodeReply(reply) as Reply)
    }
    return replies
  })

  /** Opens sessions and gives their ids. */
  readonly openAll = (timestampMs: number, count: number) =>
    Effect.map(
      this.apply(timestampMs, Array.from({ length: count }, () => ({ command: open }))),
      (replies) =>
        replies.map((reply) => {
          assert.strictEqual(reply._tag, "SessionReply")
          return reply._tag === "SessionReply" ? reply.session : 0
        })
    )

  /** One write in each of the sessions, whose reply no client acknowledges. */
  readonly writeAll = (timestampMs: number, sessions: ReadonlyArray<number>, sequence = 1) =>
    this.apply(
      timestampMs,
      sessions.map((session) => ({ command: put, commandId: { session, sequence, answered: sequence - 1, secret } }))
    )

  readonly openOne = (timestampMs: number) =>
    Effect.map(this.apply(timestampMs, [{ command: open }]), ([reply]) => reply)
}

interface Filled {
  readonly log: Log
  readonly sessions: ReadonlyArray<number>
}

/** A table that was filled at 1,000 ms, and its sessions. To fill it takes longer than to start from it. */
let filled: Filled | undefined

/** The same table once each session has written at 2,000 ms. */
let written: Filled | undefined

afterAll(() => {
  filled = undefined
  written = undefined
})

/** A table that a machine filled, and the machine. */
const filledByMachine = Effect.gen(function*() {
  const log = new Log()
  return { log, sessions: yield* log.openAll(1_000, maxSessions) }
})

/** The same table, and a machine that starts from it. */
const filledBefore = Effect.gen(function*() {
  filled ??= yield* filledByMachine
  return { log: filled.log.fork(), sessions: filled.sessions }
})

/** The table once all its sessions have written, and the machine that carried that out. */
const writtenByMachine = Effect.gen(function*() {
  const { log, sessions } = yield* filledBefore
  yield* log.writeAll(2_000, sessions)
  written ??= { log: log.fork(), sessions }
  return { log, sessions }
})

/** The same table, and a machine that starts from it. */
const writtenBefore = Effect.gen(function*() {
  if (written === undefined) yield* writtenByMachine
  const { log, sessions } = written as Filled
  return { log: log.fork(), sessions }
})

const full = { _tag: "RefusedReply", reason: "overloaded", field: "maxSessions", current: maxSessions } as const

describe("a full table of sessions", () => {
  for (const restarted of [false, true]) {
    it.effect(`makes room for a new client once the old ones are idle${restarted ? ", after a restart too" : ""}`, () =>
      Effect.gen(function*() {
        const { log } = yield* (restarted ? writtenBefore : writtenByMachine)
        assert.deepInclude(yield* log.openOne(61_999), full)
        // As many new clients as there were old ones, and not one more.
        const newcomers = yield* log.openAll(62_000, maxSessions)
        yield* log.writeAll(62_000, newcomers)
        assert.deepInclude(yield* log.openOne(62_000), full)
      }))

    it.effect(`ends the oldest session without a command first, at once${restarted ? ", after a restart too" : ""}`, () =>
      Effect.gen(function*() {
        const { log, sessions: [writer = 0, unused = 0, next = 0] } =
          yield* (restarted ? filledBefore : filledByMachine)
        yield* log.writeAll(1_000, [writer])
        if (restarted) yield* log.restart
        assert.strictEqual((yield* log.openOne(1_000))?._tag, "SessionReply")
        const [kept, ended, other] = yield* log.writeAll(1_000, [writer, unused, next], 2)
        assert.strictEqual(kept?._tag, "PutReply")
        assert.deepInclude(ended, { _tag: "RefusedReply", reason: "session-expired" } as const)
        assert.strictEqual(other?._tag, "PutReply")
      }))
  }

  it.effect("refuses a new client while every session was heard of lately", () =>
    Effect.gen(function*() {
      const { log, sessions: [oldest = 0, next = 0] } = yield* writtenByMachine
      assert.deepInclude(yield* log.openOne(61_999), full)
      const [newcomer = 0] = yield* log.openAll(62_000, 1)
      yield* log.writeAll(62_000, [newcomer])
      // Of those that are idle for equally long the oldest gave way.
      const [first, second] = yield* log.writeAll(62_000, [oldest, next], 2)
      assert.deepInclude(first, { _tag: "RefusedReply", reason: "session-expired" } as const)
      assert.strictEqual(second?._tag, "PutReply")
    }))

  it.effect("keeps the session with an unacknowledged recent reply, and its write takes effect once", () =>
    Effect.gen(function*() {
      const log = new Log()
      const [writer = 0] = yield* log.openAll(1_000, 1)
      const [first] = yield* log.writeAll(1_000, [writer])
      // Somebody opens every place twice over, and sends nothing.
      yield* log.openAll(1_000, 2 * maxSessions)
      const [again] = yield* log.writeAll(23_000, [writer])
      assert.deepStrictEqual(again, first)
      assert.deepInclude(again, { version: 1 })
    }))

  it.effect("refuses what comes from an evicted session, and carries it out neither once nor twice", () =>
    Effect.gen(function*() {
      const { log, sessions: [evicted = 0, ...others] } = yield* filledBefore
      yield* log.writeAll(1_000, [evicted])
      yield* log.writeAll(2_000, others)
      assert.strictEqual((yield* log.openOne(61_500))?._tag, "SessionReply")
      const [repeated] = yield* log.writeAll(61_500, [evicted])
      const [next] = yield* log.writeAll(61_500, [evicted], 2)
      for (const reply of [repeated, next]) {
        assert.deepInclude(reply, { _tag: "RefusedReply", reason: "session-expired" } as const)
      }
      // The write of the evicted session, those of all others, and this one.
      const [counted] = yield* log.apply(61_500, [{ command: put }])
      assert.deepInclude(counted, { _tag: "PutReply", version: maxSessions + 1 })
    }))

  it.effect("goes on when a session without a command opens another one and takes its own place by that", () =>
    Effect.gen(function*() {
      const { log, sessions: [first = 0] } = yield* filledBefore
      const commandId = { session: first, sequence: 1, answered: 0, secret }
      const [opened] = yield* log.apply(1_000, [{ command: open, commandId }])
      assert.strictEqual(opened?._tag, "SessionReply")
      // No reply was left behind without its session: the machine starts.
      yield* log.restart
      const [again] = yield* log.apply(1_000, [{ command: open, commandId }])
      assert.deepInclude(again, { _tag: "RefusedReply", reason: "session-expired" } as const)
    }))
})

describe("the secret of a session", () => {
  for (const restarted of [false, true]) {
    it.effect(`keeps out whoever guesses the numbers${restarted ? ", after a restart too" : ""}`, () =>
      Effect.gen(function*() {
        const log = new Log()
        const [session = 0] = yield* log.openAll(1_000, 1)
        if (restarted) yield* log.restart
        for (let i = 0; i < 16; i++) {
          const guess = secret.map((byte, at) => at === i ? byte ^ 1 : byte)
          const commandIds = [{ sequence: 1, answered: 0 }, { sequence: 9, answered: 8 }]
          for (const command of [put, { _tag: "CloseSession" } as const]) {
            for (const commandId of commandIds) {
              const [reply] = yield* log.apply(1_000, [{
                command,
                commandId: { ...commandId, session, secret: guess }
              }])
              assert.deepInclude(reply, { _tag: "RefusedReply", reason: "wrong-secret", revision: 0 } as const)
            }
          }
        }
        // Nothing was written, answered or ended meanwhile.
        const [own] = yield* log.writeAll(1_000, [session])
        assert.deepInclude(own, { _tag: "PutReply", version: 1, revision: 1 })
      }))
  }
})
