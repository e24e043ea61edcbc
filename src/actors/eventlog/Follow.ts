/**
 * All rows behind a key, and then those that are appended: without a gap, and none twice. Pages are read until there
 * are no more, and the watch begins right behind the revision of the last one. When history is gone by then, or the
 * watch fails, it begins again behind the last row that it gave.
 */
import { Effect, Option, Schedule, Stream } from "effect"
import type { KeyValue, KeyValueEntry } from "../../client/KeyValue.ts"
import type { Watch } from "../../client/Watch.ts"

/** Rows in the order of their keys. */
export interface Followed {
  readonly rows: ReadonlyArray<KeyValueEntry>
  /** Whether they were there before the watch began. */
  readonly backlog: boolean
}

/** Rows of a page: a page ends at 4 MiB in any case. */
const pageRows = 500

/** Pause before it begins again after a failure. */
const pause = "200 millis"

/** Failures that pass by; the others would come again for ever. */
const passing = new Set(["Compacted", "FutureRevision", "Overloaded", "Unavailable"])

export const follow = (
  { kv, watch }: { readonly kv: KeyValue["Service"]; readonly watch: Watch["Service"] },
  prefix: string,
  behind: string | undefined
): Stream.Stream<Followed> =>
  Stream.suspend(() => {
    let last = behind
    let revision = 0
    const advance = (rows: ReadonlyArray<KeyValueEntry>) => {
      last = rows[rows.length - 1]?.keyText ?? last
    }
    const listed = Stream.suspend(() =>
      Stream.paginate(
        last,
        (cursor) =>
          Effect.map(kv.scan(prefix, { limit: pageRows, cursor, consistency: "linearizable" }), (page) => {
            revision = page.revision
            advance(page.entries)
            const next = page.cursor === undefined ? Option.none() : Option.some(last)
            return [[{ rows: page.entries, backlog: true }], next] as const
          })
      )
    )
    const watched = Stream.suspend(() =>
      Stream.map(watch.changes({ prefix }, { fromRevision: revision + 1, only: "puts" }), ({ events }): Followed => {
        const rows = events.flatMap((event) => event._tag === "Put" ? [event.entry] : [])
        advance(rows)
        return { rows, backlog: false }
      })
    )
    return Stream.concat(listed, watched).pipe(
      Stream.catchIf((failure) => !passing.has(failure._tag), (failure) => Stream.die(failure)),
      Stream.retry(Schedule.spaced(pause)),
      Stream.filter(({ rows }) => rows.length > 0),
      Stream.orDie
    )
  })
