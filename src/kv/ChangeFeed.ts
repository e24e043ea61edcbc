/**
 * What changed, revision by revision, for those who watch. All watches of a node share one source: the newest
 * revisions are in memory, older ones are read from the history in the store. A reader asks for what comes next when it
 * is ready for it, so a slow one costs nothing but its place.
 */
import { Context, Deferred, Effect } from "effect"
import { Compacted } from "../FlareDbError.ts"
import type { StoreMetadata } from "./model/StoreMetadata.ts"
import type { Revision } from "./model/History.ts"
import type { KeyRanges } from "./model/KeyRanges.ts"
import type { StateStore } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"
import type { FeedPart, FeedRequest } from "./FeedPart.ts"
import { boundPrevious, partBytes, partRevisions, revisionMemory, within } from "./FeedPart.ts"
import { FeedWaiters } from "./FeedWaiters.ts"
import { readPart } from "./StoredFeed.ts"

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
}>()("flaredb/kv/ChangeFeed") {}

/** Bytes of recent revisions kept in memory, previous records included; up to a quarter more at times. */
const maxRecentBytes = 4 * 1024 * 1024

/** Recent revisions kept in memory; up to a quarter more at times. */
const maxRecentRevisions = 65_536

/**
 * Revisions after which none is kept any more if no watch asked for one meanwhile. Who asks later reads them from the
 * store. Each takes some 600 bytes of objects and the memory of its entry, and V8 would move them before they go.
 */
const unaskedRevisions = 4_096

/** The feed, and the end where the state machine puts changes in. */
export class ChangeSource {
  readonly feed: ChangeFeed["Service"]
  private readonly store: StateStore["Service"]
  private metadata: StoreMetadata
  /** The newest revisions, gapless, the last of them `metadata.revision`. */
  private recent: Array<Revision> = []
  private recentBytes = 0
  /** The last revision when somebody asked, or waited. */
  private askedAt: number
  private readonly waiters = new FeedWaiters()

  private constructor(store: StateStore["Service"], metadata: StoreMetadata) {
    this.store = store
    this.metadata = metadata
    this.askedAt = metadata.revision
    this.feed = ChangeFeed.of({
      revision: () => this.metadata.revision,
      wait: (ranges, from, patienceMs, hurry) => this.wait(ranges, from, patienceMs, hurry),
      next: (request, from) => this.next(request, from)
    })
  }

  static readonly make = (store: StateStore["Service"], metadata: StoreMetadata): Effect.Effect<ChangeSource> =>
    Effect.sync(() => new ChangeSource(store, metadata))

  /** Tells of revisions that are in the store by now. */
  publish(revisions: ReadonlyArray<Revision>, metadata: StoreMetadata): void {
    this.metadata = metadata
    if (revisions.length === 0) return
    if (this.waiters.size > 0) this.askedAt = metadata.revision
    if (metadata.revision - this.askedAt > unaskedRevisions) return this.forgetAll()
    for (const revision of revisions) {
      this.recent.push(revision)
      this.recentBytes += revisionMemory(revision)
    }
    this.forgetOldest()
    this.waiters.wake(revisions)
  }

  /** The whole state was replaced. */
  restart(metadata: StoreMetadata): void {
    const known = this.metadata.revision
    this.metadata = metadata
    this.forgetAll()
    this.waiters.wakeAll(known + 1)
  }

  private forgetAll(): void {
    this.recent = []
    this.recentBytes = 0
  }

  private forgetOldest(): void {
    // A good many at a time, because removing them moves the rest.
    if (this.recent.length < maxRecentRevisions * 1.25 && this.recentBytes < maxRecentBytes * 1.25) return
    let drop = 0
    while (
      this.recent.length - drop > maxRecentRevisions ||
      (this.recentBytes > maxRecentBytes && drop < this.recent.length)
    ) {
      this.recentBytes -= revisionMemory(this.recent[drop] as Revision)
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
      const { compacted, revision } = this.metadata
      this.askedAt = revision
      if (from <= compacted) return Effect.fail(new Compacted({ requested: from, oldest: compacted + 1 }))
      if (from <= revision || (patienceMs !== undefined && patienceMs <= 0)) return Effect.succeed(from)
      const waiter = this.waiters.add(ranges, from)
      if (hurry !== undefined) hurry.now = () => this.waiters.hurry(waiter, this.metadata.revision + 1)
      const woken = Deferred.await(waiter.woken)
      return (patienceMs === undefined ? woken : Effect.asVoid(Effect.timeoutOption(woken, patienceMs))).pipe(
        Effect.ensuring(
          Effect.sync(() => {
            if (hurry !== undefined) hurry.now = nothing
            this.waiters.remove(waiter)
          })
        ),
        Effect.map(() => waiter.isWoken ? waiter.from : Math.max(from, this.metadata.revision + 1))
      )
    })
  }

  private next(request: FeedRequest, from: number): Effect.Effect<FeedPart, Compacted | StorageError> {
    return Effect.flatMap(this.wait(request.ranges, from, undefined), (at) => {
      const { compacted, revision } = this.metadata
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
      const sent = request.previous ? boundPrevious(matching) : matching
      revisions.push(sent)
      bytes += revisionMemory(sent)
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
