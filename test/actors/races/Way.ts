/**
 * What one process asks of the store and is told: late by chance, not at all while the process is stopped, and sometimes
 * without the answer to a write that took effect. Keeps who wrote which revision, which nobody else knows.
 */
import { Effect, Latch, Layer } from "effect"
import { KeyValue } from "../../../src/client/KeyValue.ts"
import { Leases } from "../../../src/client/Lease.ts"
import { Indeterminate } from "../../../src/FlareDbError.ts"
import type { Random } from "../../simulation/Random.ts"
import type { Services } from "../Stores.ts"

/** Longest delay of a question, and of an answer, in milliseconds. */
const lateMs = 30

/** Chance that the answer to a write is lost. */
const lost = 0.08

export class Way {
  readonly name: string
  /** The id of the reply that the process is about to store, and the one that it wants to clear, by request. */
  readonly replying = new Map<string, string>()
  readonly clearing = new Map<string, string>()
  private readonly random: Random
  private readonly authors: Map<number, Way>
  private readonly runs = Latch.makeUnsafe(true)
  /** Nothing is lost or late any more. */
  calm = false

  constructor(name: string, random: Random, authors: Map<number, Way>) {
    this.name = name
    this.random = random
    this.authors = authors
  }

  stop(): void {
    this.runs.closeUnsafe()
  }

  goOn(): void {
    this.runs.openUnsafe()
  }

  /** Waits for as long as the process is stopped. */
  get running(): Effect.Effect<void> {
    return this.runs.await
  }

  private readonly pass = Effect.suspend(() =>
    this.calm ? this.runs.await : Effect.andThen(Effect.sleep(this.random.below(lateMs)), this.runs.await)
  )

  private read<A, E, R>(asked: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.andThen(this.pass, Effect.tap(asked, () => this.pass))
  }

  private write<A, E, R>(
    asked: Effect.Effect<A, E, R>,
    revision: (answer: A) => number | undefined
  ): Effect.Effect<A, E | Indeterminate, R> {
    return Effect.andThen(
      this.pass,
      Effect.flatMap(asked, (answer) => {
        const written = revision(answer)
        if (written !== undefined) this.authors.set(written, this)
        const isLost = !this.calm && this.random.chance(lost)
        return Effect.andThen(
          this.pass,
          isLost ? Effect.fail(new Indeterminate({ reason: "the answer was lost" })) : Effect.succeed(answer)
        )
      })
    )
  }

  /** The store as the process has it. */
  over(services: Services): Services {
    const layer = Layer.mergeAll(
      Layer.effect(
        KeyValue,
        Effect.map(KeyValue, (kv) =>
          KeyValue.of({
            ...kv,
            get: (...args) => this.read(kv.get(...args)),
            scan: (...args) => this.read(kv.scan(...args)),
            put: (...args) => this.write(kv.put(...args), ({ revision }) => revision),
            delete: (...args) =>
              this.write(kv.delete(...args), ({ deleted, revision }) => deleted ? revision : undefined),
            transact: (txn, options) =>
              (txn.do?.length ?? 0) + (txn.else?.length ?? 0) === 0
                ? this.read(kv.transact(txn, options))
                : this.write(kv.transact(txn, options), ({ revision, succeeded }) => succeeded ? revision : undefined)
          }))
      ),
      Layer.effect(
        Leases,
        Effect.map(Leases, (leases) =>
          Leases.of({
            ...leases,
            grant: (...args) => this.read(leases.grant(...args)),
            keepAlive: (...args) => this.read(leases.keepAlive(...args)),
            revoke: (...args) => this.write(leases.revoke(...args), () => undefined),
            timeToLive: (...args) => this.read(leases.timeToLive(...args))
          }))
      )
    )
    return Layer.provideMerge(layer, services)
  }
}
