/**
 * Imports from a remote: entries that are new are compared with what is stored, their effect runs, and they are stored
 * if nothing has come since that would have changed the comparison. Else all of it is done again.
 */
import { Effect, References } from "effect"
import { EventJournal } from "effect/eventlog"
import type { KeyValue } from "../../client/KeyValue.ts"
import { Op } from "../../client/Txn.ts"
import { maxBytes } from "./AppendedRows.ts"
import { failed, idProblem, LogContended, sizeProblem, stored } from "./Failures.ts"
import type { JournalReader } from "./JournalReader.ts"
import { ReadBudget } from "./JournalReader.ts"
import type { JournalWriter } from "./JournalWriter.ts"
import { entryBytes, maxStepEntries } from "./JournalWriter.ts"
import type { JournalKeys } from "./Layout.ts"
import { idPart } from "./Layout.ts"
import { position, raise, sequenceBehind } from "./Positions.ts"
import { encodeNumber } from "./Rows.ts"

type Entry = EventJournal.Entry
type RemoteEntry = EventJournal.RemoteEntry
type Import = Parameters<EventJournal.EventJournal["Service"]["writeFromRemote"]>[0]
type Imported = Effect.Success<ReturnType<EventJournal.EventJournal["Service"]["writeFromRemote"]>>

const method = "writeFromRemote"

/** Times that an import is compared again because others appended meanwhile. */
const maxAttempts = 20

/** Groups that are read at a time. */
const groupConcurrency = 16

export interface JournalImportsParts {
  readonly kv: KeyValue["Service"]
  readonly keys: JournalKeys
  readonly writer: JournalWriter
  readonly reader: JournalReader
  readonly maxReadBytes: number
}

/** What an import has been compared with. */
interface Compared {
  /** The journal's last sequence then. */
  last: number
  readonly uncommitted: ReadonlyArray<RemoteEntry>
  readonly compacted: ReadonlyArray<Entry>
  readonly conflicts: ReadonlyArray<Entry>
}

export class JournalImports {
  private readonly parts: JournalImportsParts

  constructor(parts: JournalImportsParts) {
    this.parts = parts
  }

  readonly run = Effect.fnUntraced(
    { self: this },
    function*(this: JournalImports, options: Import): Effect.fn.Return<Imported, EventJournal.EventJournalError> {
      for (const { entry } of options.entries) {
        const problem = idProblem(`the id of an event ${entry.event}`, entry.id) ??
          sizeProblem(`an event ${entry.event}`, entryBytes(entry))
        if (problem !== undefined) return yield* failed(method)(problem)
      }
      for (let attempt = 1; attempt <= maxAttempts; attempt++) {
        const { last } = yield* stored(method, this.parts.writer.end)
        const { duplicateEntries, uncommitted } = yield* stored(method, this.sort(options.entries))
        const compacted = options.compact === undefined
          ? uncommitted.map(({ entry }) => entry)
          : yield* options.compact(uncommitted)
        const conflicts = yield* stored(method, this.conflictsWith(compacted))
        const compared = { last, uncommitted, compacted, conflicts }
        yield* replay(options, compared)
        if (yield* stored(method, this.store(options, compared))) return { duplicateEntries }
      }
      const rows = this.parts.keys.appended.rows
      return yield* failed(method)(new LogContended({ rows, attempts: maxAttempts }))
    }
  )

  /** New entries of a remote, each once, and those that are here. */
  private readonly sort = Effect.fnUntraced(
    { self: this },
    function*(this: JournalImports, entries: ReadonlyArray<RemoteEntry>) {
      const known = yield* this.parts.reader.known(entries.map(({ entry }) => entry.id))
      const incoming = new Map<string, RemoteEntry>()
      for (const remoteEntry of entries) {
        const id = idPart(remoteEntry.entry.id)
        // The first copy wins.
        if (!known.has(id) && !incoming.has(id)) incoming.set(id, remoteEntry)
      }
      const duplicateEntries = entries.map(({ entry }) => entry).filter(({ id }) => known.has(idPart(id)))
      return { uncommitted: [...incoming.values()], duplicateEntries }
    }
  )

