/**
 * What changed, revision by revision, for those who watch. All watches of a node share one source: the newest
 * revisions are in memory, older ones are read from the history in the store. A reader asks for what comes next when it is
 * ready for it, so a slow one costs nothing but its place.
 */
import { Context, Deferred, Effect, Exit } from "effect"
import { Compacted } from "../FlareDbError.ts"
import type { Figures } from "../kv/Figures.ts"
import type { Change, Revision } from "../kv/History.ts"
import { decodeRevision } from "../kv/History.ts"
import type { KeyRange } from "../kv/KeyRange.ts"
import { contains } from "../kv/KeyRange.ts"
import { revisionKey, revisionOf, revisionRange } from "../kv/Keyspace.ts"
import type { StateStore, StateView } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import { corrupt } from "./KvLoader.ts"
import { loadFigures } from "./KvQueries.ts"

/** What a reader of the feed wants. */
export interface FeedRequest {
  readonly range: KeyRange
  /**
   * Whether the records that changes replaced are wanted. They are missing where compaction took them; when they are not
   * wanted they may be there or not.
   */
  readonly previous: boolean
}

/** The next part of the feed. */
export interface FeedPart {
  /** Revisions that changed something in the range, with those changes, in order. */
  readonly revisions: ReadonlyArray<Revision>
  /** Everything up to this revision was looked at; the next part begins behind it. */
  readonly through: number
}

export class ChangeFeed extends Context.Service<ChangeFeed, {
  /** The last revision of this node. */
  readonly revision: () => number

  /**
   * What changed in a range from revision `from` on: waits until there is such a revision, changed or not, and gives as
   * much as a part holds. Fails with `Compacted` when the history no longer reaches back to `from`.
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
const partBytes = 512 * 1024

const changeBytes = ({ key, previous, record }: Change): number =>
  64 + key.byteLength + (record?.value.byteLength ?? 0) + (previous?.value.byteLength ?? 0)

const revisionBytes = ({ changes }: Revision): number => {
  let bytes = 32
  for (const change of changes) bytes += changeBytes(change)
  return bytes
}

/** What a revision did in a range; `undefined` when that is nothing. */
const within = (range: KeyRange, revision: Revision): Revision | undefined => {
  const changes = revision.changes.filter(({ key }) => contains(range, key))
  return changes.length === 0 ? undefined : { ...revision, changes }
}

/** The feed, and the end where the state machine puts changes in. */
export class ChangeSource {
  readonly feed: ChangeFeed["Service"]
  private readonly store: StateStore["Service"]
  private figures: Figures
  /** The newest revisions, gapless, the last of them `figures.revision`. */
  private recent: Array<Revision> = []
  private recentBytes = 0
  private waiting: Deferred.Deferred<void> | undefined

  private constructor(store: StateStore["Service"], figures: Figures) {
    this.store = store
    this.figures = figures
    this.feed = ChangeFeed.of({
      revision: () => this.figures.revision,
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
    this.wake()
  }

  /** The whole state was replaced. */
  restart(figures: Figures): void {
    this.figures = figures
    this.recent = []
    this.recentBytes = 0
    this.wake()
  }

  private wake(): void {
    if (this.waiting === undefined) return
    Deferred.doneUnsafe(this.waiting, Exit.void)
    this.waiting = undefined
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

  private next(request: FeedRequest, from: number): Effect.Effect<FeedPart, Compacted | StorageError> {
    return Effect.suspend((): Effect.Effect<FeedPart, Compacted | StorageError> => {
      const { compacted, revision } = this.figures
      if (from <= compacted) return Effect.fail(new Compacted({ requested: from, oldest: compacted + 1 }))
      if (from > revision) {
        const waiting = this.waiting ??= Deferred.makeUnsafe<void>()
        return Effect.flatMap(Deferred.await(waiting), () => this.next(request, from))
      }
      const first = this.recent[0]?.revision
      return first !== undefined && from >= first
        ? Effect.succeed(this.fromMemory(request, from - first))
        : this.fromStore(request, from, revision)
    })
  }

  private fromMemory({ range }: FeedRequest, start: number): FeedPart {
    const revisions: Array<Revision> = []
    let through = 0
    let bytes = 0
    for (let i = start; i < this.recent.length && i < start + partRevisions && bytes < partBytes; i++) {
      const revision = this.recent[i] as Revision
      through = revision.revision
      const matching = within(range, revision)
      if (matching === undefined) continue
      revisions.push(matching)
      bytes += revisionBytes(matching)
    }
    return { revisions, through }
  }

  private fromStore(
    request: FeedRequest,
    from: number,
    through: number
  ): Effect.Effect<FeedPart, Compacted | StorageError> {
    return this.store.withView((view) => readPart(view, request, from, through))
  }
}

/** Revisions read from the store at once; each may be as large as a transaction. */
const storeRows = 32

/** A part of the history as a view has it. */
const readPart = Effect.fnUntraced(function*(view: StateView, request: FeedRequest, from: number, through: number) {
  const { compacted } = yield* loadFigures(view)
  // Compaction may have overtaken a reader that looked before.
  if (from <= compacted) return yield* new Compacted({ requested: from, oldest: compacted + 1 })
  const revisions: Array<Revision> = []
  const last = Math.min(through, from + partRevisions - 1)
  let next = from
  let bytes = 0
  while (next <= last && bytes < partBytes) {
    const rows = yield* view.scan({ ...revisionRange(next, last), limit: storeRows })
    for (const { key, value } of rows) {
      const revision = revisionOf(key) === next ? decodeRevision(next, value) : undefined
      if (revision === undefined) break
      next += 1
      const matching = within(request.range, revision)
      if (matching === undefined) continue
      revisions.push(request.previous ? yield* withPrevious(view, matching) : matching)
      bytes += value.byteLength
      if (bytes >= partBytes) break
    }
    if (rows.length === 0) break
  }
  if (next === from) return yield* corrupt(`the history of revision ${from} is missing or cut short`)
  return { revisions, through: next - 1 }
})

/** Adds the records that the changes replaced, where history still has them. */
const withPrevious = Effect.fnUntraced(function*(view: StateView, revision: Revision) {
  const wanted = [...new Set(revision.changes.map(({ previousRevision }) => previousRevision))].filter((at) => at > 0)
  const rows = yield* view.getMany(wanted.map(revisionKey))
  const found = new Map(wanted.flatMap((at, i) => {
    const row = rows[i]
    const earlier = row === undefined ? undefined : decodeRevision(at, row)
    return earlier === undefined ? [] : [[at, earlier] as const]
  }))
  const changes = revision.changes.map((change): Change => ({
    ...change,
    previous: found.get(change.previousRevision)?.changes.find(({ key }) => Buffer.compare(key, change.key) === 0)
      ?.record
  }))
  return { ...revision, changes }
})
