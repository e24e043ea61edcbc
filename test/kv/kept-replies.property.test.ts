/**
 * The bound on what all sessions keep, with room for little: whatever is sent, the sum stays below it, every command
 * takes effect at most once, a repetition gets the first answer or the digest of it, and all nodes decide alike however
 * commands are cut into batches and wherever a node starts again.
 */
import { assert, describe, it } from "@effect/vitest"
import { apply, keysOf } from "../../src/kv/model/Apply.ts"
import { Batch } from "../../src/kv/model/Batch.ts"
import type { Command, CommandId } from "../../src/kv/model/Command.ts"
import { noSession } from "../../src/kv/model/Command.ts"
import { decodeMetadata } from "../../src/kv/model/StoreMetadata.ts"
import { metadataKey } from "../../src/kv/model/Keyspace.ts"
import { KeptReplies } from "../../src/kv/model/KeptReplies.ts"
import { replyOverheadBytes } from "../../src/kv/model/Limits.ts"
import { ReadBudget } from "../../src/kv/model/ReadBudget.ts"
import { decodeReply } from "../../src/kv/model/ReplyCodec.ts"
import { State } from "../../src/kv/model/State.ts"
import { bytes, Store, text } from "./Store.ts"

const limits = { maxSessions: 4, maxKeptReplyBytes: 12_000 }

interface Step {
  readonly index: number
  readonly command: Command
  readonly commandId: CommandId
  /** The same command was sent before. */
  readonly repeats: boolean
}

const key = bytes("counted")
const write: Command = { _tag: "Put", key, value: bytes("1"), lease: 0 }

/** A transaction that counts and reads: its reply is about as large as `size`. */
const readMuch = (size: number): Command => ({
  _tag: "Transact",
  transaction: {
    compares: [],
    success: [{ _tag: "Put", key, value: bytes("1"), lease: 0 }, { _tag: "Get", key: bytes(`size ${size}`) }],
    failure: []
  }
})

const sizes = [300, 1_000, 5_000, 70_000] as const
const secret = new Uint8Array(16)

/** Commands of four sessions, which acknowledge seldom. The first entries make what is read, and the sessions. */
const stepsOf = (seed: number, count: number): ReadonlyArray<Step> => {
  let state = seed
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
  const steps: Array<Step> = []
  const add = (command: Command, commandId = noSession, repeats = false) =>
    steps.push({ index: steps.length + 1, command, commandId, repeats })
  for (const size of sizes) {
    add({ _tag: "Put", key: bytes(`size ${size}`), value: new Uint8Array(size), lease: 0 })
  }
  const sessions = Array.from({ length: limits.maxSessions }, () => {
    add({ _tag: "OpenSession", ttlMs: 300_000, secret, owner: "" })
    return { id: steps.length, sent: new Map<number, Command>(), last: 0, answered: 0 }
  })
  for (let i = 0; i < count; i++) {
    const session = sessions[below(sessions.length)] ?? assert.fail("no session")
    const { id, sent } = session
    const kept = session.last - session.answered
    if (kept > 0 && below(4) === 0) {
      const sequence = session.answered + 1 + below(kept)
      add(sent.get(sequence) as Command, { session: id, sequence, answered: session.answered, secret }, true)
      continue
    }
    // Clients of odd seeds acknowledge nothing.
    if (seed % 2 === 0 && below(12) === 0) session.answered += below(kept + 1)
    session.last += 1
    const command = below(2) === 0 ? write : readMuch(sizes[below(sizes.length)] as number)
    sent.set(session.last, command)
    add(command, { session: id, sequence: session.last, answered: session.answered, secret })
  }
  return steps
}

interface Seen {
  digests: number
  whole: number
  refused: number
}

