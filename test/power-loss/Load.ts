/** Clients that write as fast as they are answered, and what they know afterwards. */
import { Effect, Fiber, Latch, Option, Stream } from "effect"
import type { Endpoint, WriteFailure } from "../../src/client/index.ts"
import { KeyValue, Op } from "../../src/client/index.ts"
import * as FlareDb from "../../src/FlareDb.ts"
import type { Random } from "../simulation/Random.ts"

interface Written {
  readonly value: string
  readonly revision: number
}

/** A key that one loop writes again and again. */
interface Counter {
  /** The last value that was acknowledged; its number comes first in it. */
  acknowledged: Written | undefined
  /** The number of the last value that was sent. */
  sent: number
}

const clients = 3
const loopsPerClient = 6

/** What clients were told since the keys were last removed. */
export class Load {
  /** Keys written once, by the round they were written in. */
  private readonly rounds = new Map<number, Map<string, Written>>()
  private readonly refused = new Set<string>()
  private readonly counters = new Map<string, Counter>()
  private revision = 0
  acknowledged = 0
  unknown = 0
  private readonly gate = Latch.makeUnsafe(true)
  private readonly endpoints: ReadonlyArray<Endpoint>
  private readonly random: Random

  constructor(endpoints: ReadonlyArray<Endpoint>, random: Random) {
    this.endpoints = endpoints
    this.random = random
  }

  /** Writes until the answer is called. */
  start(round: number): () => Promise<void> {
    const written = new Map<string, Written>()
    this.rounds.set(round, written)
    const fibers = Array.from({ length: clients }, (_, client) =>
      Effect.runFork(
        Effect.forEach(
          Array.from({ length: loopsPerClient }, (_, loop) => `${client}${loop}`),
          (name) => this.loop(round, name, written),
          { concurrency: "unbounded", discard: true }
        ).pipe(Effect.provide(this.client({ sessions: client === 0 })))
      ))
    return async () => {
      await Effect.runPromise(Effect.forEach(fibers, Fiber.interrupt, { discard: true }))
    }
  }

  /** No further write begins until {@link resume}. */
  pause(): void {
    this.gate.closeUnsafe()
  }

  resume(): void {
    this.gate.openUnsafe()
  }

  /** Whatever clients were told and is not so: in this round, or since keys were last removed. */
  async problems(since: number): Promise<ReadonlyArray<string>> {
    return Effect.runPromise(
      this.compare(since).pipe(
        Effect.provide(this.client({ requestTimeoutMs: 30_000 })),
        Effect.catch((failure) => Effect.succeed([`reading everything back failed: ${failure.message}`]))
      )
    )
  }

  /** Removes the keys of earlier rounds. */
  async clear(): Promise<void> {
    await Effect.runPromise(
      // One call may remove 10,000 keys, which fast nodes write in fewer rounds.
      Effect.flatMap(KeyValue, (kv) =>
        Effect.forEach(
          this.rounds.keys(),
          (round) => kv.transact({ do: [Op.deletePrefix(`w/${round}/`)] }).pipe(Effect.retry({ times: 3 })),
          { discard: true }
        )).pipe(Effect.provide(this.client({ requestTimeoutMs: 30_000 })))
    )
    this.rounds.clear()
    this.refused.clear()
  }

  /** The nodes begin again with nothing: whatever was written before is not expected any more. */
  forget(): void {
    this.rounds.clear()
    this.refused.clear()
    this.counters.clear()
    this.revision = 0
  }

  private client(options: { readonly sessions?: boolean; readonly requestTimeoutMs?: number }) {
    return FlareDb.layerClient({
      endpoints: this.endpoints,
      requestTimeoutMs: 10_000,
      connectTimeoutMs: 500,
      ...options
    })
  }

