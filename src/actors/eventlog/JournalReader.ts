/** Reads entries of a journal, no more than a number of bytes of them at a time. */
import { Effect, Option } from "effect"
import type { EventJournal } from "effect/eventlog"
import type { KeyValue, KeyValueEntry, ReadFailure, WriteFailure } from "../../client/KeyValue.ts"
import { Op } from "../../client/Txn.ts"
import { ReadTooLarge } from "./Failures.ts"
import type { JournalKeys } from "./Layout.ts"
import { idOfKey, idPart, sequenceOfKey } from "./Layout.ts"
import type { Added } from "./Rows.ts"
import { decodeAdded, decodeEntry } from "./Rows.ts"

type Entry = EventJournal.Entry
type EntryId = EventJournal.EntryId

/** Reads that are under way at a time. */
const concurrency = 64

/** Rows of a page; a page ends at 4 MiB in any case. */
const pageRows = 1_000

/** Ids that one read asks for. */
const idsOfRead = 500

/** Counts what is read for one call. */
export class ReadBudget {
  private bytes = 0
  private readonly what: string
  private readonly maxBytes: number

  constructor(what: string, maxBytes: number) {
    this.what = what
    this.maxBytes = maxBytes
  }

  take(row: KeyValueEntry): Effect.Effect<void, ReadTooLarge> {
    this.bytes += row.key.byteLength + row.value.byteLength
    const { maxBytes, what } = this
    return this.bytes > maxBytes ? Effect.fail(new ReadTooLarge({ what, maxBytes })) : Effect.void
  }
}

export class JournalReader {
  private readonly kv: KeyValue["Service"]
  private readonly keys: JournalKeys

  constructor(kv: KeyValue["Service"], keys: JournalKeys) {
    this.kv = kv
    this.keys = keys
  }

  /** All entries, in the order of their ids. */
  readonly all = Effect.fnUntraced(
    { self: this },
    function*(this: JournalReader, budget: ReadBudget): Effect.fn.Return<Array<Entry>, ReadFailure | ReadTooLarge> {
      const entries: Array<Entry> = []
      let cursor: Uint8Array | undefined
      do {
        const page = yield* this.kv.scan(this.keys.entries, { cursor, limit: pageRows })
        for (const row of page.entries) {
          yield* budget.take(row)
          entries.push(decodeEntry(row))
        }
        cursor = page.cursor
      } while (cursor !== undefined)
      return entries
    }
  )

  /** The entries of these ids, in their order; nothing for those that are not there. */
  byIds(
    ids: ReadonlyArray<EntryId>,
    budget: ReadBudget
  ): Effect.Effect<Array<Entry | undefined>, ReadFailure | ReadTooLarge> {
    return Effect.forEach(
      ids,
      (id) =>
        Effect.flatMap(this.kv.get(this.keys.entry(id)), (row) =>
          Option.isNone(row)
            ? Effect.undefined
            : Effect.as(budget.take(row.value), decodeEntry(row.value))),
      { concurrency }
    )
  }

  /** Which of these ids are there. Their entries are not read. */
  readonly known = Effect.fnUntraced({ self: this }, function*(
    this: JournalReader,
    ids: ReadonlyArray<EntryId>
  ): Effect.fn.Return<Set<string>, WriteFailure> {
    const known = new Set<string>()
    for (let from = 0; from < ids.length; from += idsOfRead) {
      const scans = ids.slice(from, from + idsOfRead).map((id) =>
        Op.scan(this.keys.entry(id), { keysOnly: true, limit: 1 })
      )
      const { results } = yield* this.kv.transact({ do: scans }, { consistency: "linearizable" })
      for (const { entries: [row] } of results) if (row !== undefined) known.add(idPart(idOfKey(row.keyText)))
    }
    return known
  })

  /** Entries of an event and primary key from a millisecond on. */
  readonly ofGroup = Effect.fnUntraced({ self: this }, function*(
    this: JournalReader,
    group: { readonly event: string; readonly primaryKey: string; readonly fromMillis: number },
    budget: ReadBudget
  ): Effect.fn.Return<ReadonlyArray<Entry>, ReadFailure | ReadTooLarge> {
    const prefix = this.keys.group(group.event, group.primaryKey)
    const ids: Array<EntryId> = []
    // The first 12 digits of an id are its millisecond. A cursor is left out itself, and no id is that short.
    let cursor: Uint8Array | string | undefined = prefix + group.fromMillis.toString(16).padStart(12, "0")
    do {
      const page: Effect.Success<ReturnType<KeyValue["Service"]["scan"]>> = yield* this.kv.scan(prefix, {
        cursor,
        limit: pageRows,
        keysOnly: true,
        consistency: "linearizable"
      })
      for (const row of page.entries) {
        yield* budget.take(row)
        ids.push(idOfKey(row.keyText) as EntryId)
      }
      cursor = page.cursor
    } while (cursor !== undefined)
    const entries = yield* this.byIds(ids, budget)
    return entries.filter((entry) => entry !== undefined)
  })

  /** What was added behind a sequence, up to and including another one. At most about `maxEntries` of it. */
  readonly addedBehind = Effect.fnUntraced({ self: this }, function*(
    this: JournalReader,
    sequence: number,
    options: { readonly through: number; readonly maxEntries: number }
  ): Effect.fn.Return<{ readonly added: ReadonlyArray<Added>; readonly through: number }, ReadFailure> {
    const { appended } = this.keys
    const page = yield* this.kv.scan(appended.rows, {
      cursor: appended.row(sequence),
      limit: pageRows,
      consistency: "linearizable"
    })
    const added: Array<Added> = []
    let through = sequence
    let entries = 0
    for (const row of page.entries) {
      if (sequenceOfKey(row.keyText) > options.through || entries >= options.maxEntries) break
      const step = decodeAdded(row)
      added.push(step)
      entries += step.ids.length
      through = sequenceOfKey(row.keyText) + step.ids.length - 1
    }
    return { added, through }
  })
}
