/**
 * The queues of a runner's shards, mirrored in memory: what waits, in the order in which it was saved, and what of it
 * was handed out. Only the owner of a shard reads its queue, and a new owner begins with nothing handed out; so that
 * is known here and nowhere else.
 *
 * It says when there is something new to read: a message came, or one is due.
 */
import { Clock, Effect, Exit, Latch, Option, Scope, Semaphore } from "effect"
import type { EntityAddress } from "effect/cluster"
import { Mirror } from "../../client/Mirror.ts"
import type { MirrorFailure } from "../../client/Mirror.ts"
import type { WriteFailure } from "../../client/KeyValue.ts"
import type { KeyValueEntry } from "../../client/KeyValue.ts"
import { KeyValue } from "../../client/KeyValue.ts"
import { LatestReads } from "../LatestReads.ts"
import type { Changes, Listed, WatchEvent } from "../../client/WatchNotice.ts"
import { Watch } from "../../client/Watch.ts"
import { watchQueues } from "../ActorMetrics.ts"
import type { ClusterKeys } from "./ClusterKeys.ts"
import type { Freshness } from "./Freshness.ts"
import type { ShardTable } from "./HeldShards.ts"
import { HeldShards } from "./HeldShards.ts"
import { DueTime } from "../DueTime.ts"
import type { LogTimeFailure } from "../LogTime.ts"
import { OwnRequests, rowEntry } from "./OwnRequests.ts"
import { QueuePages } from "./QueuePages.ts"
import type { Item, Waiting } from "./WaitingItems.ts"
import { ofAddresses, unsavedVersion, WaitingItems } from "./WaitingItems.ts"
import { wakeWhenDue } from "./WakeWhenDue.ts"

/** Shards of one mirror, and mirrors at a time. Beyond that all begin again, for the shards that are asked for. */
const shardsPerMirror = 256
const maxMirrors = 16

interface MirrorGroup {
  /** All of the queues; or pages of them, while a mirror has no room for all. */
  readonly copy: Mirror | QueuePages
  readonly shards: ReadonlySet<string>
  readonly scope: Scope.Closeable
}

/** How the copies are kept and read. */
export interface Reading {
  readonly freshness: Freshness
  /** Whether mirrors rest while they tell of own changes alone (`WatchRest.ts`), by the clock of the fiber. */
  readonly rests: boolean
}

export class ShardQueues {
  private readonly keys: ClusterKeys
  private readonly kv: KeyValue["Service"]
  private readonly watch: Watch["Service"]
  private readonly scope: Scope.Scope
  /** In place of the caller's time, for what is due. */
  private readonly time: DueTime["Service"] | undefined
  private readonly clock: Clock.Clock
  private readonly maxBytes: number
  private readonly held: ShardTable
  private readonly reading: Reading
  private readonly covering = Semaphore.makeUnsafe(1)
  private groups: Array<MirrorGroup> = []
  private readonly waiting: WaitingItems
  private readonly own = new OwnRequests()
  private readonly work = Latch.makeUnsafe(false)
  private readonly due = Latch.makeUnsafe(false)

  private constructor(
    keys: ClusterKeys,
    kv: KeyValue["Service"],
    watch: Watch["Service"],
    scope: Scope.Scope,
    time: DueTime["Service"] | undefined,
    clock: Clock.Clock,
    maxBytes: number,
    held: ShardTable,
    reading: Reading
  ) {
    this.reading = reading
    this.keys = keys
    this.kv = kv
    this.watch = watch
    this.scope = scope
    this.time = time
    this.clock = clock
    this.maxBytes = maxBytes
    this.held = held
    this.waiting = new WaitingItems({
      work: () => this.work.openUnsafe(),
      due: () => this.due.openUnsafe(),
      shown: (key) => this.own.shown(key)
    })
  }

  /** What is due is judged by `DueTime` when that is provided, and otherwise by the time that a caller names. */
  static readonly make = Effect.fnUntraced(function*(keys: ClusterKeys, maxBytes: number, reading: Reading) {
    const queues = new ShardQueues(
      keys,
      yield* LatestReads,
      yield* Watch,
      yield* Effect.scope,
      Option.getOrUndefined(yield* Effect.serviceOption(DueTime)),
      yield* Clock.Clock,
      maxBytes,
      yield* HeldShards,
      reading
    )
    yield* Effect.forkScoped(wakeWhenDue({
      waiting: queues.waiting,
      due: queues.due,
      work: () => queues.work.openUnsafe(),
      now: Effect.suspend(() => queues.dueTime(queues.clock.currentTimeMillisUnsafe()))
    }))
    yield* watchQueues(queues.waiting.shards, queues.held)
    return queues
  })

