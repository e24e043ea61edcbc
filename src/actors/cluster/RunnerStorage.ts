/**
 * Effect's `RunnerStorage`: which runners there are (`RunnerRegistrations.ts`), and which of them holds which shard.
 *
 * A runner and its locks live on leases that nothing but `refresh` keeps alive. So they end when a runner stops to
 * refresh, whether its process died, is frozen, or cannot reach the cluster. A lock's create revision fences what its
 * holder commits (`HeldShards`).
 *
 * Sharding waits for an acquisition for a second. One that takes longer goes on, and the next one has what it took: on
 * a slow machine nothing else makes progress. A lock that was taken that way and is not wanted by then is released once
 * it was not named for the time that a lock lives; the lease that all locks share does not end by itself.
 *
 * Each write recognises its own effect, so that it can be repeated when its answer was lost.
 */
import { Clock, Duration, Effect, Fiber, Layer } from "effect"
import type { Scope } from "effect"
import type { NonEmptyArray } from "effect/Array"
import { RunnerStorage, ShardingConfig } from "effect/cluster"
import type { ClusterError } from "effect/cluster"
import type { WriteFailure } from "../../client/KeyValue.ts"
import type { KeyValue } from "../../client/KeyValue.ts"
import { LatestReads } from "../LatestReads.ts"
import { Leases } from "../../client/Lease.ts"
import { Compare, Op } from "../../client/Txn.ts"
import { monotonicMsOf } from "../../Monotonic.ts"
import { RandomBytes } from "../../RandomBytes.ts"
import { lockAcquired, locksLost, shardsExpected } from "../ActorMetrics.ts"
import type { ClusterName } from "./ClusterKeys.ts"
import { ClusterKeys } from "./ClusterKeys.ts"
import { persistent, repeatable } from "./Failures.ts"
import type { ShardTable } from "./HeldShards.ts"
import { HeldShards } from "./HeldShards.ts"
import type { LockOwner } from "./LockOwner.ts"
import { addressOf, lockOwner } from "./LockOwner.ts"
import { sayingNone } from "./NoRunners.ts"
import { endLease, RunnerRegistrations } from "./RunnerRegistrations.ts"
import { ShardCount } from "./ShardCount.ts"

type Result<A> = Effect.Effect<A, ClusterError.PersistenceError>

/** Shortest time to live of a lease, in milliseconds. */
const minTtlMs = 1_000

/** Random bytes that tell a process from others at the same address. */
const instanceBytes = 16

/** Part of a lock's time to live for which its last confirmation answers for a single shard. */
const confirmedPart = 0.6

/**
 * Part of a lock's time to live after which a refresh answers by the last confirmation, while that is young enough. A
 * node that does not answer is no reason to stop entities: while there is no leader, no lease ends either.
 */
const patientPart = 0.2

/** Part of the time to live for which that confirmation is young enough: the locks still live then. */
const livingPart = 0.9

class Runners {
  private readonly keys: ClusterKeys
  private readonly kv: KeyValue["Service"]
  private readonly leases: Leases["Service"]
  private readonly registrations: RunnerRegistrations
  private readonly shards: ShardTable
  private readonly clock: Clock.Clock
  private readonly scope: Scope.Scope
  private readonly ttlMs: number
  private readonly instance: string
  private readonly owners = new Map<string, LockOwner>()

  constructor(
    keys: ClusterKeys,
    kv: KeyValue["Service"],
    leases: Leases["Service"],
    registrations: RunnerRegistrations,
    shards: ShardTable,
    clock: Clock.Clock,
    scope: Scope.Scope,
    ttlMs: number,
    instance: string
  ) {
    this.keys = keys
    this.kv = kv
    this.leases = leases
    this.registrations = registrations
    this.shards = shards
    this.clock = clock
    this.scope = scope
    this.ttlMs = ttlMs
    this.instance = instance
  }

