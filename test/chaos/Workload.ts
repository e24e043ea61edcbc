/**
 * Clients that read and write the same few keys at once, and note what they asked and what they were told. The keys are
 * replaced every few seconds, so that each has a history of a size that can be judged; two clients in four have sessions.
 */
import { Effect, Option, Stream } from "effect"
import { Compare, KeyValue, Op } from "../../src/client/index.ts"
import type { ClientOptions, KeyValueEntry, WriteFailure } from "../../src/client/index.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import type { Action, Observation, Outcome, Value } from "../linearizability/History.ts"
import * as H from "../linearizability/History.ts"
import type { RevisedWrite } from "../linearizability/Revisions.ts"
import type { Random } from "../simulation/Random.ts"

export interface WorkloadOptions {
  readonly random: Random
  /** How clients reach the nodes. */
  readonly client: ClientOptions
  /** Clients, each with connections of its own. */
  readonly clients: number
  /** Loops in each client. */
  readonly fibers: number
  readonly nowMs: () => number
  /** Asked between operations. */
  readonly stopped: () => boolean
  /** Reads from whatever a node has: wrong, and to be found so. */
  readonly stale: boolean
}

const keysAtATime = 6
const keyEpochMs = 4_000
const groupEpochMs = 1_000

export const ledgerPrefix = "ledger/"

/** Everything the clients were told. */
export class Ledger {
  readonly recorder: H.Recorder
  readonly revised: Array<RevisedWrite> = []
  /** Keys that are written once, with what the answer said. */
  readonly acknowledged = new Map<string, string>()
  readonly refused = new Set<string>()
  readonly keys = new Set<string>()
  readonly counts = { ok: 0, failed: 0, unknown: 0 }
  /** When the last write was acknowledged. */
  lastOkMs = 0

  constructor(nowMs: () => number) {
    this.recorder = new H.Recorder(nowMs)
  }
}

type Client = KeyValue["Service"]

/** What an operation did to the store, as the history has it, and the revision that it took if it took one. */
interface Answer {
  readonly succeeded: boolean
  readonly seen: ReadonlyArray<Observation>
  readonly revision?: number | undefined
}

const valueOf = (entry: Option.Option<KeyValueEntry>): Value => Option.isSome(entry) ? entry.value.text : null

/** Failures that say the operation did not take effect; a read never does. */
const outcomeOf = (failure: WriteFailure, reads: boolean): Outcome =>
  (failure._tag === "Indeterminate" || failure._tag === "SessionExpired") && !reads
    ? { _tag: "Unknown", reason: failure.message }
    : { _tag: "Failed", reason: failure.message }

const noted = (
  ledger: Ledger,
  client: string,
  action: Action,
  asked: Effect.Effect<Answer, WriteFailure>,
  nowMs: () => number
): Effect.Effect<Outcome> =>
  Effect.suspend(() => {
    const end = ledger.recorder.begin(client, action)
    const writes = action.writes.length > 0
    return asked.pipe(
      Effect.map((answer): Outcome => {
        end(H.ok(answer.seen, answer.succeeded))
        ledger.counts.ok += 1
        ledger.lastOkMs = nowMs()
        const { call, end: ended } = ledger.recorder.operations.at(-1) as H.Operation
        if (writes && answer.revision !== undefined) {
          ledger.revised.push({ name: `${client} ${action.name}`, call, end: ended, revision: answer.revision })
        }
        return H.ok()
      }),
      Effect.catch((failure) =>
        Effect.sync(() => {
          const outcome = outcomeOf(failure, !writes)
          end(outcome)
          ledger.counts[outcome._tag === "Unknown" ? "unknown" : "failed"] += 1
          return outcome
        })
      )
    )
  })

const getOp = (kv: Client, key: string, stale = false): Effect.Effect<Answer, WriteFailure> =>
  Effect.map(
    kv.get(key, { consistency: stale ? "stale" : "linearizable" }),
    (entry) => ({ succeeded: true, seen: [H.saw(key, valueOf(entry))] })
  )

const compareAndSetOp = (
  kv: Client,
  key: string,
  expected: Value,
  value: string
): Effect.Effect<Answer, WriteFailure> =>
  Effect.map(
    kv.transact({
      if: [expected === null ? Compare.missing(key) : Compare.value(key).equals(expected)],
      do: [Op.put(key, value)],
      else: [Op.get(key)]
    }),
    (txn) =>
      txn.succeeded
        ? { succeeded: true, seen: [], revision: txn.revision }
        : { succeeded: false, seen: [H.saw(key, valueOf(txn.results[0]))] }
  )

const getAllOp = (kv: Client, keys: ReadonlyArray<string>): Effect.Effect<Answer, WriteFailure> =>
  Effect.map(kv.transact({ do: keys.map((key) => Op.get(key)) }), (txn) => ({
    succeeded: true,
    seen: keys.map((key, i) => H.saw(key, valueOf(txn.results[i] as Option.Option<KeyValueEntry>)))
  }))

const putAllOp = (
  kv: Client,
  writes: ReadonlyArray<readonly [key: string, value: Value]>
): Effect.Effect<Answer, WriteFailure> =>
  Effect.map(
    kv.transact({ do: writes.map(([key, value]) => value === null ? Op.delete(key) : Op.put(key, value)) }),
    ({ revision }) => ({ succeeded: true, seen: [], revision: writes[0]?.[1] === null ? undefined : revision })
  )