const carryOut = (steps: ReadonlyArray<Step>, batchSize: () => number, restart: () => boolean, seen?: Seen) => {
  const store = new Store(limits)
  let state = new State(limits)
  const replies: Array<Uint8Array> = []
  let highest = 0
  for (let at = 0; at < steps.length;) {
    const part = steps.slice(at, at + batchSize())
    at += part.length
    const batch = new Batch(state)
    store.run(batch.writeSet.loadAll(part.flatMap(({ command }) => keysOf(command)), new ReadBudget()))
    for (const { command, index, commandId } of part) {
      const applied = apply(batch, { index, timestampMs: 1_000 + index }, { _tag: "Decoded", command, commandId })
      replies.push(applied instanceof Uint8Array ? applied : store.run(applied))
      highest = Math.max(highest, state.sessions.kept.bytes)
      // What is counted is what is kept.
      let sum = 0
      for (const session of state.sessions.all) sum += session.replyBytes + replyOverheadBytes * session.size
      assert.strictEqual(state.sessions.kept.bytes, sum)
      assert.isAtMost(sum, limits.maxKeptReplyBytes)
    }
    store.commit(batch)
    if (restart()) state = store.recover()
  }
  if (seen !== undefined) assert.isAbove(highest, limits.maxKeptReplyBytes / 2, "the room was filled")
  return { store, replies }
}

const seen: Seen = { digests: 0, whole: 0, refused: 0 }

describe("what all sessions keep stays below its bound, and each command happens once", () => {
  for (let seed = 1; seed <= 30; seed++) {
    it(`seed ${seed}`, () => {
      const steps = stepsOf(seed, 300)
      let random = seed
      const below = (limit: number): number => {
        random = (Math.imul(random, 1_103_515_245) + 12_345) >>> 0
        return Math.floor((random / 2 ** 32) * limit)
      }
      const single = carryOut(steps, () => 1, () => false, seen)
      const first = new Map<string, { readonly reply: Uint8Array; readonly revision: number }>()
      let effects = 0
      for (const [at, { command, commandId }] of steps.entries()) {
        const bytesOfReply = single.replies[at] as Uint8Array
        const reply = decodeReply(bytesOfReply)
        if (reply._tag === "Problem") assert.fail(reply.problem)
        if (commandId.session === 0) continue
        if (reply._tag === "RefusedReply") {
          assert.strictEqual(reply.field, "maxKeptReplyBytes")
          seen.refused += 1
          continue
        }
        const name = `${commandId.session} ${commandId.sequence}`
        const known = first.get(name)
        if (known === undefined) {
          assert.strictEqual(reply._tag, command._tag === "Put" ? "PutReply" : "TransactionReply")
          first.set(name, { reply: bytesOfReply, revision: reply.revision })
          effects += 1
        } else if (reply._tag === "DigestReply") {
          const expected = { revision: known.revision, succeeded: true, bytes: known.reply.byteLength } as const
          assert.deepInclude(reply, expected)
          seen.digests += 1
        } else {
          assert.deepStrictEqual(bytesOfReply, known.reply)
          seen.whole += 1
        }
      }
      const metadata = decodeMetadata(single.store.rows.get(text(metadataKey))) ?? assert.fail("no metadata")
      assert.strictEqual(metadata.revision, effects + sizes.length, "each effect has a revision of its own")

      const others = [
        carryOut(steps, () => 1 + below(30), () => false),
        carryOut(steps, () => 1 + below(9), () => below(2) === 0)
      ]
      for (const { replies, store } of others) {
        for (const [at, reply] of replies.entries()) assert.deepStrictEqual(reply, single.replies[at], `reply ${at}`)
        assert.deepStrictEqual([...store.rows.keys()].sort(), [...single.store.rows.keys()].sort())
        for (const [name, value] of single.store.rows) assert.deepStrictEqual(store.rows.get(name), value, name)
      }
    })
  }
})

it("and repetitions meet digests and whole replies, and a full room refuses", () => {
  for (const [what, count] of Object.entries(seen)) assert.isAbove(count, 20, what)
})

describe("the room for kept replies", () => {
  it("leaves each session its part when others fill the rest", () => {
    const kept = new KeptReplies<string>(1_000, 5)
    // A half is shared, and 100 bytes are of one session.
    kept.resize(0, 600)
    assert.isFalse(kept.fits(600, 1))
    assert.isTrue(kept.fits(0, 100))
    assert.isFalse(kept.fits(0, 101))
    for (let session = 0; session < 4; session++) kept.resize(0, 100)
    assert.strictEqual(kept.bytes, 1_000)
    kept.resize(600, 50)
    assert.isTrue(kept.fits(100, 500))
  })
})