  /** Waits until there is something to read that was not there when this was last called. */
  readonly next: Effect.Effect<void> = Effect.suspend(() =>
    Effect.map(this.work.await, () => {
      this.work.closeUnsafe()
    })
  )

  /** A request that one of the mirrors knows. */
  find(id: string): Waiting | undefined {
    return this.waiting.find(id)
  }

  /** This process is about to save a request: what its watch tells of that is no news. */
  saves(shard: string, id: string): void {
    if (this.waiting.shards.has(shard)) this.own.saves(id)
  }

  /** This process changed something of a request at a revision, which the mirror has to show soon. */
  changed(shard: string, revision: number): void {
    const copy = this.copyOf(shard)
    if (copy instanceof Mirror) copy.expects(revision)
  }

  private copyOf(shard: string): Mirror | QueuePages | undefined {
    return this.groups.find(({ shards }) => shards.has(shard))?.copy
  }

  /** This process saved a request. It is there before the mirror shows it, so that a reading needs no trip. */
  saved(shard: string, id: string, row: string, revision: number): void {
    const copy = this.copyOf(shard)
    // Pages follow what is saved by a watch.
    if (!(copy instanceof Mirror) || copy.isEnded || copy.revision >= revision) return
    const entry = rowEntry(this.keys.part(shard, id, "r"), row, revision, 1)
    if (this.own.add({ shard, id, entry })) this.waiting.set(shard, id, "r", entry)
    else this.reading.freshness.doubt()
  }

  /** Has a request read that is not stored. False while there is no copy of its queue. */
  hold(shard: string, id: string, row: string): boolean {
    const copy = this.copyOf(shard)
    if (!(copy instanceof Mirror) || copy.isEnded) return false
    const entry = rowEntry(this.keys.part(shard, id, "r"), row, copy.revision, unsavedVersion)
    this.own.hold({ shard, id, entry })
    this.waiting.set(shard, id, "r", entry)
    return true
  }

  /** A request that was held back is stored. */
  holdsNoMore(shard: string, id: string): void {
    this.own.holdsNoMore(this.keys.part(shard, id, "r"))
  }

  /** A request that was held back waits no more. */
  drop(shard: string, id: string): void {
    this.holdsNoMore(shard, id)
    this.waiting.delete(shard, id, "r")
  }

  /** The time that says whether a message is due, in milliseconds since 1970. */
  dueTime(now: number): Effect.Effect<number, LogTimeFailure> {
    return this.time === undefined ? Effect.succeed(now) : this.time.now
  }

  /**
   * Hands out what waits in shards and is due, in order. Whatever was acknowledged before this is seen. `now` is the
   * time of the caller, for how long ago something was handed out.
   */
  take(
    shards: ReadonlyArray<string>,
    now: number,
    limit: number,
    addresses?: ReadonlyArray<EntityAddress.EntityAddress>
  ): Effect.Effect<ReadonlyArray<Item>, MirrorFailure | WriteFailure | LogTimeFailure> {
    const asked = new Set(shards)
    const covered = Effect.suspend(() => this.covering.withPermit(this.cover(asked)))
    return Effect.suspend(() => {
      const locks = new Map(shards.map((shard) => [shard, this.held.lockOf(shard)]))
      // A shard that was taken again meanwhile is not its reader's any more: Sharding drops what this reading gives of
      // it, after it gave back what was handed out. It reads again once it counts on the shard.
      const isSame = ({ waiting: { shard } }: Item) => asked.has(shard) && this.held.lockOf(shard) === locks.get(shard)
      const isOfAddress = addresses === undefined ? () => true : ofAddresses(addresses)
      const isWanted = (item: Item) => isSame(item) && isOfAddress(item)
      const read = Effect.andThen(covered, this.takeCovered(asked, now, limit, isWanted))
      // A mirror that became too large is followed by pages.
      return Effect.retry(read, { times: 1, while: (failure) => failure._tag === "MirrorFull" })
    })
  }