  /** The stored entries that may conflict with a batch. */
  private conflictsWith(batch: ReadonlyArray<Entry>) {
    const { keys, maxReadBytes, reader } = this.parts
    const groups = new Map<string, { readonly event: string; readonly primaryKey: string; fromMillis: number }>()
    for (const { createdAtMillis, event, primaryKey } of batch) {
      const key = keys.group(event, primaryKey)
      const group = groups.get(key)
      if (group === undefined) groups.set(key, { event, primaryKey, fromMillis: createdAtMillis })
      else group.fromMillis = Math.min(group.fromMillis, createdAtMillis)
    }
    const budget = new ReadBudget("the stored entries that the import is compared with", maxReadBytes)
    return Effect.map(
      Effect.forEach(groups.values(), (group) => reader.ofGroup(group, budget), { concurrency: groupConcurrency }),
      (lists) => lists.flat()
    )
  }

  /** Stores what is new, in steps. False when something came between that it was not compared with. */
  private readonly store = Effect.fnUntraced(
    { self: this },
    function*(this: JournalImports, options: Import, compared: Compared) {
      const { keys, kv, writer } = this.parts
      const cursorKey = keys.downloaded(options.remoteId)
      const next = sequenceBehind(options.entries)
      const steps = stepsOf(compared.uncommitted.map(({ entry }) => entry))
      for (const [i, entries] of steps.entries()) {
        for (let attempt = 1;; attempt++) {
          if (attempt > maxAttempts) return false
          const cursor = yield* position(kv, cursorKey)
          // The cursor goes with the last entries: what was not stored is sent again.
          const further = i === steps.length - 1 && next > cursor.value
            ? { if: [cursor.unchanged], do: [Op.put(cursorKey, encodeNumber(next))] }
            : { if: [], do: [] }
          if (yield* writer.import(entries, { source: options.remoteId, last: compared.last, ...further })) break
          const { last } = yield* writer.end
          if (last === compared.last) continue
          compared.last = last
          if (i > 0 || !(yield* this.stillHolds(compared))) return false
        }
        compared.last += entries.length
      }
      if (steps.length === 0 && options.entries.length > 0) yield* raise(kv, cursorKey, () => next)
      return true
    }
  )

  private readonly stillHolds = Effect.fnUntraced(
    { self: this },
    function*(this: JournalImports, { compacted, conflicts, uncommitted }: Compared) {
      const known = yield* this.parts.reader.known(uncommitted.map(({ entry }) => entry.id))
      // Entries are never changed, so that their number tells.
      return known.size === 0 && (yield* this.conflictsWith(compacted)).length === conflicts.length
    }
  )
}

/**
 * Runs an import's effect as Effect's own journal does, on a journal in memory that holds what may conflict: it alone
 * knows which entry a compaction's output stands for.
 */
const replay = Effect.fnUntraced(function*(
  { effect, remoteId }: Import,
  { compacted, conflicts, uncommitted }: Compared
): Effect.fn.Return<void, EventJournal.EventJournalError> {
  const journal = yield* EventJournal.makeMemory
  yield* journal.writeFromRemote({
    remoteId,
    entries: conflicts.map((entry) =>
      new EventJournal.RemoteEntry({ remoteSequence: 0, entry }, { disableChecks: true })
    ),
    effect: () => Effect.void
  }).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
  yield* journal.writeFromRemote({ remoteId, entries: uncommitted, compact: () => Effect.succeed(compacted), effect })
})

/** Entries as they are stored, in steps that a transaction holds. */
const stepsOf = (entries: ReadonlyArray<Entry>): ReadonlyArray<ReadonlyArray<Entry>> => {
  const steps: Array<Array<Entry>> = []
  let bytes = 0
  for (const entry of entries) {
    const size = entryBytes(entry)
    const step = steps.at(-1)
    if (step === undefined || step.length >= maxStepEntries || bytes + size > maxBytes) {
      steps.push([entry])
      bytes = size
    } else {
      step.push(entry)
      bytes += size
    }
  }
  return steps
}
