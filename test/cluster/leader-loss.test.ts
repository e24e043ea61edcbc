/** Leaders are killed again and again while clients write: nothing acknowledged is lost, and writes resume. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Option, Random } from "effect"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { eventually } from "../Eventually.ts"
import * as Cluster from "./Cluster.ts"
import { figure, report } from "./Figures.ts"

const kills = 8
const writers = 8

/** What the writers know: the last acknowledged value of each key, and the values whose fate is unknown. */
class Ledger {
  readonly acknowledged = new Map<string, number>()
  readonly uncertain = new Map<string, Set<number>>()
  lastAcknowledgedAt = performance.now()
  /** The longest time without an acknowledgement since `beginGap`. */
  private gapSince = performance.now()
  private longest = 0
  writes = 0

  acknowledge(key: string, value: number): void {
    const now = performance.now()
    this.longest = Math.max(this.longest, now - Math.max(this.lastAcknowledgedAt, this.gapSince))
    this.lastAcknowledgedAt = now
    this.writes += 1
    this.acknowledged.set(key, value)
  }

  beginGap(): void {
    this.gapSince = performance.now()
    this.longest = 0
  }

  /** The longest pause since `beginGap`, in milliseconds. */
  endGap(): number {
    return this.longest
  }

  doubt(key: string, value: number): void {
    const values = this.uncertain.get(key) ?? new Set()
    this.uncertain.set(key, values.add(value))
  }
}

/** Each writer counts up in a key of its own, one write at a time. */
const writer = Effect.fnUntraced(function*(ledger: Ledger, name: string) {
  const kv = yield* KeyValue
  for (let value = 1;; value++) {
    const outcome = yield* Effect.result(kv.put(name, String(value)))
    if (outcome._tag === "Success") ledger.acknowledge(name, value)
    else if (outcome.failure._tag === "Indeterminate") ledger.doubt(name, value)
  }
})

it.live(`${kills} leaders killed under load lose nothing that was acknowledged`, () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(3)
    yield* Cluster.start(cluster)
    const ledger = new Ledger()
    const gaps: Array<number> = []
    const untilWrites = (count: number) => eventually(`${count} writes`, () => ledger.writes >= count)

    const check = Effect.gen(function*() {
      const writing = yield* Effect.forEach(
        Array.from({ length: writers }, (_, i) => `writer-${i}`),
        (name) => Effect.forkChild(writer(ledger, name))
      )
      for (let round = 0; round < kills; round++) {
        // A different moment each time, counted in writes.
        yield* untilWrites(ledger.writes + (yield* Random.nextIntBetween(50, 300)))
        const leader = yield* cluster.leader
        ledger.beginGap()
        yield* leader.stop("SIGKILL")
        yield* untilWrites(ledger.writes + 2 * writers)
        gaps.push(ledger.endGap())
        yield* leader.start
        const { commit: goal } = (yield* cluster.until((all) => all.some(({ role }) => role === "leader")))[0] ??
          { commit: 0 }
        yield* cluster.until((all) => all.length === 3 && all.every(({ applied }) => applied >= goal))
      }
      yield* Effect.forEach(writing, Fiber.interrupt)
      const kv = yield* KeyValue
      for (const [key, acknowledged] of ledger.acknowledged) {
        const found = Number(Option.getOrThrow(yield* kv.get(key)).text)
        const uncertain = [...(ledger.uncertain.get(key) ?? [])]
        // The last write of each writer was interrupted, so one more than it knows of may be there.
        const allowed = [acknowledged, acknowledged + 1, ...uncertain.filter((value) => value > acknowledged)]
        assert.include(
          allowed,
          found,
          `${key}: acknowledged ${acknowledged}, uncertain ${uncertain.join()}, found ${found}`
        )
      }
    }).pipe(Random.withSeed("leader loss"))
    yield* Effect.provide(check, Cluster.client(cluster))
    figure(`writes acknowledged across ${kills} leader kills: ${ledger.writes}`)
    report("pause of writes when the leader is killed", gaps)
  }).pipe(Effect.provide(NodeServices.layer)))