/** One loop of one client. */
const loop = Effect.fnUntraced(function*(ledger: Ledger, options: WorkloadOptions, client: string) {
  const { nowMs, random } = options
  const kv = yield* KeyValue
  const lastSeen = new Map<string, Value>()
  let written = 0
  while (!options.stopped()) {
    const key = `r/${Math.floor(nowMs() / keyEpochMs)}/${random.below(keysAtATime)}`
    const group = ["a", "b"].map((name) => `t/${Math.floor(nowMs() / groupEpochMs)}/${name}`)
    const value = `${client}.${++written}`
    const note = (action: Action, asked: Effect.Effect<Answer, WriteFailure>) => {
      for (const name of action.name.startsWith("put t/") || action.name.startsWith("get t/") ? group : [key]) {
        ledger.keys.add(name)
      }
      return noted(ledger, client, action, asked, nowMs)
    }
    const kind = random.weighted([
      ["get", 30],
      ["put", 24],
      ["set", 18],
      ["delete", 6],
      ["getAll", 8],
      ["putAll", 6],
      ["ledger", 10]
    ])
    switch (kind) {
      case "get":
        yield* note(
          H.get(key),
          Effect.tap(getOp(kv, key, options.stale), ({ seen: [first] }) =>
            Effect.sync(() => {
              if (first?._tag === "Value") lastSeen.set(key, first.value)
            }))
        )
        break
      case "put":
        yield* note(
          H.put(key, value),
          Effect.map(kv.put(key, value), ({ created, revision }) => ({
            succeeded: true,
            seen: [H.existed(key, !created)],
            revision
          }))
        )
        break
      case "set": {
        const expected = lastSeen.get(key) ?? null
        yield* note(H.compareAndSet(key, expected, value), compareAndSetOp(kv, key, expected, value))
        break
      }
      case "delete":
        yield* note(
          H.remove(key),
          Effect.map(kv.delete(key), ({ deleted, revision }) => ({
            succeeded: true,
            seen: [H.existed(key, deleted)],
            revision: deleted ? revision : undefined
          }))
        )
        break
      case "getAll":
        yield* note(H.getAll(group), getAllOp(kv, group))
        break
      case "putAll": {
        const writes = group.map((one) => [one, value] as const)
        yield* note(H.putAll(writes), putAllOp(kv, writes))
        break
      }
      case "ledger": {
        const name = `${ledgerPrefix}${client}/${written}`
        const outcome = yield* noted(
          ledger,
          client,
          H.put(name, value),
          Effect.map(kv.put(name, value), ({ created, revision }) => ({
            succeeded: true,
            seen: [H.existed(name, !created)],
            revision
          })),
          nowMs
        )
        if (outcome._tag === "Ok") ledger.acknowledged.set(name, value)
        else if (outcome._tag === "Failed") ledger.refused.add(name)
        break
      }
    }
    // Some time to think, so that a history of minutes stays one that can be judged.
    yield* Effect.sleep(random.below(12))
  }
})

/** Runs all clients until their time is over. */
export const run = (ledger: Ledger, options: WorkloadOptions): Effect.Effect<void> =>
  Effect.forEach(
    Array.from({ length: options.clients }, (_, i) => i),
    (i) =>
      Effect.forEach(
        Array.from({ length: options.fibers }, (_, j) => j),
        (j) => loop(ledger, options, `c${i}f${j}`),
        { concurrency: "unbounded", discard: true }
      ).pipe(Effect.provide(FlareDb.layerClient({
        ...options.client,
        requestTimeoutMs: 3_000,
        connectTimeoutMs: 500,
        attemptTimeoutMs: 800,
        sessions: i % 2 === 0
      }))),
    { concurrency: "unbounded", discard: true }
  ).pipe(Effect.orDie)

/** Writes large values to one key until it is enough; nobody reads them. */
export const press = (options: WorkloadOptions, enough: AbortSignal) =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    const value = new Uint8Array(256 * 1024).fill(0x78)
    while (!enough.aborted) yield* Effect.ignore(kv.put("pressed", value))
  }).pipe(Effect.provide(FlareDb.layerClient({ ...options.client, requestTimeoutMs: 3_000 })))

/** Reads every key once more, into the same history, and everything in the ledger. */
export const readBack = (ledger: Ledger, options: WorkloadOptions) =>
  Effect.gen(function*() {
    const kv = yield* KeyValue
    for (const key of ledger.keys) {
      const outcome = yield* noted(ledger, "end", H.get(key), getOp(kv, key), options.nowMs)
      if (outcome._tag !== "Ok") return yield* Effect.die(new Error(`the last read of ${key} failed`))
    }
    const entries = yield* Stream.runCollect(kv.scanAll(ledgerPrefix))
    const found = new Map([...entries].map((entry) => [entry.keyText, entry.text]))
    const lost = [...ledger.acknowledged].filter(([key, value]) => found.get(key) !== value).map(([key]) => key)
    const undead = [...ledger.refused].filter((key) => found.has(key))
    return { lost, undead, found: found.size }
  }).pipe(Effect.provide(FlareDb.layerClient({ ...options.client, requestTimeoutMs: 20_000 })))
