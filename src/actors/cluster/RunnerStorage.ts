/**
 * Effect's `RunnerStorage`: which runners there are (`RunnerRegistrations.ts`), and which of them holds which shard.
 *
 * A runner and its locks live on leases that nothing but `refresh` keeps alive. So they end when a runner stops to
 * refresh, whether its process died, is frozen, or cannot reach the cluster. A lock's create revision fences what its
 * holder commits (`HeldShards`).
 *
 * Each write recognises its own effect, so that it can be repeated when its answer was lost.
 */
import { randomUUID } from "node:crypto"
import { Clock, Duration, Effect, Fiber, Layer, Semaphore } from "effect"
import type { Scope } from "effect"
import type { NonEmptyArray } from "effect/Array"
import { RunnerStorage, ShardingConfig } from "effect/cluster"
import type { ClusterError } from "effect/cluster"
import { KeyValue } from "../../client/KeyValue.ts"
import { Leases } from "../../client/Lease.ts"
import { Compare, Op } from "../../client/Txn.ts"
import { monotonicMsOf } from "../../Monotonic.ts"
import { lockAcquired, locksLost, shardsExpected } from "../ActorMetrics.ts"
import type { ClusterName } from "./ClusterKeys.ts"
import { ClusterKeys } from "./ClusterKeys.ts"
import { persistent, repeatable } from "./Failures.ts"
import type { ShardTable } from "./HeldShards.ts"
import { HeldShards } from "./HeldShards.ts"
import { endLease, RunnerRegistrations } from "./RunnerRegistrations.ts"

type Result<A> = Effect.Effect<A, ClusterError.PersistenceError>

/** Shortest time to live of a lease, in milliseconds. */
const minTtlMs = 1_000

/** Part of a lock's time to live for which its last confirmation answers for a single shard. */
const confirmedPart = 0.6

/**
 * Part of a lock's time to live after which a refresh answers by the last confirmation, while that is young enough. A
 * node that does not answer is no reason to stop entities: while there is no leader, no lease ends either.
 */
const patientPart = 0.2

/** Part of the time to live for which that confirmation is young enough: the locks still live then. */
const livingPart = 0.9

