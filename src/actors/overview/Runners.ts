/** Runners and the shards they hold. */
import { Effect, Stream } from "effect"
import type { ReadFailure } from "../../client/KeyValue.ts"
import type { Budget, Reader } from "./Reader.ts"
import { decodeName } from "../persistence/Keys.ts"
import { savedMsOf } from "./SavedTime.ts"

/** A runner that is registered or holds locks. */
export interface RunnerView {
  /** `host:port`. */
  readonly address: string
  /** Whether it is registered. A runner that ended may still hold locks until they expire. */
  readonly registered: boolean
  /** What the other runners think of it; `false` for one that is not registered. */
  readonly healthy: boolean
  readonly groups: ReadonlyArray<string>
  readonly weight: number | undefined
  /** Its part of the ids of messages; an address keeps it for an hour. */
  readonly machineId: number | undefined
  readonly shards: number
  /** Milliseconds since it last said that it is there, and until it counts as gone unless it does so again. */
  readonly refreshedAgoMs: number | undefined
  readonly endsInMs: number | undefined
}

/** A shard: its owner, and the messages that wait. */
export interface ShardView {
  /** `group:number`. */
  readonly shard: string
  /** The address of the runner that holds the lock. */
  readonly owner: string | undefined
  /** The revision that created the lock: the fencing token of what its owner commits. */
  readonly token: number | undefined
  /** Milliseconds since the owner last refreshed its locks, and until they end unless it does so again. */
  readonly refreshedAgoMs: number | undefined
  readonly endsInMs: number | undefined
  /** Requests that have no exit, those that are due later among them. */
  readonly messages: number
  /** Whether more messages may wait than that: counting ended before them. */
  readonly atLeast: boolean
  /** When the oldest of them was sent, in milliseconds since 1970. */
  readonly oldestMs: number | undefined
}

/** Shards whose messages are not counted that are looked for at most. */
const maxUncounted = 1_024

interface Runner {
  readonly groups?: ReadonlyArray<string>
  readonly weight?: number
}

/** Parts of what other programs may have written. */
const parsed = (text: string): Readonly<Record<string, unknown>> => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "object" && value !== null ? value as Readonly<Record<string, unknown>> : {}
  } catch {
    return {}
  }
}

/** The address in a lock. */
export const ownerOf = (text: string): string => {
  const { address } = parsed(text)
  return typeof address === "string" ? address : "unreadable"
}

interface Lock {
  readonly owner: string
  readonly token: number
  readonly lease: number
}

const locksOf = Effect.fnUntraced(function*(reader: Reader) {
  const locks = new Map<string, Lock>()
  yield* reader.each(reader.keys.locks, ({ createRevision, keyText, lease, text }) => {
    locks.set(reader.keys.shardOfLock(keyText), { owner: ownerOf(text), token: createRevision, lease })
  })
  return locks
})

interface Times {
  readonly refreshedAgoMs: number | undefined
  readonly endsInMs: number | undefined
}

/** What is left of leases; a few, because the locks of a runner share one. */
const leasesOf = Effect.fnUntraced(function*(reader: Reader, ids: Iterable<number>) {
  const leases = yield* Effect.forEach(
    new Set(ids),
    (id) => Effect.map(reader.lease(id), (lease) => [id, lease] as const),
    {
      concurrency: 8
    }
  )
  return new Map(leases.map(([id, lease]): [number, Times] => [id, {
    refreshedAgoMs: lease === undefined ? undefined : lease.ttlMs - lease.remainingMs,
    endsInMs: lease?.remainingMs
  }]))
})

