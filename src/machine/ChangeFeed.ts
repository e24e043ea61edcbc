/**
 * What changed, revision by revision, for those who watch. All watches of a node share one source: the newest
 * revisions are in memory, older ones are read from the history in the store. A reader asks for what comes next when it is
 * ready for it, so a slow one costs nothing but its place.
 */
import { Context, Deferred, Effect } from "effect"
import { Compacted } from "../FlareDbError.ts"
import type { Figures } from "../kv/Figures.ts"
import type { Change, Revision } from "../kv/History.ts"
import { decodeRevision } from "../kv/History.ts"
import type { KeyRanges } from "../kv/KeyRanges.ts"
import type { KeyRecord } from "../kv/KeyRecord.ts"
import { revisionKey, revisionOf, revisionRange } from "../kv/Keyspace.ts"
import type { StateStore, StateView } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { FeedWaiters } from "./FeedWaiters.ts"
import { corrupt } from "./KvLoader.ts"
import { loadFigures } from "./KvQueries.ts"

/** What a reader of the feed wants. */
export interface FeedRequest {
  readonly ranges: KeyRanges
  /**
   * Whether the records that changes replaced are wanted. They are missing where compaction took them; when they are not
   * wanted they may be there or not.
   */
  readonly previous: boolean
  /** Leave deletes out, or puts; both are told when it is absent. */
  readonly only?: "puts" | "deletes" | undefined
}

/** The next part of the feed. */
export interface FeedPart {
  /** Revisions that changed something in the ranges, with those changes, in order. */
  readonly revisions: ReadonlyArray<Revision>
  /** Everything up to this revision was looked at; the next part begins behind it. */
  readonly through: number
  /** About how much memory the revisions take. */
  readonly bytes: number
}

const nothing = () => {}

/** Lets somebody else end a wait. */
export class Hurry {
  /** Ends the wait that is going on, as if its time were over. */
  now: () => void = nothing
}

export class ChangeFeed extends Context.Service<ChangeFeed, {
  /** The last revision of this node. */
  readonly revision: () => number

  /**
   * Where to go on looking for changes of ranges: `from` itself when there is such a revision. Otherwise waits until
   * one changes something in a range, or for `patienceMs` milliseconds, or until it is hurried, and then names the
   * revision before which there is nothing. Fails with `Compacted` when the history no longer reaches back to `from`.
   */
  readonly wait: (
    ranges: KeyRanges,
    from: number,
    patienceMs?: number,
    hurry?: Hurry
  ) => Effect.Effect<number, Compacted>

  /**
   * What changed in ranges from revision `from` on, as much as a part holds; waits as {@link wait} does. Fails with
   * `Compacted` when the history no longer reaches back to `from`.
   */
  readonly next: (request: FeedRequest, from: number) => Effect.Effect<FeedPart, Compacted | StorageError>
}>()("flaredb/machine/ChangeFeed") {}

/** Bytes of recent revisions kept in memory, previous records included; up to a quarter more at times. */
const maxRecentBytes = 4 * 1024 * 1024

/** Recent revisions kept in memory; up to a quarter more at times. */
const maxRecentRevisions = 65_536

/** Revisions looked at for one part. */
const partRevisions = 1_024

/** A part ends with the revision that takes it past this many bytes. */
export const partBytes = 256 * 1024

/**
 * Bytes of replaced records told with one revision. A transaction may replace a good deal more than it brings; what is
 * beyond this is left out, as if compaction had taken it.
 */
const maxPreviousBytes = 4 * 1024 * 1024

const changeBytes = ({ key, previous, record }: Change): number =>
  64 + key.byteLength + (record?.value.byteLength ?? 0) + (previous?.value.byteLength ?? 0)

const revisionBytes = ({ changes }: Revision): number => {
  let bytes = 32
  for (const change of changes) bytes += changeBytes(change)
  return bytes
}

/** What a revision did that is asked for; `undefined` when that is nothing. */
const within = ({ only, ranges }: FeedRequest, revision: Revision): Revision | undefined => {
  const changes = revision.changes.filter(({ key, record }) =>
    ranges.contains(key) && (only === undefined || (only === "puts") === (record !== undefined))
  )
  return changes.length === 0 ? undefined : { ...revision, changes }
}