  private readonly loop = Effect.fnUntraced(function*(
    this: Load,
    round: number,
    name: string,
    written: Map<string, Written>
  ) {
    const kv = yield* KeyValue
    const { random } = this
    const counter = this.counters.get(name) ?? { acknowledged: undefined, sent: 0 }
    this.counters.set(name, counter)
    const took = (keys: ReadonlyArray<string>, value: string, revision: number): void => {
      this.revision = Math.max(this.revision, revision)
      this.acknowledged += 1
      for (const key of keys) written.set(key, { value, revision })
    }
    const refused = (keys: ReadonlyArray<string>) => (failure: WriteFailure) =>
      Effect.sync(() => {
        if (failure._tag === "Indeterminate" || failure._tag === "SessionExpired") this.unknown += 1
        else for (const key of keys) this.refused.add(key)
      })
    for (let i = 0;; i++) {
      yield* this.gate.await
      const key = `w/${round}/${name}/${i}`
      const length = random.chance(0.05) ? 20_000 : 50 + random.below(1_500)
      const value = `${key} `.padEnd(length, "x")
      const kind = random.weighted([["once", 70], ["both", 15], ["again", 15]])
      if (kind === "once") {
        yield* kv.put(key, value).pipe(
          Effect.map(({ revision }) => took([key], value, revision)),
          Effect.catch(refused([key]))
        )
      } else if (kind === "both") {
        const keys = [`${key}a`, `${key}b`]
        yield* kv.transact({ do: keys.map((one) => Op.put(one, value)) }).pipe(
          Effect.map(({ revision }) => took(keys, value, revision)),
          Effect.catch(refused(keys))
        )
      } else {
        counter.sent += 1
        const next = `${counter.sent} ${value}`
        yield* kv.put(`again/${name}`, next).pipe(
          Effect.map(({ revision }) => {
            took([], next, revision)
            counter.acknowledged = { value: next, revision }
          }),
          Effect.catch(refused([]))
        )
      }
    }
  })

  private readonly compare = Effect.fnUntraced(function*(this: Load, since: number) {
    const kv = yield* KeyValue
    const problems: Array<string> = []
    for (const [round, written] of this.rounds) {
      if (round < since) continue
      const entries = yield* Stream.runCollect(kv.scanAll(`w/${round}/`, { limit: 500 }))
      const found = new Map(entries.map((entry) => [entry.keyText, entry]))
      let lost = 0
      for (const [key, { revision, value }] of written) {
        const entry = found.get(key)
        if (entry === undefined) lost += 1
        else if (entry.text !== value) problems.push(`${key} has another value`)
        else if (entry.modRevision !== revision) {
          problems.push(`${key} was written in revision ${revision} and has ${entry.modRevision}`)
        }
      }
      if (lost > 0) problems.push(`of ${written.size} keys acknowledged in round ${round}, ${lost} are lost`)
      for (const [key, entry] of found) {
        if (this.refused.has(key)) problems.push(`${key} is there, and its writer was told that it is not`)
        // Both or none, in one revision.
        const other = key.endsWith("a") ? found.get(`${key.slice(0, -1)}b`) : entry
        if (other?.modRevision !== entry.modRevision) problems.push(`half of a transaction is there: ${key}`)
      }
    }
    for (const [name, { acknowledged, sent }] of this.counters) {
      if (acknowledged === undefined) continue
      const entry = Option.getOrUndefined(yield* kv.get(`again/${name}`))
      const number = entry === undefined ? 0 : Number.parseInt(entry.text)
      const least = Number.parseInt(acknowledged.value)
      if (number < least) problems.push(`again/${name} is ${number}, and ${least} was acknowledged`)
      else if (number > sent) problems.push(`again/${name} is ${number}, which nobody wrote`)
      else if (number === least && entry?.modRevision !== acknowledged.revision) {
        problems.push(`again/${name} has revision ${entry?.modRevision} instead of ${acknowledged.revision}`)
      }
    }
    const { revision } = yield* kv.put("now", String(since))
    if (revision <= this.revision) problems.push(`a write took revision ${revision}, after ${this.revision} was taken`)
    this.revision = Math.max(this.revision, revision)
    return problems
  })
}