/** Every runner that is registered or holds a lock, by its address. */
export const runners = Effect.fnUntraced(function*(
  reader: Reader
): Effect.fn.Return<ReadonlyArray<RunnerView>, ReadFailure> {
  const held = new Map<string, number>()
  for (const { owner } of (yield* locksOf(reader)).values()) held.set(owner, (held.get(owner) ?? 0) + 1)
  const machines = new Map<string, number>()
  yield* reader.each(reader.keys.machines, ({ keyText, text }) => machines.set(text, reader.keys.machineOf(keyText)))
  const rows: Array<{ readonly address: string; readonly lease: number; readonly text: string }> = []
  yield* reader.each(reader.keys.runners, ({ keyText, lease, text }) => {
    rows.push({ address: reader.keys.addressOf(keyText), lease, text })
  })
  const leases = yield* leasesOf(reader, rows.map(({ lease }) => lease))
  const registered = rows.map(({ address, lease, text }): RunnerView => {
    const row = parsed(text)
    const runner: Runner = typeof row["runner"] === "string" ? parsed(row["runner"]) : {}
    return {
      address,
      registered: true,
      healthy: row["healthy"] === true,
      groups: runner.groups ?? [],
      weight: runner.weight,
      machineId: machines.get(address),
      shards: held.get(address) ?? 0,
      refreshedAgoMs: leases.get(lease)?.refreshedAgoMs,
      endsInMs: leases.get(lease)?.endsInMs
    }
  })
  const known = new Set(rows.map(({ address }) => address))
  const gone = [...held].filter(([address]) => !known.has(address)).map(([address, shards]): RunnerView => ({
    address,
    registered: false,
    healthy: false,
    groups: [],
    weight: undefined,
    machineId: machines.get(address),
    shards,
    refreshedAgoMs: undefined,
    endsInMs: undefined
  }))
  return [...registered, ...gone].sort((a, b) => a.address < b.address ? -1 : 1)
})

const byShard = (a: string, b: string): number => {
  const [groupA = "", numberA] = split(a)
  const [groupB = "", numberB] = split(b)
  return groupA === groupB ? Number(numberA) - Number(numberB) : groupA < groupB ? -1 : 1
}

const split = (shard: string): readonly [group: string, number: string] => {
  const at = shard.lastIndexOf(":")
  return [shard.slice(0, at), shard.slice(at + 1)]
}

/** How many shards there are, and how many of their messages are counted. */
export interface ShardsOptions {
  /**
   * How many shards each group has (`SHARDS_PER_GROUP` of the runners). Without it only shards are given that are
   * locked or have messages.
   */
  readonly shardsPerGroup?: number | undefined
  /** Messages to count at most, in all. */
  readonly budget?: Budget | undefined
}

/** Shards in order: those that are locked, those that have messages, and with `shardsPerGroup` all there should be. */
export const shards = Effect.fnUntraced(function*(
  reader: Reader,
  { budget, shardsPerGroup }: ShardsOptions = {}
): Effect.fn.Return<ReadonlyArray<ShardView>, ReadFailure> {
  const { keys } = reader
  const locks = yield* locksOf(reader)
  const queued = new Map<string, { messages: number; readonly oldestMs: number }>()
  let last = ""
  const complete = yield* reader.each(keys.queues, ({ keyText }) => {
    const [shard, id, part] = keys.queuedOf(keyText)
    last = shard
    if (part !== "r") return
    const known = queued.get(shard)
    if (known === undefined) queued.set(shard, { messages: 1, oldestMs: savedMsOf(id) })
    else known.messages++
  }, { budget, keysOnly: true })
  // Of what lies behind, a row of each shard says that there is something.
  const uncounted = new Set<string>()
  if (!complete) {
    yield* Stream.runForEach(
      Stream.take(reader.names(keys.queues), maxUncounted),
      (name) => Effect.sync(() => queued.has(decodeName(name)) || uncounted.add(decodeName(name)))
    )
    if (last !== "") uncounted.add(last)
  }
  const leases = yield* leasesOf(reader, [...locks.values()].map(({ lease }) => lease))
  const names = new Set([...locks.keys(), ...queued.keys(), ...uncounted])
  if (shardsPerGroup !== undefined) {
    const groups = new Set([...names].map((shard) => split(shard)[0]))
    for (const { groups: own } of yield* runners(reader)) for (const group of own) groups.add(group)
    for (const group of groups) for (let id = 1; id <= shardsPerGroup; id++) names.add(`${group}:${id}`)
  }
  return [...names].sort(byShard).map((shard): ShardView => {
    const lock = locks.get(shard)
    const times = lock === undefined ? undefined : leases.get(lock.lease)
    const { messages = 0, oldestMs } = queued.get(shard) ?? {}
    return {
      shard,
      owner: lock?.owner,
      token: lock?.token,
      refreshedAgoMs: times?.refreshedAgoMs,
      endsInMs: times?.endsInMs,
      messages,
      atLeast: uncounted.has(shard),
      oldestMs
    }
  })
})