  get encoded(): RunnerStorage.Encoded {
    return {
      getRunners: persistent(this.registrations.runners),
      register: (address, runner, healthy) => persistent(this.registrations.register(address, runner, healthy)),
      unregister: (address) => persistent(this.registrations.unregister(address)),
      setRunnerHealth: (address, healthy) => persistent(this.registrations.setHealth(address, healthy)),
      acquire: (address, shards) => this.acquire(this.owner(address), shards),
      refresh: (address, shards) => this.refresh(this.owner(address), shards),
      release: (address, shard) => persistent(this.release(this.owner(address), shard)),
      releaseAll: (address) => persistent(this.releaseAll(this.owner(address)))
    }
  }

  private owner(address: string): LockOwner {
    const known = this.owners.get(address)
    if (known !== undefined) return known
    const owner = lockOwner(address, this.instance)
    this.owners.set(address, owner)
    return owner
  }

  private nowMs(): number {
    return monotonicMsOf(this.clock)
  }

  private readonly lockLease = Effect.fnUntraced({ self: this }, function*(this: Runners, owner: LockOwner) {
    if (owner.lockLease !== 0) return owner.lockLease
    const sentMs = this.nowMs()
    const { id } = yield* this.leases.grant(this.ttlMs)
    owner.lockLease = id
    owner.confirmedMs = sentMs
    return id
  })

  private acquire(owner: LockOwner, shards: NonEmptyArray<string>): Result<Array<string>> {
    const distinct = [...new Set(shards)]
    this.name(owner, distinct)
    return persistent(Effect.gen({ self: this }, function*() {
      for (let attempt = 0;; attempt++) {
        const lease = yield* owner.turn.withPermit(this.lockLease(owner))
        const got = yield* Effect.forEach(
          distinct,
          (shard) => Effect.result(this.acquiring(owner, shard, lease)),
          { concurrency: "unbounded" }
        )
        const failures = got.flatMap((one) => one._tag === "Failure" ? [one.failure] : [])
        const [failure] = failures
        // One whose outcome is not known is asked for again, and known by its holder.
        if (failure === undefined || got.some((one) => one._tag === "Success" && one.success)) {
          this.name(owner, distinct)
          return distinct.filter((_, at) => {
            const one = got[at]
            return one?._tag === "Success" && one.success
          })
        }
        if (!failures.some(({ _tag }) => _tag === "LeaseNotFound") || attempt > 0) return yield* failure
        // It ended before it was used, and the locks on it with it.
        this.loseAll(owner, lease)
      }
    }))
  }

  /** Somebody counts on these shards, or asks for them. */
  private name(owner: LockOwner, shards: ReadonlyArray<string>): void {
    const nowMs = this.nowMs()
    for (const shard of shards) owner.namedMs.set(shard, nowMs)
  }

  /** Joins the acquisition of a shard that is under way, or begins one, which goes on when its caller gives up. */
  private acquiring(owner: LockOwner, shard: string, lease: number): Effect.Effect<boolean, WriteFailure> {
    return Effect.suspend(() => {
      const known = owner.acquiring.get(shard)
      if (known?.lease === lease) return Fiber.join(known.fiber)
      // Asked for again because the answer for others took too long: what was taken before is not waited for.
      if (owner.lockLease === lease && this.isConfirmed(owner) && this.isHeld(owner, shard)) return Effect.succeed(true)
      // Its lock is about to be deleted.
      if (owner.leaving.has(shard)) return Effect.succeed(false)
      const done = Effect.sync(() => {
        if (owner.acquiring.get(shard)?.lease === lease) owner.acquiring.delete(shard)
      })
      const work = Effect.ensuring(this.acquireOne(owner, shard, lease), done)
      return Effect.flatMap(Effect.forkIn(work, this.scope), (fiber) => {
        owner.acquiring.set(shard, { lease, fiber })
        return Fiber.join(fiber)
      })
    })
  }