/** Leaves replaced records out where they are too many. */
const boundPrevious = (revision: Revision): Revision => {
  let bytes = 0
  for (const { previous } of revision.changes) bytes += previous?.value.byteLength ?? 0
  if (bytes <= maxPreviousBytes) return revision
  bytes = 0
  const changes = revision.changes.map((change): Change => {
    bytes += change.previous?.value.byteLength ?? 0
    return bytes <= maxPreviousBytes ? change : { ...change, previous: undefined }
  })
  return { ...revision, changes }
}

/** The feed, and the end where the state machine puts changes in. */
export class ChangeSource {
  readonly feed: ChangeFeed["Service"]
  private readonly store: StateStore["Service"]
  private figures: Figures
  /** The newest revisions, gapless, the last of them `figures.revision`. */
  private recent: Array<Revision> = []
  private recentBytes = 0
  private readonly waiters = new FeedWaiters()

  private constructor(store: StateStore["Service"], figures: Figures) {
    this.store = store
    this.figures = figures
    this.feed = ChangeFeed.of({
      revision: () => this.figures.revision,
      wait: (ranges, from, patienceMs, hurry) => this.wait(ranges, from, patienceMs, hurry),
      next: (request, from) => this.next(request, from)
    })
  }

  static readonly make = (store: StateStore["Service"], figures: Figures): Effect.Effect<ChangeSource> =>
    Effect.sync(() => new ChangeSource(store, figures))

  /** Tells of revisions that are in the store by now. */
  publish(revisions: ReadonlyArray<Revision>, figures: Figures): void {
    this.figures = figures
    if (revisions.length === 0) return
    for (const revision of revisions) {
      this.recent.push(revision)
      this.recentBytes += revisionBytes(revision)
    }
    this.forgetOldest()
    this.waiters.wake(revisions)
  }

  /** The whole state was replaced. */
  restart(figures: Figures): void {
    const known = this.figures.revision
    this.figures = figures
    this.recent = []
    this.recentBytes = 0
    this.waiters.wakeAll(known + 1)
  }

  private forgetOldest(): void {
    // A good many at a time, because removing them moves the rest.
    if (this.recent.length < maxRecentRevisions * 1.25 && this.recentBytes < maxRecentBytes * 1.25) return
    let drop = 0
    while (
      this.recent.length - drop > maxRecentRevisions ||
      (this.recentBytes > maxRecentBytes && drop < this.recent.length)
    ) {
      this.recentBytes -= revisionBytes(this.recent[drop] as Revision)
      drop += 1
    }
    this.recent.splice(0, drop)
  }

  private wait(
    ranges: KeyRanges,
    from: number,
    patienceMs: number | undefined,
    hurry?: Hurry
  ): Effect.Effect<number, Compacted> {
    return Effect.suspend((): Effect.Effect<number, Compacted> => {
      const { compacted, revision } = this.figures
      if (from <= compacted) return Effect.fail(new Compacted({ requested: from, oldest: compacted + 1 }))
      if (from <= revision || (patienceMs !== undefined && patienceMs <= 0)) return Effect.succeed(from)
      const waiter = this.waiters.add(ranges, from)
      if (hurry !== undefined) hurry.now = () => this.waiters.hurry(waiter, this.figures.revision + 1)
      const woken = Deferred.await(waiter.woken)
      return (patienceMs === undefined ? woken : Effect.asVoid(Effect.timeoutOption(woken, patienceMs))).pipe(
        Effect.ensuring(
          Effect.sync(() => {
            if (hurry !== undefined) hurry.now = nothing
            this.waiters.remove(waiter)
          })
        ),
        Effect.map(() => waiter.isWoken ? waiter.from : Math.max(from, this.figures.revision + 1))
      )
    })
  }