  private readonly takeCovered = Effect.fnUntraced({ self: this }, function*(
    this: ShardQueues,
    asked: ReadonlySet<string>,
    now: number,
    limit: number,
    isWanted: (item: Item) => boolean
  ): Effect.fn.Return<ReadonlyArray<Item>, MirrorFailure | WriteFailure | LogTimeFailure> {
    const groups = this.groups.filter((group) => [...group.shards].some((shard) => asked.has(shard)))
    if (groups.length === 0) return []
    const mirrored = groups.flatMap((group) => group.copy instanceof Mirror ? [{ group, mirror: group.copy }] : [])
    const paged = groups.flatMap(({ copy }) => copy instanceof QueuePages ? [copy] : [])
    if (this.reading.freshness.mustCatchUp((id) => this.find(id) !== undefined)) {
      yield* Effect.onError(this.catchUp(mirrored), () => Effect.sync(() => this.reading.freshness.doubt()))
    } else if (mirrored.some(({ mirror }) => mirror.isEnded)) {
      // Fails with what ended it.
      yield* Effect.forEach(mirrored, ({ group, mirror }) => this.ended(group, mirror.awaitRevision(0)), {
        discard: true
      })
    }
    // What left the delayed ones is due.
    const mayBeDue = paged.length > 0 || this.waiting.hasDelayed
    const due = this.time === undefined ? now : mayBeDue ? yield* this.time.now : Infinity
    const taken = [...this.waiting.handOut(now, due, limit, isWanted)]
    while (taken.length < limit) {
      const read = yield* Effect.forEach(paged, (pages) => pages.readMore(asked, due))
      if (!read.includes(true)) break
      taken.push(...this.waiting.handOut(now, due, limit - taken.length, isWanted))
    }
    return taken
  })

  private readonly catchUp = Effect.fnUntraced({ self: this }, function*(
    this: ShardQueues,
    mirrored: ReadonlyArray<{ readonly group: MirrorGroup; readonly mirror: Mirror }>
  ) {
    const [first] = mirrored
    if (first === undefined) return
    const revision = yield* this.ended(first.group, first.mirror.sync)
    yield* Effect.forEach(mirrored, ({ group, mirror }) => this.ended(group, mirror.awaitRevision(revision)), {
      concurrency: "unbounded"
    })
  })

  /** What was handed out of these is handed out again. */
  release(which: (waiting: Waiting, item: Item) => boolean): void {
    // What was finished meanwhile is not handed out again.
    this.reading.freshness.doubt()
    this.waiting.release(which)
  }

  releaseAddresses(addresses: ReadonlyArray<EntityAddress.EntityAddress>): void {
    const isWanted = ofAddresses(addresses)
    this.release((_, item) => isWanted(item))
  }

  /** Mirrors the shards that are not mirrored yet. */
  private readonly cover = Effect.fnUntraced({ self: this }, function*(
    this: ShardQueues,
    asked: ReadonlySet<string>
  ) {
    for (const group of this.groups) {
      const { copy } = group
      if (copy instanceof QueuePages && (copy.isEnded || copy.fitsMirror)) yield* this.end(group)
    }
    let missing = [...asked].filter((shard) => !this.waiting.shards.has(shard))
    if (missing.length === 0) return
    const isWanted = (shard: string) => asked.has(shard) || !this.held.isRunner || this.held.lockOf(shard) !== undefined
    for (const group of this.groups) {
      if (![...group.shards].some(isWanted)) yield* this.end(group)
    }
    if (this.groups.length + Math.ceil(missing.length / shardsPerMirror) > maxMirrors) {
      missing = [...new Set([...asked, ...[...this.waiting.shards.keys()].filter(isWanted)])]
      for (const group of this.groups) yield* this.end(group)
    }
    for (let from = 0; from < missing.length; from += shardsPerMirror) {
      const shards = missing.slice(from, from + shardsPerMirror)
      yield* Effect.catchTag(this.begin(shards), "MirrorFull", () => this.beginPages(shards))
    }
  })