  /** Takes a lock that is free, or that a process before this one had at the same address. */
  private readonly acquireOne = Effect.fnUntraced({ self: this }, function*(
    this: Runners,
    owner: LockOwner,
    shard: string,
    lease: number
  ) {
    const key = this.keys.lock(shard)
    for (let attempt = 0; attempt < 2; attempt++) {
      const taken = yield* repeatable(this.kv.transact({
        if: [Compare.missing(key)],
        do: [Op.put(key, owner.holder, { lease })]
      }))
      if (taken.succeeded) {
        yield* lockAcquired
        return this.holds(owner, shard, lease, taken.revision)
      }
      // Read apart: transactions that read are not sent together.
      const found = yield* this.kv.get(key)
      if (found._tag === "None") continue
      const lock = found.value
      if (lock.text === owner.holder && lock.lease === lease) {
        return this.holds(owner, shard, lease, lock.createRevision)
      }
      if (addressOf(lock.text) !== owner.address) return false
      // The lock is deleted, not changed, so that the next one has another create revision.
      yield* repeatable(this.kv.transact({
        if: [Compare.modRevision(key).equals(lock.modRevision)],
        do: [Op.delete(key)]
      }))
    }
    return false
  })

  /** Whether a lock that was taken still counts: its lease may have been given up meanwhile, and ends the lock. */
  private holds(owner: LockOwner, shard: string, lease: number, createRevision: number): boolean {
    if (owner.lockLease !== lease) return false
    owner.locks.set(shard, createRevision)
    this.shards.hold(shard, createRevision)
    return true
  }

  private loses(owner: LockOwner, shard: string): void {
    const createRevision = owner.locks.get(shard)
    owner.locks.delete(shard)
    if (createRevision !== undefined) this.shards.release(shard, createRevision)
  }

  private loseAll(owner: LockOwner, lease: number): void {
    if (owner.lockLease !== lease) return
    owner.lockLease = 0
    owner.confirmedMs = -Infinity
    for (const shard of owner.locks.keys()) this.loses(owner, shard)
  }

  private refresh(owner: LockOwner, shards: ReadonlyArray<string>): Result<ReadonlyArray<string>> {
    return persistent(Effect.suspend(() => {
      const held = (shard: string) => this.isHeld(owner, shard)
      this.name(owner, shards)
      // Before each exit of a request is stored; the commit itself checks the lock.
      if (shards.length === 1 && this.isConfirmed(owner)) return Effect.succeed(shards.filter(held))
      // The registration last: when the process dies, its locks end before its row does, which has others take them.
      const kept = Effect.andThen(this.keepLocks(owner), this.registrations.keep(owner.address))
      // One that is slow goes on, so that its answer counts for the next refresh.
      return Effect.flatMap(
        Effect.forkIn(kept, this.scope),
        (fiber) =>
          Effect.map(Effect.raceFirst(Fiber.join(fiber), this.untilConfirmed(owner)), () => shards.filter(held))
      )
    }))
  }

  /** Waits for a while; longer than that unless the locks were confirmed shortly before. */
  private untilConfirmed(owner: LockOwner): Effect.Effect<void> {
    return Effect.andThen(
      Effect.sleep(patientPart * this.ttlMs),
      Effect.suspend(() => owner.locks.size > 0 && this.isConfirmed(owner, livingPart) ? Effect.void : Effect.never)
    )
  }

  private isHeld(owner: LockOwner, shard: string): boolean {
    const createRevision = owner.locks.get(shard)
    // A commit that was refused for its lock has it forgotten by the others.
    return createRevision !== undefined && this.shards.lockOf(shard) === createRevision
  }

  private isConfirmed({ confirmedMs }: LockOwner, part = confirmedPart): boolean {
    return this.nowMs() - confirmedMs < part * this.ttlMs
  }