  private next(request: FeedRequest, from: number): Effect.Effect<FeedPart, Compacted | StorageError> {
    return Effect.flatMap(this.wait(request.ranges, from, undefined), (at) => {
      const { compacted, revision } = this.figures
      // A snapshot may have come in between, whose history begins later.
      if (at <= compacted) return Effect.fail(new Compacted({ requested: at, oldest: compacted + 1 }))
      const first = this.recent[0]?.revision
      return first !== undefined && at >= first
        ? Effect.succeed(this.fromMemory(request, at - first))
        : this.fromStore(request, at, revision)
    })
  }

  private fromMemory(request: FeedRequest, start: number): FeedPart {
    const revisions: Array<Revision> = []
    let through = 0
    let bytes = 0
    for (let i = start; i < this.recent.length && i < start + partRevisions && bytes < partBytes; i++) {
      const revision = this.recent[i] as Revision
      through = revision.revision
      const matching = within(request, revision)
      if (matching === undefined) continue
      const told = request.previous ? boundPrevious(matching) : matching
      revisions.push(told)
      bytes += revisionBytes(told)
    }
    return { revisions, through, bytes }
  }

  private fromStore(
    request: FeedRequest,
    from: number,
    through: number
  ): Effect.Effect<FeedPart, Compacted | StorageError> {
    return this.store.withView((view) => readPart(view, request, from, through))
  }
}

/** Revisions read from the store at once: few to begin with, for each may be as large as a transaction. */
const firstRows = 8
const maxRows = 256

/** A part of the history as a view has it. */
const readPart = Effect.fnUntraced(function*(view: StateView, request: FeedRequest, from: number, through: number) {
  const { compacted } = yield* loadFigures(view)
  // Compaction may have overtaken a reader that looked before.
  if (from <= compacted) return yield* new Compacted({ requested: from, oldest: compacted + 1 })
  const revisions: Array<Revision> = []
  const last = Math.min(through, from + partRevisions - 1)
  let next = from
  let bytes = 0
  let bytesRead = 0
  while (next <= last && bytes < partBytes) {
    const average = bytesRead / Math.max(1, next - from)
    const limit = next === from ? firstRows : Math.max(1, Math.min(maxRows, Math.floor(partBytes / average)))
    const rows = yield* view.scan({ ...revisionRange(next, last), limit })
    const before = next
    for (const { key, value } of rows) {
      const revision = revisionOf(key) === next ? decodeRevision(next, value) : undefined
      if (revision === undefined) break
      next += 1
      bytesRead += value.byteLength
      const matching = within(request, revision)
      if (matching === undefined) continue
      const told = request.previous ? yield* withPrevious(view, matching) : matching
      revisions.push(told)
      bytes += revisionBytes(told)
      if (bytes >= partBytes) break
    }
    // A row that is missing or damaged ends the part; asked for again, it is what is told of.
    if (next === before) break
  }
  if (next === from) return yield* corrupt(`the history of revision ${from} is missing or cut short`)
  return { revisions, through: next - 1, bytes }
})

/** Adds the records that the changes replaced, where history still has them, as many as may be told. */
const withPrevious = Effect.fnUntraced(function*(view: StateView, revision: Revision) {
  const replacing = Map.groupBy(
    revision.changes.filter(({ previousRevision }) => previousRevision > 0),
    ({ previousRevision }) => previousRevision
  )
  const wanted = [...replacing.keys()]
  const found = new Map<Change, KeyRecord>()
  let bytes = 0
  for (let i = 0; i < wanted.length && bytes <= maxPreviousBytes; i += firstRows) {
    const some = wanted.slice(i, i + firstRows)
    const rows = yield* view.getMany(some.map(revisionKey))
    for (const [j, row] of rows.entries()) {
      const at = some[j] as number
      const earlier = row === undefined ? undefined : decodeRevision(at, row)
      for (const change of earlier === undefined ? [] : replacing.get(at) ?? []) {
        const record = earlier?.changes.find(({ key }) => Buffer.compare(key, change.key) === 0)?.record
        if (record === undefined) continue
        bytes += record.value.byteLength
        // The row may be far larger than the record.
        found.set(change, { ...record, value: new Uint8Array(record.value) })
      }
    }
  }
  return boundPrevious({
    ...revision,
    changes: revision.changes.map((change) => ({ ...change, previous: found.get(change) }))
  })
})