  private readonly begin = Effect.fnUntraced({ self: this }, function*(
    this: ShardQueues,
    shards: ReadonlyArray<string>
  ) {
    const scope = yield* Scope.fork(this.scope)
    const queues = new Map(shards.map((shard) => [this.keys.queue(shard), shard]))
    for (const shard of shards) this.waiting.open(shard)
    const mirror = yield* Mirror.make({
      prefixes: [...queues.keys()],
      listWithin: this.keys.queues,
      maxBytes: this.maxBytes,
      isOwn: this.reading.rests ? (event) => this.isOwn(queues, event) : undefined,
      onUpdate: (update) => this.apply(queues, update)
    }).pipe(
      Effect.provideService(KeyValue, this.kv),
      Effect.provideService(Watch, this.watch),
      Scope.provide(scope),
      Effect.onExit((exit) => {
        if (Exit.isSuccess(exit)) return Effect.void
        for (const shard of shards) this.waiting.clear(shard)
        return Scope.close(scope, Exit.void)
      })
    )
    this.groups = [...this.groups, { copy: mirror, shards: new Set(shards), scope }]
  })

  private readonly beginPages = Effect.fnUntraced({ self: this }, function*(
    this: ShardQueues,
    shards: ReadonlyArray<string>
  ) {
    const scope = yield* Scope.fork(this.scope)
    const queues = new Map(shards.map((shard) => [this.keys.queue(shard), shard]))
    for (const shard of shards) this.waiting.open(shard)
    const before = this.waiting.claimed()
    const copy = yield* QueuePages.make(this.keys, shards, this.maxBytes, {
      put: (entry) => {
        this.put(queues, entry)
        this.waiting.keepClaim(before.get(entry.keyText), entry)
      },
      delete: (key) => this.delete(queues, key),
      wake: () => this.work.openUnsafe(),
      wakeAt: (dueMs) => this.waiting.dueAt(dueMs)
    }).pipe(
      Effect.provideService(KeyValue, this.kv),
      Effect.provideService(Watch, this.watch),
      Scope.provide(scope)
    )
    this.groups = [...this.groups, { copy, shards: new Set(shards), scope }]
  })

  private end(group: MirrorGroup): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!this.groups.includes(group)) return Effect.void
      this.groups = this.groups.filter((other) => other !== group)
      for (const shard of group.shards) this.waiting.clear(shard)
      this.own.forget(group.shards, Infinity)
      return Scope.close(group.scope, Exit.void)
    })
  }

  /** The next reading replaces a mirror that has ended. */
  private ended<A, E>(group: MirrorGroup, effect: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.tapError(effect, () => Effect.when(this.end(group), Effect.sync(() => group.copy.isEnded)))
  }

  private apply(queues: ReadonlyMap<string, string>, update: Listed | Changes): void {
    if (update._tag === "Listed") {
      const before = this.waiting.claimed()
      const listed = new Set(queues.values())
      for (const shard of listed) {
        this.waiting.clear(shard)
        this.waiting.open(shard)
      }
      for (const entry of update.entries) this.put(queues, entry)
      this.own.forget(listed, update.revision)
      for (const { entry, id, shard } of this.own.of(listed)) this.waiting.set(shard, id, "r", entry)
      this.waiting.keepClaims(before, listed)
      return
    }
    for (const event of update.events) {
      if (event._tag === "Put") this.put(queues, event.entry)
      else this.delete(queues, event.keyText)
    }
  }

  private place(queues: ReadonlyMap<string, string>, key: string) {
    const queue = key.slice(0, key.indexOf("/", key.lastIndexOf("/Q/") + 3) + 1)
    const shard = queues.get(queue)
    if (shard === undefined) return undefined
    const [id, part] = this.keys.partOf(queue, key)
    return { shard, id, part }
  }

  /**
   * Whether only this process makes such a change: it saved the request, or it owns the shard and replied. A request
   * that was held back by a chunk may be read again.
   */
  private isOwn(queues: ReadonlyMap<string, string>, event: WatchEvent): boolean {
    const place = this.place(queues, event.keyText)
    if (place === undefined) return true
    if (event._tag === "Delete") return place.part !== "u"
    return place.part === "u" || (place.part === "r" && this.own.tellsOwn(place.id))
  }

  private put(queues: ReadonlyMap<string, string>, entry: KeyValueEntry): void {
    const place = this.place(queues, entry.keyText)
    if (place !== undefined) this.waiting.set(place.shard, place.id, place.part, entry)
  }

  private delete(queues: ReadonlyMap<string, string>, key: string): void {
    const place = this.place(queues, key)
    if (place !== undefined) this.waiting.delete(place.shard, place.id, place.part)
  }
}
