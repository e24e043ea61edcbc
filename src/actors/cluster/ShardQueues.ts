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
import { KeyValue, KeyValueEntry } from "../../client/KeyValue.ts"
import type { Changes, Listed } from "../../client/Watch.ts"
import { Watch } from "../../client/Watch.ts"
import { bytesOf } from "../../client/Entry.ts"
import { watchQueues } from "../ActorMetrics.ts"
import type { ClusterKeys, QueuePart } from "./ClusterKeys.ts"
import type { Freshness } from "./Freshness.ts"
import type { ShardTable } from "./HeldShards.ts"
import { HeldShards } from "./HeldShards.ts"
import type { LogTimeFailure } from "../LogTime.ts"
import { LogTime } from "../LogTime.ts"
import type { WaitingRow } from "./MessageRows.ts"
import { QueuePages } from "./QueuePages.ts"

/** How long what was handed out is not handed out again, in milliseconds; the same as of Effect's other storages. */
export const claimMs = 10 * 60_000

/** Shards of one mirror, and mirrors at a time. Beyond that all are begun anew for the shards that are asked for. */
const shardsPerMirror = 256
const maxMirrors = 16

/**
 * The longest wait for a message that is due later, and how long before that the time of the log is asked for again, in
 * milliseconds: the clock of a machine goes a little faster or slower.
 */
const maxWaitMs = 3_600_000
const lookAgainMs = 10_000

/** Pause before the time of the log is asked for again when it is not known, in milliseconds. */
const pauseMs = 500

/** What is known of a request that has no exit. */
export class Waiting {
  readonly shard: string
  readonly id: string
  readonly parts = new Map<QueuePart, KeyValueEntry>()
  /** What of it is handed out, or may be. */
  readonly items = new Map<QueuePart, Item>()
  /** Whether a transaction failed because the request was gone, which the copy has yet to show. */
  isDoubtful = false

  constructor(shard: string, id: string) {
    this.shard = shard
    this.id = id
  }

  /** Whether it, its acknowledgement and its interrupt may be read: no chunk waits to be acknowledged. */
  get isReadable(): boolean {
    return this.parts.has("r") && !this.parts.has("u")
  }
}

/** Something to hand out. */
export interface Item {
  readonly waiting: Waiting
  readonly part: "r" | "a" | "i"
  readonly entry: KeyValueEntry
  readonly order: number
  readonly deliverAt: number
  readonly type: string
  readonly entity: string
}

interface MirrorGroup {
  /** All of the queues; or pages of them, while a mirror has no room for all. */
  readonly copy: Mirror | QueuePages
  readonly shards: ReadonlySet<string>
  readonly scope: Scope.Closeable
}

/**
 * Requests saved by this process that its mirror may not show yet. Beyond that the mirror is away, and readings wait
 * for it: what it does not show takes memory that nothing else bounds.
 */
const maxAhead = 8_192

/** What this process saved. */
interface Ahead {
  readonly shard: string
  readonly id: string
  readonly entry: KeyValueEntry
}

/**
 * The order in which messages were saved. Those of one revision come in the order of their ids, which is that in which
 * their sender made them, and a request before what concerns it.
 */
const byPlace = (a: Item, b: Item): number =>
  a.order !== b.order
    ? a.order - b.order
    : a.waiting === b.waiting
    ? Number(b.part === "r") - Number(a.part === "r")
    : Buffer.compare(a.entry.key, b.entry.key)

const addressKey = (type: string, entity: string): string => JSON.stringify([type, entity])