  /** Keeps the locks' lease alive, and looks which locks are attached to it still. */
  private readonly keepLocks = Effect.fnUntraced({ self: this }, function*(this: Runners, owner: LockOwner) {
    const { lockLease: lease } = owner
    if (lease === 0) return
    const check = owner.namedMs.size > 0
    const before = new Map(owner.locks)
    const sentMs = this.nowMs()
    const kept = yield* Effect.result(Effect.all([
      this.leases.keepAlive(lease),
      check ? this.leases.timeToLive(lease, { consistency: "linearizable" }) : Effect.undefined
    ], { concurrency: 2 }))
    if (kept._tag === "Failure") {
      if (kept.failure._tag !== "LeaseNotFound") return yield* kept.failure
      yield* locksLost(owner.locks.size)
      this.loseAll(owner, lease)
      return
    }
    if (owner.lockLease !== lease) return
    owner.confirmedMs = Math.max(owner.confirmedMs, sentMs)
    const [, details] = kept.success
    if (details === undefined) return
    const attached = new Set(details.keys.map((key) => Buffer.from(key).toString()))
    for (const [shard, createRevision] of before) {
      if (!attached.has(this.keys.lock(shard)) && owner.locks.get(shard) === createRevision) this.loses(owner, shard)
    }
    yield* this.releaseUnnamed(owner, attached)
  })

  /**
   * Releases the locks that no caller named for as long as a lock lives: an acquisition was given up before it was
   * answered, or its answer came when the shard was another runner's already.
   */
  private readonly releaseUnnamed = Effect.fnUntraced({ self: this }, function*(
    this: Runners,
    owner: LockOwner,
    attached: ReadonlySet<string>
  ) {
    const nowMs = this.nowMs()
    const unnamed = [...owner.namedMs].flatMap(([shard, namedMs]) => {
      if (nowMs - namedMs < this.ttlMs || owner.acquiring.has(shard) || owner.leaving.has(shard)) return []
      if (attached.has(this.keys.lock(shard))) return [shard]
      owner.namedMs.delete(shard)
      return []
    })
    if (unnamed.length === 0) return
    for (const shard of unnamed) owner.leaving.add(shard)
    // What fails is tried with another refresh. This one says whether the lease lives, and not more.
    const released = Effect.forEach(
      unnamed,
      (shard) =>
        Effect.ensuring(Effect.ignore(this.release(owner, shard)), Effect.sync(() => owner.leaving.delete(shard))),
      { concurrency: "unbounded", discard: true }
    )
    yield* Effect.forkIn(released, this.scope)
  })

  private release(owner: LockOwner, shard: string) {
    const key = this.keys.lock(shard)
    this.loses(owner, shard)
    return repeatable(this.kv.transact({
      if: [Compare.value(key).equals(owner.holder)],
      do: [Op.delete(key)]
    }))
  }

  private releaseAll(owner: LockOwner) {
    const { lockLease: lease } = owner
    if (lease === 0) return Effect.void
    this.loseAll(owner, lease)
    return endLease(this.leases, lease)
  }
}

/** The storage of runners, with locks that `HeldShards` knows of. */
export const make = Effect.fnUntraced(function*(name: ClusterName) {
  const { availableShardGroups, shardLockExpiration, shardsPerGroup } = yield* ShardingConfig.ShardingConfig
  yield* shardsExpected(shardsPerGroup * availableShardGroups.length)
  const clock = yield* Clock.Clock
  const ttlMs = Math.max(minTtlMs, Math.ceil(Duration.toMillis(Duration.fromInputUnsafe(shardLockExpiration))))
  const keys = new ClusterKeys(name)
  const kv = yield* LatestReads
  const leases = yield* Leases
  const scope = yield* Effect.scope
  const runners = new Runners(
    keys,
    kv,
    leases,
    new RunnerRegistrations(keys, kv, leases, clock, ttlMs, new ShardCount(keys, kv, shardsPerGroup), scope),
    yield* HeldShards,
    clock,
    scope,
    ttlMs,
    Buffer.from((yield* RandomBytes)(instanceBytes)).toString("hex")
  )
  return sayingNone(RunnerStorage.makeEncoded(runners.encoded), kv, name)
})

/**
 * Effect's storage of runners and shard locks in the store. A shard's lock is a lock of the store, with its
 * fencing revision.
 *
 * **When to use**
 *
 * To put a runner together by hand; `Actors.layer` has it already.
 */
export const layer = (
  name: ClusterName = {}
): Layer.Layer<
  RunnerStorage.RunnerStorage,
  never,
  KeyValue | Leases | HeldShards | ShardingConfig.ShardingConfig
> => Layer.effect(RunnerStorage.RunnerStorage, make(name))