/** What is known of one address. */
interface Owner {
  readonly address: string
  /** What is written in locks. Another process of the same address has another one. */
  readonly holder: string
  /** The lease of the locks; 0 for none. */
  lockLease: number
  /** When the lock lease was last known to be alive, by the monotonic clock. */
  confirmedMs: number
  readonly locks: Map<string, number>
  /** One grant of a lock lease at a time. */
  readonly turn: Semaphore.Semaphore
}

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
  private readonly owners = new Map<string, Owner>()

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

  private owner(address: string): Owner {
    const known = this.owners.get(address)
    if (known !== undefined) return known
    const owner: Owner = {
      address,
      holder: JSON.stringify({ address, instance: this.instance }),
      lockLease: 0,
      confirmedMs: -Infinity,
      locks: new Map(),
      turn: Semaphore.makeUnsafe(1)
    }
    this.owners.set(address, owner)
    return owner
  }

  private nowMs(): number {
    return monotonicMsOf(this.clock)
  }

  private readonly lockLease = Effect.fnUntraced({ self: this }, function*(this: Runners, owner: Owner) {
    if (owner.lockLease !== 0) return owner.lockLease
    const sentMs = this.nowMs()
    const { id } = yield* this.leases.grant(this.ttlMs)
    owner.lockLease = id
    owner.confirmedMs = sentMs
    return id
  })

  private acquire(owner: Owner, shards: NonEmptyArray<string>): Result<Array<string>> {
    const distinct = [...new Set(shards)]
    return persistent(Effect.gen({ self: this }, function*() {
      for (let attempt = 0;; attempt++) {
        const lease = yield* owner.turn.withPermit(this.lockLease(owner))
        const got = yield* Effect.forEach(
          distinct,
          (shard) => Effect.result(this.acquireOne(owner, shard, lease)),
          { concurrency: "unbounded" }
        )
        const failures = got.flatMap((one) => one._tag === "Failure" ? [one.failure] : [])
        const [failure] = failures
        // One whose outcome is not known is asked for again, and known by its holder.
        if (failure === undefined || got.some((one) => one._tag === "Success" && one.success)) {
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

  /** Takes a lock that is free, or that a process before this one had at the same address. */
  private readonly acquireOne = Effect.fnUntraced({ self: this }, function*(
    this: Runners,
    owner: Owner,
    shard: string,
    lease: number
  ) {
    // Asked for again because the answer for others took too long: what was taken before is not waited for.
    if (owner.lockLease === lease && this.isConfirmed(owner) && this.isHeld(owner, shard)) return true
    const key = this.keys.lock(shard)
    for (let attempt = 0; attempt < 2; attempt++) {
      const taken = yield* repeatable(this.kv.transact({
        if: [Compare.missing(key)],
        do: [Op.put(key, owner.holder, { lease })]
      }))
      if (taken.succeeded) {
        this.holds(owner, shard, taken.revision)
        yield* lockAcquired
        return true
      }
      // Read apart: transactions that read are not sent together.
      const found = yield* this.kv.get(key)
      if (found._tag === "None") continue
      const lock = found.value
      if (lock.text === owner.holder && lock.lease === lease) {
        this.holds(owner, shard, lock.createRevision)
        return true
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

  private holds(owner: Owner, shard: string, createRevision: number): void {
    owner.locks.set(shard, createRevision)
    this.shards.hold(shard, createRevision)
  }

  private loses(owner: Owner, shard: string): void {
    const createRevision = owner.locks.get(shard)
    owner.locks.delete(shard)
    if (createRevision !== undefined) this.shards.release(shard, createRevision)
  }

  private loseAll(owner: Owner, lease: number): void {
    if (owner.lockLease !== lease) return
    owner.lockLease = 0
    owner.confirmedMs = -Infinity
    for (const shard of owner.locks.keys()) this.loses(owner, shard)
  }

  private refresh(owner: Owner, shards: ReadonlyArray<string>): Result<ReadonlyArray<string>> {
    return persistent(Effect.suspend(() => {
      const held = (shard: string) => this.isHeld(owner, shard)
      // Before each exit of a request is stored; the commit itself checks the lock.
      if (shards.length === 1 && this.isConfirmed(owner)) return Effect.succeed(shards.filter(held))
      // The registration last: when the process dies, its locks end before its row does, which has others take them.
      const kept = Effect.andThen(this.keepLocks(owner, shards.length > 0), this.registrations.keep(owner.address))
      // One that is slow goes on, so that its answer counts for the next refresh.
      return Effect.flatMap(
        Effect.forkIn(kept, this.scope),
        (fiber) =>
          Effect.map(Effect.raceFirst(Fiber.join(fiber), this.untilConfirmed(owner)), () => shards.filter(held))
      )
    }))
  }

  /** Waits for a while; longer than that unless the locks were confirmed shortly before. */
  private untilConfirmed(owner: Owner): Effect.Effect<void> {
    return Effect.andThen(
      Effect.sleep(patientPart * this.ttlMs),
      Effect.suspend(() => owner.locks.size > 0 && this.isConfirmed(owner, livingPart) ? Effect.void : Effect.never)
    )
  }

  private isHeld(owner: Owner, shard: string): boolean {
    const createRevision = owner.locks.get(shard)
    // A commit that was refused for its lock has it forgotten by the others.
    return createRevision !== undefined && this.shards.lockOf(shard) === createRevision
  }

  private isConfirmed({ confirmedMs }: Owner, part = confirmedPart): boolean {
    return this.nowMs() - confirmedMs < part * this.ttlMs
  }

  /** Keeps the locks' lease alive. `check` looks which locks are attached to it still. */
  private readonly keepLocks = Effect.fnUntraced({ self: this }, function*(
    this: Runners,
    owner: Owner,
    check: boolean
  ) {
    const { lockLease: lease } = owner
    if (lease === 0) return
    const before = new Map(owner.locks)
    const sentMs = this.nowMs()
    const kept = yield* Effect.result(Effect.all([
      this.leases.keepAlive(lease),
      check ? this.leases.timeToLive(lease) : Effect.undefined
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
  })

  private release(owner: Owner, shard: string) {
    const key = this.keys.lock(shard)
    this.loses(owner, shard)
    return repeatable(this.kv.transact({
      if: [Compare.value(key).equals(owner.holder)],
      do: [Op.delete(key)]
    }))
  }

  private releaseAll(owner: Owner) {
    const { lockLease: lease } = owner
    if (lease === 0) return Effect.void
    this.loseAll(owner, lease)
    return endLease(this.leases, lease)
  }
}

const addressOf = (holder: string): string | undefined => {
  try {
    return (JSON.parse(holder) as { readonly address?: string }).address
  } catch {
    return undefined
  }
}

/** The storage of runners, with locks that `HeldShards` knows of. */
export const make = Effect.fnUntraced(function*(name: ClusterName) {
  const { availableShardGroups, shardLockExpiration, shardsPerGroup } = yield* ShardingConfig.ShardingConfig
  yield* shardsExpected(shardsPerGroup * availableShardGroups.length)
  const clock = yield* Clock.Clock
  const ttlMs = Math.max(minTtlMs, Math.ceil(Duration.toMillis(Duration.fromInputUnsafe(shardLockExpiration))))
  const keys = new ClusterKeys(name)
  const kv = yield* KeyValue
  const leases = yield* Leases
  const runners = new Runners(
    keys,
    kv,
    leases,
    new RunnerRegistrations(keys, kv, leases, clock, ttlMs),
    yield* HeldShards,
    clock,
    yield* Effect.scope,
    ttlMs,
    randomUUID()
  )
  return RunnerStorage.makeEncoded(runners.encoded)
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