export class ShardQueues {
  private readonly keys: ClusterKeys
  private readonly kv: KeyValue["Service"]
  private readonly watch: Watch["Service"]
  private readonly scope: Scope.Scope
  /** In place of the caller's time, for what is due. */
  private readonly time: LogTime["Service"] | undefined
  private readonly clock: Clock.Clock
  private readonly maxBytes: number
  private readonly held: ShardTable
  private readonly covering = Semaphore.makeUnsafe(1)
  private groups: Array<MirrorGroup> = []
  private readonly shards = new Map<string, Map<string, Waiting>>()
  /** The same of all shards, by id. One that is not current any more may be in it until another takes its place. */
  private readonly requests = new Map<string, Waiting>()
  /** What this process saved and its mirror has not shown yet, by its key. */
  private readonly ahead = new Map<string, Ahead>()
  private readonly freshness: Freshness
  /** What may be handed out, in order once it is sorted; what is gone by now is left out when it is read. */
  private items: Array<Item> = []
  private sorted = true
  private readonly delayed = new Set<Item>()
  /** What was handed out, the oldest first, and when. */
  private readonly claims = new Map<Item, number>()
  private nextDueMs = Infinity
  private readonly work = Latch.makeUnsafe(false)
  private readonly due = Latch.makeUnsafe(false)

  private constructor(
    keys: ClusterKeys,
    kv: KeyValue["Service"],
    watch: Watch["Service"],
    scope: Scope.Scope,
    time: LogTime["Service"] | undefined,
    clock: Clock.Clock,
    maxBytes: number,
    held: ShardTable,
    freshness: Freshness
  ) {
    this.freshness = freshness
    this.keys = keys
    this.kv = kv
    this.watch = watch
    this.scope = scope
    this.time = time
    this.clock = clock
    this.maxBytes = maxBytes
    this.held = held
  }

