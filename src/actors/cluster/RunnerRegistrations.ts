/**
 * Which runners there are. A runner's row lives on a lease that nothing but Effect's refresh keeps alive, and its
 * machine id on another one, so that an address gets the same one again.
 */
import type { Clock, Scope } from "effect"
import { Effect, Random, Semaphore } from "effect"
import type { KeyValue, KeyValueEntry, WriteFailure } from "../../client/KeyValue.ts"
import type { Leases } from "../../client/Lease.ts"
import { Compare, Op } from "../../client/Txn.ts"
import { monotonicMsOf } from "../../Monotonic.ts"
import type { ClusterKeys } from "./ClusterKeys.ts"
import { NoMachineId, RegistrationContended, repeatable, UnknownRow } from "./Failures.ts"
import type { ShardCount } from "./ShardCount.ts"

/** Machine ids that a Snowflake has room for. */
const machines = 1_024

/** How long a machine id stays with its address after the runner is gone, in milliseconds. */
const machineTtlMs = 3_600_000

/**
 * Times that a registration meets others before it fails. Each time another runner got a machine id, and the ones that
 * are left try different ids: a thousand that begin at once need about twenty.
 */
const attempts = 128

interface Registration {
  readonly runner: string
  readonly healthy: boolean
  readonly machine: number
  readonly lease: number
  readonly machineLease: number
  machineAliveMs: number
}

interface RunnerRow {
  readonly runner: string
  readonly healthy: boolean
}

/** What is known of one address. */
interface Owner {
  registration: Registration | undefined
  /** One registration at a time. */
  readonly turn: Semaphore.Semaphore
}

export class RunnerRegistrations {
  private readonly keys: ClusterKeys
  private readonly kv: KeyValue["Service"]
  private readonly leases: Leases["Service"]
  private readonly clock: Clock.Clock
  private readonly ttlMs: number
  private readonly shardCount: ShardCount
  private readonly scope: Scope.Scope
  private readonly owners = new Map<string, Owner>()
  /** Why the last registration failed, as far as it was logged. */
  private told = ""

  constructor(
    keys: ClusterKeys,
    kv: KeyValue["Service"],
    leases: Leases["Service"],
    clock: Clock.Clock,
    ttlMs: number,
    shardCount: ShardCount,
    scope: Scope.Scope
  ) {
    this.shardCount = shardCount
    this.scope = scope
    this.keys = keys
    this.kv = kv
    this.leases = leases
    this.clock = clock
    this.ttlMs = ttlMs
  }

  private own(address: string): Owner {
    const known = this.owners.get(address)
    if (known !== undefined) return known
    const owner: Owner = { registration: undefined, turn: Semaphore.makeUnsafe(1) }
    this.owners.set(address, owner)
    return owner
  }

  private nowMs(): number {
    return monotonicMsOf(this.clock)
  }

  readonly runners = Effect.suspend(() =>
    Effect.gen({ self: this }, function*() {
      const found: Array<readonly [runner: string, healthy: boolean]> = []
      let cursor: Uint8Array | undefined
      do {
        const page = yield* this.kv.scan(this.keys.runners, { cursor })
        for (const entry of page.entries) {
          const row = yield* runnerRow(entry)
          found.push([row.runner, row.healthy])
        }
        cursor = page.cursor
      } while (cursor !== undefined)
      return found
    })
  )

  /**
   * Puts the runner, and a machine id that is free unless the address has one: the lowest one, or any one after others
   * came between. Gives the machine id. A failure is logged when it is another one than before: Sharding does not log
   * it, and tries again every second.
   */
  register(address: string, runner: string, healthy: boolean) {
    return Effect.suspend(() => {
      const granted: Array<number> = []
      return this.put(address, runner, healthy, granted).pipe(
        Effect.onError(() => Effect.forkIn(this.endLeases(granted), this.scope)),
        Effect.tapError((failure) => {
          if (this.told === failure.message) return Effect.void
          this.told = failure.message
          return Effect.logError(
            `the runner ${address} is not registered, and runs nothing until it is: ${failure.message}`
          )
        }),
        Effect.tap(() =>
          Effect.sync(() => {
            this.told = ""
          })
        )
      )
    })
  }

  private readonly put = Effect.fnUntraced({ self: this }, function*(
    this: RunnerRegistrations,
    address: string,
    runner: string,
    healthy: boolean,
    granted: Array<number>
  ) {
    const own = this.own(address)
    const { registration } = own
    const startedMs = this.nowMs()
    for (let attempt = 0; attempt < attempts; attempt++) {
      const count = yield* this.shardCount.registration(address)
      const { entries } = yield* this.kv.scan(this.keys.machines, { limit: machines })
      const taken = entries.find(({ text }) => text === address)
      const machine = taken === undefined
        ? yield* this.freeMachine(entries, attempt > 0)
        : this.keys.machineOf(taken.keyText)
      if (machine === undefined) return yield* new NoMachineId({ machines })
      const [lease = 0, machineLease = 0] = yield* this.grant(granted)
      const key = this.keys.machine(machine)
      const row: RunnerRow = { runner, healthy }
      const { succeeded } = yield* repeatable(this.kv.transact({
        if: [taken === undefined ? Compare.missing(key) : Compare.value(key).equals(address), count.condition],
        do: [
          count.put,
          Op.put(key, address, { lease: machineLease }),
          Op.put(this.keys.runner(address), JSON.stringify(row), { lease })
        ]
      })).pipe(
        // It took longer than a runner lives. The other lease is not needed either.
        Effect.catchTag("LeaseNotFound", () => Effect.as(this.endLeases(granted.splice(0)), { succeeded: false }))
      )
      // Another runner took it, or the answer was lost and the next attempt finds it.
      if (!succeeded) continue
      own.registration = {
        runner,
        healthy,
        machine,
        lease,
        machineLease,
        machineAliveMs: startedMs
      }
      granted.length = 0
      // Its rows have moved to the new leases.
      if (registration !== undefined) yield* this.endLeases([registration.lease, registration.machineLease])
      return machine
    }
    return yield* new RegistrationContended({ address, attempts })
  })

