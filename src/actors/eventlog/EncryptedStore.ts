/**
 * The batches of one identity's store at an encrypted server. What several connections write at once is one
 * transaction, in the order in which it came.
 */
import { Deferred, Effect, Option } from "effect"
import type { EventJournal } from "effect/eventlog"
import type { EventLogEncryption } from "effect/eventlog"
import type { KeyValue, ReadFailure, WriteFailure } from "../../client/KeyValue.ts"
import { Op } from "../../client/Txn.ts"
import type { Tail } from "./AppendedRows.ts"
import { AppendedRows, Marks, maxBytes, maxOperations } from "./AppendedRows.ts"
import { LogContended } from "./Failures.ts"
import type { StoreKeys } from "./Layout.ts"
import { idPart, sequenceOfKey } from "./Layout.ts"
import type { Batch } from "./Rows.ts"
import { decodeBatch, decodeNumber, encodeBatch, encodeNumber } from "./Rows.ts"

type RemoteBatch = EventLogEncryption.EncryptedRemoteBatch
type EntryId = EventJournal.EntryId

export type StoreFailure = ReadFailure | WriteFailure | LogContended

/** Entries of a batch: its row and theirs are one step. Effect's clients send at most 100. */
export const maxBatchEntries = 400

/** Times that batches are appended while other servers append. */
const maxAttempts = 50

/** Bytes of a batch's rows, about. */
export const batchBytes = ({ encryptedBatch, entryIds, iv }: Batch): number =>
  encryptedBatch.byteLength + iv.byteLength + 32 * entryIds.length + 256

/** A batch as one of a write: when one cannot be stored, those behind it are not tried. */
interface Waiting {
  readonly batch: Batch
  readonly write: { failed: boolean }
  readonly stored: Deferred.Deferred<RemoteBatch | undefined, StoreFailure>
}

export class EncryptedStore {
  readonly rows: AppendedRows
  private readonly kv: KeyValue["Service"]
  private readonly keys: StoreKeys
  private readonly marks = new Marks()
  private readonly waiting: Array<Waiting> = []
  private working = false
  private known: Tail | undefined

  constructor(kv: KeyValue["Service"], keys: StoreKeys) {
    this.kv = kv
    this.keys = keys
    this.rows = new AppendedRows(
      kv,
      keys.appended,
      (row) => sequenceOfKey(row.keyText) + decodeBatch(row).entryIds.length - 1
    )
  }

  /** Stores batches in their order, each unless all of its entries are stored; gives those that it stored. */
  write(batches: ReadonlyArray<Batch>): Effect.Effect<ReadonlyArray<RemoteBatch>, StoreFailure> {
    return Effect.suspend(() => {
      const write = { failed: false }
      const waiting = batches.map((batch): Waiting => ({ batch, write, stored: Deferred.makeUnsafe() }))
      this.waiting.push(...waiting)
      const answer = Effect.map(
        Effect.forEach(waiting, ({ stored }) => Deferred.await(stored)),
        (stored) => stored.filter((batch) => batch !== undefined)
      )
      if (this.working || waiting.length === 0) return answer
      this.working = true
      // The first caller works for all, also when it is interrupted.
      return Effect.andThen(Effect.forkDetach(this.work()), answer)
    })
  }

  /** The sequences that entries were first stored at; those that are not there are left out. */
  readonly sequences = Effect.fnUntraced({ self: this }, function*(
    this: EncryptedStore,
    ids: ReadonlyArray<EntryId>
  ): Effect.fn.Return<ReadonlyArray<{ readonly entryId: EntryId; readonly sequence: number }>, WriteFailure> {
    const found: Array<{ readonly entryId: EntryId; readonly sequence: number }> = []
    for (let from = 0; from < ids.length; from += maxOperations) {
      const part = ids.slice(from, from + maxOperations)
      const { results } = yield* this.kv.transact(
        { do: part.map((id) => Op.get(this.keys.id(id))) },
        { consistency: "linearizable" }
      )
      for (const [i, row] of results.entries()) {
        if (Option.isSome(row)) found.push({ entryId: part[i] as EntryId, sequence: decodeNumber(row.value) })
      }
    }
    return found
  })

  private readonly work = Effect.fnUntraced({ self: this }, function*(this: EncryptedStore) {
    for (;;) {
      // What comes in the same turn goes along.
      yield* Effect.yieldNow
      const step = this.takeStep()
      if (step.length === 0) {
        this.working = false
        return
      }
      const tried = step.filter(({ write }) => !write.failed)
      const exit = yield* Effect.exit(this.store(tried.map(({ batch }) => batch)))
      for (const [i, { stored, write }] of tried.entries()) {
        if (exit._tag === "Failure") write.failed = true
        Deferred.doneUnsafe(
          stored,
          exit._tag === "Success" ? Effect.succeed(exit.value[i]) : Effect.failCause(exit.cause)
        )
      }
      // The write of those behind a failure has failed, so no caller waits for them.
      for (const { stored } of step) Deferred.doneUnsafe(stored, Effect.interrupt)
    }
  })

  /** What waits, as far as one transaction holds it. */
  private takeStep(): ReadonlyArray<Waiting> {
    let operations = 0
    let bytes = 0
    const fits = this.waiting.findIndex(({ batch }, i) => {
      operations += batch.entryIds.length + 1
      bytes += batchBytes(batch)
      return i > 0 && (operations > maxOperations || bytes > maxBytes)
    })
    return this.waiting.splice(0, fits < 0 ? this.waiting.length : fits)
  }

  private readonly store = Effect.fnUntraced({ self: this }, function*(
    this: EncryptedStore,
    batches: ReadonlyArray<Batch>
  ): Effect.fn.Return<ReadonlyArray<RemoteBatch | undefined>, StoreFailure> {
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      const behind = this.known ?? (yield* this.rows.tail)
      // Read after the tail: as long as nothing is appended behind that, no other entry is stored.
      const known = yield* this.sequences(batches.flatMap(({ entryIds }) => entryIds))
      const ids = new Set(known.map(({ entryId }) => idPart(entryId)))
      const mark = this.marks.next()
      const operations: Array<Op<unknown>> = []
      let { last } = behind
      let lastKey = ""
      const stored = batches.map((batch): RemoteBatch | undefined => {
        const sequence = last + 1
        let isNew = false
        for (const [i, entryId] of batch.entryIds.entries()) {
          const id = idPart(entryId)
          if (ids.has(id)) continue
          ids.add(id)
          isNew = true
          operations.push(Op.put(this.keys.id(entryId), encodeNumber(sequence + i)))
        }
        if (!isNew) return undefined
        lastKey = this.keys.appended.row(sequence)
        operations.push(Op.put(lastKey, encodeBatch(batch, mark)))
        last += batch.entryIds.length
        return { sequence, ...batch }
      })
      if (operations.length === 0) return stored
      this.known = undefined
      const tail = yield* this.rows.append({ behind, last, lastKey, mark, do: operations })
      if (Option.isSome(tail)) {
        this.known = tail.value
        return stored
      }
    }
    return yield* new LogContended({ rows: this.keys.appended.rows, attempts: maxAttempts })
  })
}