  /** What is due is judged by `LogTime` when that is provided, and otherwise by the time that a caller names. */
  static readonly make = Effect.fnUntraced(function*(keys: ClusterKeys, maxBytes: number, freshness: Freshness) {
    const queues = new ShardQueues(
      keys,
      yield* KeyValue,
      yield* Watch,
      yield* Effect.scope,
      Option.getOrUndefined(yield* Effect.serviceOption(LogTime)),
      yield* Clock.Clock,
      maxBytes,
      yield* HeldShards,
      freshness
    )
    yield* Effect.forkScoped(queues.wakeWhenDue)
    yield* watchQueues(queues.shards, queues.held)
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
    const waiting = this.requests.get(id)
    return waiting !== undefined && this.shards.get(waiting.shard)?.get(id) === waiting ? waiting : undefined
  }

  /** This process saved a request. It is there before the mirror shows it, so that a reading needs no trip. */
  saved(shard: string, id: string, row: string, revision: number): void {
    const copy = this.groups.find(({ shards }) => shards.has(shard))?.copy
    // Pages follow what is saved by a watch.
    if (!(copy instanceof Mirror) || copy.isEnded || copy.revision >= revision) return
    if (this.ahead.size >= maxAhead) {
      this.freshness.doubt()
      return
    }
    const key = this.keys.part(shard, id, "r")
    const record = { createRevision: revision, modRevision: revision, version: 1, lease: 0, value: bytesOf(row) }
    const entry = new KeyValueEntry(bytesOf(key), record)
    this.ahead.set(key, { shard, id, entry })
    this.set(shard, id, "r", entry)
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
    const read = Effect.andThen(covered, this.takeCovered(asked, now, limit, addresses))
    // A mirror that became too large is followed by pages.
    return Effect.retry(read, { times: 1, while: (failure) => failure._tag === "MirrorFull" })
  }

  private readonly takeCovered = Effect.fnUntraced({ self: this }, function*(
    this: ShardQueues,
    asked: ReadonlySet<string>,
    now: number,
    limit: number,
    addresses: ReadonlyArray<EntityAddress.EntityAddress> | undefined
  ): Effect.fn.Return<ReadonlyArray<Item>, MirrorFailure | WriteFailure | LogTimeFailure> {
    const groups = this.groups.filter((group) => [...group.shards].some((shard) => asked.has(shard)))
    if (groups.length === 0) return []
    const mirrored = groups.flatMap((group) => group.copy instanceof Mirror ? [{ group, mirror: group.copy }] : [])
    const paged = groups.flatMap(({ copy }) => copy instanceof QueuePages ? [copy] : [])
    if (this.freshness.mustCatchUp((id) => this.find(id) !== undefined)) {
      yield* Effect.onError(this.catchUp(mirrored), () => Effect.sync(() => this.freshness.doubt()))
    } else if (mirrored.some(({ mirror }) => mirror.isEnded)) {
      // Fails with what ended it.
      yield* Effect.forEach(mirrored, ({ group, mirror }) => this.ended(group, mirror.awaitRevision(0)), {
        discard: true
      })
    }
    const wanted = addresses === undefined
      ? undefined
      : new Set(addresses.map(({ entityId, entityType }) => addressKey(entityType, entityId)))
    const isWanted = (item: Item) =>
      asked.has(item.waiting.shard) && (wanted === undefined || wanted.has(addressKey(item.type, item.entity)))
    // What left the delayed ones is due by the time of the log.
    const mayBeDue = paged.length > 0 || this.delayed.size > 0
    const due = this.time === undefined ? now : mayBeDue ? yield* this.time.now : Infinity
    const taken = [...this.handOut(now, due, limit, isWanted)]
    while (taken.length < limit) {
      const read = yield* Effect.forEach(paged, (pages) => pages.readMore(asked, due))
      if (!read.includes(true)) break
      taken.push(...this.handOut(now, due, limit - taken.length, isWanted))
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
    this.freshness.doubt()
    for (const item of this.claims.keys()) {
      if (!which(item.waiting, item)) continue
      this.claims.delete(item)
      this.add(item)
    }
  }

  releaseAddresses(addresses: ReadonlyArray<EntityAddress.EntityAddress>): void {
    const wanted = new Set(addresses.map(({ entityId, entityType }) => addressKey(entityType, entityId)))
    this.release((_, { entity, type }) => wanted.has(addressKey(type, entity)))
  }

  private handOut(
    now: number,
    due: number,
    limit: number,
    wanted: (item: Item) => boolean
  ): ReadonlyArray<Item> {
    this.moveDue(due)
    for (const [item, claimedMs] of this.claims) {
      if (claimedMs > now - claimMs) break
      this.claims.delete(item)
      this.add(item)
    }
    if (!this.sorted) this.items.sort(byPlace)
    this.sorted = true
    const taken: Array<Item> = []
    let kept = 0
    let at = 0
    for (; at < this.items.length && taken.length < limit; at++) {
      const item = this.items[at] as Item
      if (!this.isCurrent(item)) continue
      if (item.deliverAt <= due && item.waiting.isReadable && wanted(item)) {
        taken.push(item)
        this.claims.set(item, now)
      } else this.items[kept++] = item
    }
    this.items.splice(kept, at - kept)
    return taken
  }

  private isCurrent({ entry, part, waiting }: Item): boolean {
    return waiting.parts.get(part) === entry && this.shards.get(waiting.shard)?.get(waiting.id) === waiting
  }

  private add(item: Item): void {
    if (!this.isCurrent(item)) return
    const last = this.items[this.items.length - 1]
    if (last !== undefined && byPlace(last, item) > 0) this.sorted = false
    this.items.push(item)
  }

  private moveDue(now: number): void {
    if (now < this.nextDueMs) return
    this.nextDueMs = Infinity
    for (const item of this.delayed) {
      if (item.deliverAt > now) this.nextDueMs = Math.min(this.nextDueMs, item.deliverAt)
      if (item.deliverAt > now && this.isCurrent(item)) continue
      this.delayed.delete(item)
      this.add(item)
    }
  }

  /** Mirrors the shards that are not mirrored yet. */
  private readonly cover = Effect.fnUntraced({ self: this }, function*(
    this: ShardQueues,
    asked: ReadonlySet<string>
  ) {
    for (const group of this.groups) {
      const { copy } = group
      if (copy instanceof QueuePages && (copy.isEnded || copy.fitsMirror)) yield* this.drop(group)
    }
    let missing = [...asked].filter((shard) => !this.shards.has(shard))
    if (missing.length === 0) return
    const isWanted = (shard: string) => asked.has(shard) || !this.held.isRunner || this.held.lockOf(shard) !== undefined
    for (const group of this.groups) {
      if (![...group.shards].some(isWanted)) yield* this.drop(group)
    }
    if (this.groups.length + Math.ceil(missing.length / shardsPerMirror) > maxMirrors) {
      missing = [...new Set([...asked, ...[...this.shards.keys()].filter(isWanted)])]
      for (const group of this.groups) yield* this.drop(group)
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
    for (const shard of shards) this.shards.set(shard, new Map())
    const mirror = yield* Mirror.make({
      prefixes: [...queues.keys()],
      listWithin: this.keys.queues,
      maxBytes: this.maxBytes,
      onUpdate: (update) => this.apply(queues, update)
    }).pipe(
      Effect.provideService(KeyValue, this.kv),
      Effect.provideService(Watch, this.watch),
      Scope.provide(scope),
      Effect.onExit((exit) => {
        if (Exit.isSuccess(exit)) return Effect.void
        for (const shard of shards) this.clear(shard)
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
    for (const shard of shards) this.shards.set(shard, new Map())
    const before = new Map([...this.claims.keys()].map((item) => [item.entry.keyText, item]))
    const copy = yield* QueuePages.make(this.keys, shards, this.maxBytes, {
      put: (entry) => {
        this.put(queues, entry)
        const claimed = before.get(entry.keyText)
        if (claimed?.entry.modRevision === entry.modRevision) this.takesPlaceOf(claimed, entry)
      },
      delete: (key) => this.delete(queues, key),
      wake: () => this.work.openUnsafe(),
      wakeAt: (dueMs) => {
        if (dueMs >= this.nextDueMs) return
        this.nextDueMs = dueMs
        this.due.openUnsafe()
      }
    }).pipe(
      Effect.provideService(KeyValue, this.kv),
      Effect.provideService(Watch, this.watch),
      Scope.provide(scope)
    )
    this.groups = [...this.groups, { copy, shards: new Set(shards), scope }]
  })

  /** What was handed out is read again as another item, and stays handed out. */
  private takesPlaceOf(claimed: Item, entry: KeyValueEntry): void {
    const claimedMs = this.claims.get(claimed)
    const item = this.find(claimed.waiting.id)?.items.get(claimed.part)
    if (claimedMs === undefined || item?.entry !== entry) return
    this.claims.delete(claimed)
    this.claims.set(item, claimedMs)
    this.delayed.delete(item)
    this.items = this.items.filter((other) => other !== item)
  }

  private drop(group: MirrorGroup): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!this.groups.includes(group)) return Effect.void
      this.groups = this.groups.filter((other) => other !== group)
      for (const shard of group.shards) this.clear(shard)
      this.forgetAhead(group.shards, Infinity)
      return Scope.close(group.scope, Exit.void)
    })
  }

  /** Nothing is known of a shard any more. */
  private clear(shard: string): void {
    for (const [id, waiting] of this.shards.get(shard) ?? []) {
      if (this.requests.get(id) === waiting) this.requests.delete(id)
    }
    this.shards.delete(shard)
  }

  /** The mirror of these shards shows what was saved up to a revision, or will not. */
  private forgetAhead(shards: ReadonlySet<string>, revision: number): void {
    for (const [key, { entry, shard }] of this.ahead) {
      if (entry.modRevision <= revision && shards.has(shard)) this.ahead.delete(key)
    }
  }

  /** A mirror that has ended is begun anew by the next reading. */
  private ended<A, E>(group: MirrorGroup, effect: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.tapError(effect, () => Effect.when(this.drop(group), Effect.sync(() => group.copy.isEnded)))
  }

  private apply(queues: ReadonlyMap<string, string>, update: Listed | Changes): void {
    if (update._tag === "Listed") {
      const before = new Map([...this.claims.keys()].map((item) => [item.entry.keyText, item]))
      const listed = new Set(queues.values())
      for (const shard of listed) {
        this.clear(shard)
        this.shards.set(shard, new Map())
      }
      for (const entry of update.entries) this.put(queues, entry)
      this.forgetAhead(listed, update.revision)
      for (const { entry, id, shard } of this.ahead.values()) if (listed.has(shard)) this.set(shard, id, "r", entry)
      // A list made anew has other entries for what was handed out.
      for (const item of [...this.items, ...this.delayed]) {
        const claimed = before.get(item.entry.keyText)
        if (claimed === undefined || claimed === item) continue
        if (claimed.entry.modRevision !== item.entry.modRevision) continue
        this.claims.set(item, this.claims.get(claimed) ?? 0)
        this.claims.delete(claimed)
        this.delayed.delete(item)
      }
      this.items = this.items.filter((item) => this.isCurrent(item) && !this.claims.has(item))
      for (const item of this.claims.keys()) {
        if (listed.has(item.waiting.shard) && !this.isCurrent(item)) this.claims.delete(item)
      }
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

  private put(queues: ReadonlyMap<string, string>, entry: KeyValueEntry): void {
    const place = this.place(queues, entry.keyText)
    if (place !== undefined) this.set(place.shard, place.id, place.part, entry)
  }

  private set(shard: string, id: string, part: QueuePart, entry: KeyValueEntry): void {
    const requests = this.shards.get(shard)
    if (requests === undefined) return
    let waiting = requests.get(id)
    if (waiting === undefined) {
      waiting = new Waiting(shard, id)
      requests.set(id, waiting)
      this.requests.set(id, waiting)
    }
    if (waiting.parts.get(part)?.modRevision === entry.modRevision) {
      // The mirror shows what this process saved.
      this.ahead.delete(entry.keyText)
      const own = waiting.items.get(part as Item["part"])
      if (own !== undefined && !this.claims.has(own)) this.work.openUnsafe()
      return
    }
    waiting.parts.set(part, entry)
    if (part === "u" || part === "k") return
    const item = itemOf(waiting, part, entry)
    const replaced = waiting.items.get(part)
    if (replaced !== undefined) this.claims.delete(replaced)
    if (item === undefined) return
    waiting.items.set(part, item)
    if (item.deliverAt > -Infinity) {
      this.delayed.add(item)
      if (item.deliverAt < this.nextDueMs) {
        this.nextDueMs = item.deliverAt
        this.due.openUnsafe()
      }
      return
    }
    this.add(item)
    this.work.openUnsafe()
  }

  private delete(queues: ReadonlyMap<string, string>, key: string): void {
    const place = this.place(queues, key)
    const requests = place === undefined ? undefined : this.shards.get(place.shard)
    const waiting = place === undefined ? undefined : requests?.get(place.id)
    if (place === undefined || waiting === undefined) return
    waiting.parts.delete(place.part)
    if (waiting.parts.size === 0) {
      requests?.delete(place.id)
      if (this.requests.get(place.id) === waiting) this.requests.delete(place.id)
    }
    // What a chunk held back may be read now.
    if (place.part === "u") this.work.openUnsafe()
    const item = waiting.items.get(place.part)
    if (item === undefined) return
    waiting.items.delete(place.part)
    this.claims.delete(item)
    this.delayed.delete(item)
  }

  private readonly wakeWhenDue = Effect.suspend(() => {
    this.due.closeUnsafe()
    if (!Number.isFinite(this.nextDueMs)) return this.due.await
    return Effect.flatMap(this.dueTime(this.clock.currentTimeMillisUnsafe()), (now) => {
      const leftMs = this.nextDueMs - now
      if (leftMs <= 0) {
        this.moveDue(now)
        this.work.openUnsafe()
        return Effect.void
      }
      const waitMs = leftMs > 2 * lookAgainMs ? Math.min(maxWaitMs, leftMs - lookAgainMs) : leftMs
      return Effect.timeoutOption(this.due.await, Math.max(1, waitMs))
    })
  }).pipe(
    Effect.catch(() => Effect.sleep(pauseMs)),
    Effect.forever
  )
}

const itemOf = (waiting: Waiting, part: "r" | "a" | "i", entry: KeyValueEntry): Item | undefined => {
  try {
    const row: unknown = JSON.parse(entry.text)
    if (part === "r") {
      const { deliverAt = -Infinity, entity, order = entry.modRevision, type } = row as WaitingRow
      return { waiting, part, entry, order, deliverAt, type, entity }
    }
    const { address } = row as { readonly address: { readonly entityType: string; readonly entityId: string } }
    return {
      waiting,
      part,
      entry,
      order: entry.modRevision,
      deliverAt: -Infinity,
      type: address.entityType,
      entity: address.entityId
    }
  } catch {
    return undefined
  }
}
