/**
 * Gives a remote the entries that it does not have, page by page. How far it has come is stored behind each page, so
 * that an upload which ended in between goes on there.
 */
import { Effect, Option } from "effect"
import { EventJournal } from "effect/eventlog"
import type { KeyValue } from "../../client/KeyValue.ts"
import { stored } from "./Failures.ts"
import type { JournalReader } from "./JournalReader.ts"
import { ReadBudget } from "./JournalReader.ts"
import type { JournalWriter } from "./JournalWriter.ts"
import type { JournalKeys } from "./Layout.ts"
import { position, raise } from "./Positions.ts"

type Entry = EventJournal.Entry

/** Entries that one call of the upload's effect gets at most. */
const uploadEntries = 1_000

export interface JournalUploadsOptions {
  readonly kv: KeyValue["Service"]
  readonly keys: JournalKeys
  readonly writer: JournalWriter
  readonly reader: JournalReader
  /** Most bytes of the entries of a page. */
  readonly maxReadBytes: number
}

export class JournalUploads {
  private readonly options: JournalUploadsOptions

  constructor(options: JournalUploadsOptions) {
    this.options = options
  }

  /** Calls `f` with each page of entries that did not come from the remote. The result is that of the last call. */
  run<A, E, R>(
    remoteId: EventJournal.RemoteId,
    f: (entries: readonly [Entry, ...ReadonlyArray<Entry>]) => Effect.Effect<A, E, R>
  ): Effect.Effect<Option.Option<A>, E | EventJournal.EventJournalError, R> {
    return Effect.gen({ self: this }, function*() {
      const { keys, kv, maxReadBytes, reader, writer } = this.options
      const method = "withRemoteUncommited"
      const key = keys.uploaded(remoteId)
      let { value: through } = yield* stored(method, position(kv, key))
      // What is added while it runs remains for the next time.
      const { last } = yield* stored(method, writer.end)
      let result = Option.none<A>()
      while (through < last) {
        const page = yield* stored(method, reader.addedBehind(through, { through: last, maxEntries: uploadEntries }))
        if (page.added.length === 0) break
        const others = page.added.filter(({ source }) => source === undefined || Buffer.compare(source, remoteId) !== 0)
        const budget = new ReadBudget("the entries to upload", maxReadBytes)
        const found = yield* stored(method, reader.byIds(others.flatMap(({ ids }) => ids), budget))
        const [first, ...rest] = found.filter((entry) => entry !== undefined).sort(EventJournal.Entry.Order)
        through = page.through
        const given: Effect.Effect<Option.Option<A>, E, R> = first === undefined
          ? Effect.succeed(result)
          : Effect.asSome(f([first, ...rest]))
        result = yield* Effect.uninterruptibleMask((restore) =>
          Effect.tap(restore(given), stored(method, raise(kv, key, () => page.through)))
        )
      }
      return result
    })
  }
}
