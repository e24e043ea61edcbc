/**
 * Adds entries to a journal. What several fibers of a process add at once becomes one transaction, in the order in
 * which they came; an import is added in steps of its own.
 */
import { Deferred, Effect, Option, Semaphore } from "effect"
import type { EventJournal } from "effect/eventlog"
import type { KeyValue, ReadFailure, WriteFailure } from "../../client/KeyValue.ts"
import type { Compare } from "../../client/Txn.ts"
import { Op } from "../../client/Txn.ts"
import type { Append, Tail } from "./AppendedRows.ts"
import { AppendedRows, Marks, maxBytes, maxOperations } from "./AppendedRows.ts"
import { laterOf } from "./EntryIds.ts"
import { LogContended } from "./Failures.ts"
import type { JournalKeys } from "./Layout.ts"
import { idPart, sequenceOfKey } from "./Layout.ts"
import { decodeAdded, encodeAdded, encodeEntry } from "./Rows.ts"

type Entry = EventJournal.Entry

export type AddFailure = ReadFailure | WriteFailure | LogContended

/** Entries that are added in one step, whatever it takes to read them. */
export const maxStepEntries = 240

/** Times that an append is tried while other processes append. */
const maxAttempts = 50

/** Bytes of an entry's rows, about. */
export const entryBytes = (entry: Entry): number =>
  entry.payload.byteLength + 3 * (entry.event.length + entry.primaryKey.length) + 512

/** Marks that are remembered of transactions without an answer. */
const maxUnanswered = 1_024

interface Waiting {
  readonly entries: ReadonlyArray<Entry>
  readonly added: Deferred.Deferred<void, AddFailure>
}

/** The last row and the latest id. */
interface End {
  readonly tail: Tail
  readonly latest: EventJournal.EntryId | undefined
}

export class JournalWriter {
  readonly rows: AppendedRows
  private readonly keys: JournalKeys
  private readonly waiting: Array<Waiting> = []
  private working = false
  /** One append at a time: each begins where the one before ended. */
  private readonly turn = Semaphore.makeUnsafe(1)
  /** The journal's end as this process knows it. */
  private known: End | undefined
  private readonly marks = new Marks()
  /** Marks of transactions whose answer was lost. */
  private readonly unanswered = new Set<string>()

  constructor(kv: KeyValue["Service"], keys: JournalKeys) {
    this.keys = keys
    this.rows = new AppendedRows(
      kv,
      keys.appended,
      (row) => sequenceOfKey(row.keyText) + decodeAdded(row).ids.length - 1
    )
  }

  /** The journal's end now: its last sequence and its latest id. */
  readonly end: Effect.Effect<
    { readonly last: number; readonly latest: EventJournal.EntryId | undefined },
    ReadFailure
  > = Effect.suspend(() => Effect.map(this.look(), ({ latest, tail }) => ({ last: tail.last, latest })))

  /** Whether a row was added here, and its caller got the answer. */
  isOwn(mark: Uint8Array): boolean {
    return this.marks.isOwn(mark) && !this.unanswered.delete(idPart(mark))
  }

  /** Adds entries of this journal's own, all of them in one step. */
  add(entries: ReadonlyArray<Entry>): Effect.Effect<void, AddFailure> {
    return Effect.suspend(() => {
      const added = Deferred.makeUnsafe<void, AddFailure>()
      this.waiting.push({ entries, added })
      const answer = Deferred.await(added)
      if (this.working) return answer
      this.working = true
      // The first caller works for all, also when it is interrupted.
      return Effect.andThen(Effect.forkDetach(this.work()), answer)
    })
  }

  /**
   * Adds entries that came from a remote, in one step, with further operations. Gives false, and adds none of them,
   * when others have appended since `last`.
   */
  import(
    entries: ReadonlyArray<Entry>,
    options: {
      readonly source: Uint8Array
      readonly last: number
      readonly if: ReadonlyArray<Compare>
      readonly do: ReadonlyArray<Op<unknown>>
    }
  ): Effect.Effect<boolean, AddFailure> {
    return this.turn.withPermit(Effect.gen({ self: this }, function*() {
      let known = this.known ?? (yield* this.look())
      if (known.tail.last !== options.last) known = yield* this.look()
      if (known.tail.last !== options.last) return false
      return yield* this.append(known, [entries], options)
    }))
  }

