/**
 * Publishes the entries that other processes of a journal have written. The watch begins with the first subscriber,
 * because a journal without one has no use for it.
 */
import { Effect, PubSub, Schedule, Stream } from "effect"
import type { Scope } from "effect"
import type { EventJournal } from "effect/eventlog"
import type { KeyValue, KeyValueEntry } from "../../client/KeyValue.ts"
import type { Watch } from "../../client/Watch.ts"
import { follow } from "./Follow.ts"
import type { JournalReader } from "./JournalReader.ts"
import { ReadBudget } from "./JournalReader.ts"
import type { JournalWriter } from "./JournalWriter.ts"
import type { JournalKeys } from "./Layout.ts"
import { decodeAdded, markOf } from "./Rows.ts"

/** Pause before what others wrote is read again after a failure. */
const readAgainAfter = "200 millis"

export interface JournalChangesOptions {
  readonly kv: KeyValue["Service"]
  readonly watch: Watch["Service"]
  /** What the watch lives as long as. */
  readonly scope: Scope.Scope
  readonly keys: JournalKeys
  /** Name of the journal, for logs. */
  readonly name: string
  readonly writer: JournalWriter
  readonly reader: JournalReader
  readonly pubsub: PubSub.PubSub<EventJournal.Entry>
  /** Most bytes of the entries of one write. */
  readonly maxReadBytes: number
}

export class JournalChanges {
  private readonly options: JournalChangesOptions
  private following = false

  constructor(options: JournalChangesOptions) {
    this.options = options
  }

  /** Begins to publish what others write from now on. Does nothing when that has begun already. */
  readonly follow: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    if (this.following) return
    this.following = true
    const { keys, kv, scope, watch, writer } = this.options
    const { last } = yield* writer.end
    yield* follow({ kv, watch }, keys.appended.rows, keys.appended.row(last)).pipe(
      Stream.runForEach(({ rows }) => Effect.forEach(rows, (row) => this.publish(row), { discard: true })),
      Effect.tapCause((cause) => this.warn(cause)),
      Effect.ignoreCause,
      Effect.forkIn(scope)
    )
  }).pipe(
    Effect.catchCause((cause) => {
      this.following = false
      return this.warn(cause)
    })
  )

  /** Entries of an import, and those that this process has written, are published where they are stored. */
  private publish(row: KeyValueEntry) {
    const { maxReadBytes, pubsub, reader, writer } = this.options
    const { ids, source } = decodeAdded(row)
    if (source !== undefined || writer.isOwn(markOf(row))) return Effect.void
    const found = Effect.suspend(() => reader.byIds(ids, new ReadBudget("new entries", maxReadBytes)))
    return Effect.flatMap(
      Effect.retry(found, { schedule: Schedule.spaced(readAgainAfter), while: ({ _tag }) => _tag !== "ReadTooLarge" }),
      (entries) => PubSub.publishAll(pubsub, entries.filter((entry) => entry !== undefined))
    )
  }

  private warn(cause: unknown) {
    return Effect.logWarning(`changes of the journal ${this.options.name} by others are not published`, cause)
  }
}
