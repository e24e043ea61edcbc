/**
 * What a key held, from now backwards: each revision names the one before it, so that a step costs one read of history
 * and not a walk through that of all keys. It ends where the key was created, or where history does.
 */
import { Effect, Option, Stream } from "effect"
import type { KeyValueEntry, ReadFailure } from "../../client/KeyValue.ts"
import { KeyValue } from "../../client/KeyValue.ts"
import type { WatchFailure } from "../../client/Watch.ts"
import { Watch } from "../../client/Watch.ts"
import { base64 } from "./KeyBytes.ts"

/** What a key held from a revision on. */
export interface KeyVersion {
  readonly revision: number
  readonly version: number
  readonly lease: number
  /** When it was written, by the cluster's clock, in milliseconds since 1970; `null` where history does not say. */
  readonly atMs: number | null
  /** Base64; `null` where values took too much room already. */
  readonly value: string | null
}

export interface KeyHistory {
  /** The latest first. */
  readonly versions: ReadonlyArray<KeyVersion>
  /** Give it to go on behind the last one; `null` when there is no more. */
  readonly before: number | null
  /** Why it ends. */
  readonly ends: "created" | "compacted" | "page"
}

/** Versions of a page, and bytes of values in it. */
const pageVersions = 20
const pageBytes = 2 * 1024 * 1024

/** How long one step is waited for, in milliseconds. */
const stepMs = 2_000

interface Step {
  readonly entry: KeyValueEntry
  readonly previous: KeyValueEntry | undefined
  readonly atMs: number
}

/** The change of a key at exactly this revision; `undefined` when history has it no more. */
const changeAt = (
  key: Uint8Array,
  revision: number
): Effect.Effect<Step | undefined, WatchFailure, Watch> =>
  Effect.flatMap(Watch, (watch) =>
    watch.changes({ key }, { fromRevision: revision, previous: true }).pipe(
      Stream.take(1),
      Stream.runHead,
      Effect.timeoutOption(stepMs),
      Effect.map(Option.flatten),
      Effect.map((found): Step | undefined => {
        if (Option.isNone(found) || found.value.revision !== revision) return undefined
        const event = found.value.events[0]
        return event?._tag === "Put"
          ? { entry: event.entry, previous: event.previous, atMs: found.value.logTimeMs }
          : undefined
      }),
      Effect.catchTag("Compacted", () => Effect.succeed(undefined))
    ))

const versionOf = (entry: KeyValueEntry, atMs: number | null, hasRoom: boolean): KeyVersion => ({
  revision: entry.modRevision,
  version: entry.version,
  lease: entry.lease,
  atMs,
  value: hasRoom ? base64(entry.value) : null
})

/** A page of the history of a key that exists, behind `before` or from now. */
export const keyHistory = Effect.fnUntraced(function*(
  key: Uint8Array,
  before: number | undefined
): Effect.fn.Return<KeyHistory, ReadFailure | WatchFailure, KeyValue | Watch> {
  const kv = yield* KeyValue
  let next: KeyValueEntry
  if (before === undefined) {
    const now = yield* kv.get(key)
    if (Option.isNone(now)) return { versions: [], before: null, ends: "created" }
    next = now.value
  } else {
    const step: Step | undefined = yield* changeAt(key, before)
    if (step?.previous === undefined) return { versions: [], before: null, ends: "compacted" }
    next = step.previous
  }
  const versions: Array<KeyVersion> = []
  let bytes = 0
  while (versions.length < pageVersions) {
    const step: Step | undefined = yield* changeAt(key, next.modRevision)
    bytes += next.value.byteLength
    versions.push(versionOf(next, step?.atMs ?? null, bytes <= pageBytes))
    if (next.version === 1) return { versions, before: null, ends: "created" }
    if (step?.previous === undefined) return { versions, before: null, ends: "compacted" }
    next = step.previous
  }
  return { versions, before: versions[versions.length - 1]?.revision ?? null, ends: "page" }
})