  /** The journal is empty now. */
  forget(): void {
    this.known = undefined
  }

  private look(): Effect.Effect<End, ReadFailure> {
    return Effect.map(this.rows.tail, (tail) => {
      const end: End = { tail, latest: tail.row === undefined ? undefined : decodeAdded(tail.row).latest }
      // An append of this process may have come meanwhile, and knows of a later one.
      if (this.known === undefined || this.known.tail.last < tail.last) this.known = end
      return end
    })
  }

  private readonly work = Effect.fnUntraced({ self: this }, function*(this: JournalWriter) {
    for (;;) {
      // What comes in the same turn goes along.
      yield* Effect.yieldNow
      const step = this.takeStep()
      if (step.length === 0) {
        this.working = false
        return
      }
      const exit = yield* Effect.exit(this.turn.withPermit(this.addAll(step.map(({ entries }) => entries))))
      for (const { added } of step) Deferred.doneUnsafe(added, exit)
    }
  })

  /** What waits, as far as one transaction holds it. */
  private takeStep(): ReadonlyArray<Waiting> {
    let operations = 0
    let bytes = 0
    const fits = this.waiting.findIndex(({ entries }, i) => {
      operations += 2 * entries.length + 1
      bytes += entries.reduce((sum, entry) => sum + entryBytes(entry), 0)
      return i > 0 && (operations > maxOperations || bytes > maxBytes)
    })
    return this.waiting.splice(0, fits < 0 ? this.waiting.length : fits)
  }

  private readonly addAll = Effect.fnUntraced({ self: this }, function*(
    this: JournalWriter,
    lists: ReadonlyArray<ReadonlyArray<Entry>>
  ): Effect.fn.Return<void, AddFailure> {
    for (let attempt = 1; attempt <= maxAttempts; attempt++) {
      if (yield* this.append(this.known ?? (yield* this.look()), lists)) return
    }
    return yield* new LogContended({ rows: this.keys.appended.rows, attempts: maxAttempts })
  })

  /** Adds each list as a row, all of them in one step. */
  private readonly append = Effect.fnUntraced({ self: this }, function*(
    this: JournalWriter,
    known: End,
    lists: ReadonlyArray<ReadonlyArray<Entry>>,
    further: {
      readonly source?: Uint8Array
      readonly if?: ReadonlyArray<Compare>
      readonly do?: ReadonlyArray<Op<unknown>>
    } = {}
  ): Effect.fn.Return<boolean, AddFailure> {
    const mark = this.marks.next()
    const operations: Array<Op<unknown>> = [...further.do ?? []]
    let { last } = known.tail
    let latest = known.latest
    let lastKey = ""
    for (const entries of lists) {
      for (const entry of entries) {
        latest = laterOf(latest, entry.id)
        operations.push(
          Op.put(this.keys.entry(entry.id), encodeEntry(entry, mark)),
          Op.put(this.keys.group(entry.event, entry.primaryKey) + idPart(entry.id), "")
        )
      }
      if (latest === undefined) continue
      lastKey = this.keys.appended.row(last + 1)
      const ids = entries.map(({ id }) => id)
      operations.push(Op.put(lastKey, encodeAdded({ source: further.source, latest, ids }, mark)))
      last += entries.length
    }
    const append: Append = { behind: known.tail, last, lastKey, mark, if: further.if, do: operations }
    const tail = yield* Effect.onError(
      this.rows.append(append),
      () =>
        Effect.sync(() => {
          this.known = undefined
          if (this.unanswered.size < maxUnanswered) this.unanswered.add(idPart(mark))
        })
    )
    if (Option.isNone(tail)) {
      this.known = undefined
      return false
    }
    this.known = { tail: tail.value, latest }
    return true
  })
}