  /** The leases of the runner and of its machine id. They stand in `granted` until they are in use. */
  private readonly grant = Effect.fnUntraced({ self: this }, function*(
    this: RunnerRegistrations,
    granted: Array<number>
  ) {
    for (const ttlMs of [this.ttlMs, machineTtlMs].slice(granted.length)) {
      granted.push((yield* this.leases.grant(ttlMs)).id)
    }
    return [...granted]
  })

  /** The lowest machine id that is free, or any one of them. */
  private freeMachine(entries: ReadonlyArray<KeyValueEntry>, isAny: boolean): Effect.Effect<number | undefined> {
    const taken = new Set(entries.map(({ keyText }) => this.keys.machineOf(keyText)))
    const free = Array.from({ length: machines }, (_, id) => id).filter((id) => !taken.has(id))
    return isAny && free.length > 1
      ? Effect.map(Random.nextIntBetween(0, free.length - 1), (index) => free[index])
      : Effect.succeed(free[0])
  }

  /** What is not revoked ends by itself. */
  private endLeases(ids: ReadonlyArray<number>): Effect.Effect<void> {
    return Effect.forEach(ids, (id) => Effect.ignore(this.leases.revoke(id)), {
      concurrency: 2,
      discard: true
    })
  }

  /** The runner goes with its lease; its address keeps the machine id for a while. */
  unregister(address: string): Effect.Effect<void, WriteFailure> {
    return Effect.suspend(() => {
      const own = this.own(address)
      const { registration } = own
      own.registration = undefined
      return registration === undefined
        ? Effect.asVoid(repeatable(this.kv.delete(this.keys.runner(address))))
        : endLease(this.leases, registration.lease)
    })
  }

  readonly setHealth = Effect.fnUntraced({ self: this }, function*(
    this: RunnerRegistrations,
    address: string,
    healthy: boolean
  ) {
    const key = this.keys.runner(address)
    const own = this.owners.get(address)
    if (own?.registration !== undefined) own.registration = { ...own.registration, healthy }
    for (let attempt = 0; attempt < attempts; attempt++) {
      const found = yield* this.kv.get(key)
      if (found._tag === "None") return
      const entry = found.value
      const row = yield* runnerRow(entry)
      if (row.healthy === healthy) return
      const { succeeded } = yield* repeatable(this.kv.transact({
        if: [Compare.modRevision(key).equals(entry.modRevision)],
        do: [Op.put(key, JSON.stringify({ ...row, healthy }), { lease: entry.lease })]
      })).pipe(
        // The runner has just gone.
        Effect.catchTag("LeaseNotFound", () => Effect.succeed({ succeeded: true }))
      )
      if (succeeded) return
    }
  })

  /** Keeps the runner alive, and puts it back when it was away for too long. Asks the store in any case. */
  keep(address: string) {
    const own = this.own(address)
    const { registration } = own
    if (registration === undefined) return Effect.asVoid(this.kv.get(this.keys.runner(address)))
    const { healthy, lease, machineAliveMs, machineLease, runner } = registration
    const sentMs = this.nowMs()
    const keepMachine = sentMs - machineAliveMs < machineTtlMs / 4
      ? Effect.void
      : Effect.map(this.leases.keepAlive(machineLease), () => {
        registration.machineAliveMs = sentMs
      })
    return Effect.andThen(this.leases.keepAlive(lease), keepMachine).pipe(
      Effect.catchTag(
        "LeaseNotFound",
        () =>
          own.turn.withPermit(
            Effect.suspend(() =>
              own.registration === registration ? Effect.asVoid(this.register(address, runner, healthy)) : Effect.void
            )
          )
      ),
      Effect.asVoid
    )
  }
}

/** Revokes a lease, unless it has ended by itself. */
export const endLease = (leases: Leases["Service"], lease: number): Effect.Effect<void, WriteFailure> =>
  Effect.catchTag(Effect.asVoid(repeatable(leases.revoke(lease))), "LeaseNotFound", () => Effect.void)

const runnerRow = (entry: KeyValueEntry): Effect.Effect<RunnerRow, UnknownRow> =>
  Effect.try({
    try: () => JSON.parse(entry.text) as RunnerRow,
    catch: () => new UnknownRow({ key: entry.keyText })
  })
