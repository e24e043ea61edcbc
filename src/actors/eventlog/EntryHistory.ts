/** The stored entries of a store of the event log server that a new batch of entries may be in conflict with. */
import { Effect, Option } from "effect"
import { EventJournal } from "effect/eventlog"
import type { KeyValue, KeyValueEntry, ReadFailure, WriteFailure } from "../../client/KeyValue.ts"
import { Op } from "../../client/Txn.ts"
import { maxOperations } from "./AppendedRows.ts"
import type { ReadTooLarge } from "./Failures.ts"
import { ReadBudget } from "./JournalReader.ts"
import type { StoreKeys } from "./Layout.ts"
import { groupPart, idPart, sequenceOfKey } from "./Layout.ts"
import { decodeEntry, decodeNumber } from "./Rows.ts"

type Entry = EventJournal.Entry
type RemoteEntry = EventJournal.RemoteEntry

/** Most concurrent reads of rows and of groups, and rows of a page. */
const rowConcurrency = 64
const groupConcurrency = 16
const pageRows = 1_000

export class EntryHistory {
  private readonly kv: KeyValue["Service"]
  private readonly maxReadBytes: number

  /** `maxReadBytes` is the most bytes of stored entries that one read has in memory. */
  constructor(kv: KeyValue["Service"], maxReadBytes: number) {
    this.kv = kv
    this.maxReadBytes = maxReadBytes
  }

  /** The stored entries that a batch may be a copy of or in conflict with; without a batch, all from `oldest` on. */
  readonly read = Effect.fnUntraced({ self: this }, function*(
    store: StoreKeys,
    oldest: Entry,
    batch: ReadonlyArray<Entry> | undefined
  ): Effect.fn.Return<Array<RemoteEntry>, ReadFailure | WriteFailure | ReadTooLarge> {
    const budget = new ReadBudget("the stored entries that a write is compared with", this.maxReadBytes)
    const groups = batch === undefined
      ? [store.ids]
      : new Set(batch.map(({ event, primaryKey }) => store.group(event, primaryKey)))
    const after = yield* Effect.forEach(groups, (group) => this.sequencesAfter(group, oldest.id, budget), {
      concurrency: groupConcurrency
    })
    const sequences = new Set([...(yield* this.sequencesOf(store, batch ?? [oldest])), ...after.flat()])
    const rows = yield* Effect.forEach(sequences, (sequence) => this.kv.get(store.appended.row(sequence)), {
      concurrency: rowConcurrency
    })
    const entries: Array<RemoteEntry> = []
    for (const row of rows) {
      if (Option.isNone(row)) continue
      yield* budget.take(row.value)
      entries.push(remoteEntryOf(row.value))
    }
    return entries.sort((a, b) => a.remoteSequence - b.remoteSequence)
  })

  /** Sequences of the entries below a prefix whose ids come after an id. */
  private readonly sequencesAfter = Effect.fnUntraced({ self: this }, function*(
    below: string,
    id: Uint8Array,
    budget: ReadBudget
  ): Effect.fn.Return<ReadonlyArray<number>, ReadFailure | ReadTooLarge> {
    const sequences: Array<number> = []
    let cursor: Uint8Array | string | undefined = below + idPart(id)
    do {
      const page: Effect.Success<ReturnType<KeyValue["Service"]["scan"]>> = yield* this.kv.scan(below, {
        cursor,
        limit: pageRows,
        consistency: "linearizable"
      })
      for (const row of page.entries) {
        yield* budget.take(row)
        sequences.push(decodeNumber(row))
      }
      cursor = page.cursor
    } while (cursor !== undefined)
    return sequences
  })

  /** Sequences of those of these entries that are stored. */
  private readonly sequencesOf = Effect.fnUntraced({ self: this }, function*(
    store: StoreKeys,
    entries: ReadonlyArray<Entry>
  ): Effect.fn.Return<ReadonlyArray<number>, WriteFailure> {
    const sequences: Array<number> = []
    for (let from = 0; from < entries.length; from += maxOperations) {
      const part = entries.slice(from, from + maxOperations)
      const { results } = yield* this.kv.transact(
        { do: part.map(({ id }) => Op.get(store.id(id))) },
        { consistency: "linearizable" }
      )
      for (const row of results) if (Option.isSome(row)) sequences.push(decodeNumber(row.value))
    }
    return sequences
  })
}

/** The entry that a row of a store has. */
export const remoteEntryOf = (row: KeyValueEntry): RemoteEntry =>
  new EventJournal.RemoteEntry(
    { remoteSequence: sequenceOfKey(row.keyText), entry: decodeEntry(row) },
    { disableChecks: true }
  )

/** Whether an entry is a copy of one of a batch, or of its event and primary key and not older than all of it. */
export const concerns = (entry: Entry, oldest: Entry, batch: ReadonlyArray<Entry> | undefined): boolean => {
  const isLater = EventJournal.Entry.Order(entry, oldest) >= 0
  if (batch === undefined) return isLater
  const group = groupPart(entry.event, entry.primaryKey)
  return batch.some((one) =>
    one.idString === entry.idString || (isLater && groupPart(one.event, one.primaryKey) === group)
  )
}
