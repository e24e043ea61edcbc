/** Leaders are killed again and again while clients write: nothing acknowledged is lost, and writes resume. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Random, Stream } from "effect"
import { KeyValue } from "../../src/client/KeyValue.ts"
import { eventually } from "../Eventually.ts"
import * as Cluster from "./Cluster.ts"
import { figure, report } from "./Figures.ts"
import { rest } from "./Rest.ts"

const kills = 8
const writers = 8

/** What the writers know: every write that was acknowledged, each of a key of its own. */
class Ledger {
  readonly acknowledged: Array<string> = []
  private lastAcknowledgedAt = performance.now()
  private gapSince = performance.now()
  private longest = 0

  acknowledge(key: string): void {
    const now = performance.now()
    this.longest = Math.max(this.longest, now - Math.max(this.lastAcknowledgedAt, this.gapSince))
    this.lastAcknowledgedAt = now
    this.acknowledged.push(key)
  }

  beginGap(): void {
    this.gapSince = performance.now()
    this.longest = 0
  }

  /** The longest pause since `beginGap`, in milliseconds. */
  endGap(): number {
    return this.longest
  }
}

const written = "written/"

/** Each writer writes one key after the other. What was not acknowledged may be there or not. */
const writer = Effect.fnUntraced(function*(ledger: Ledger, name: string) {
  const kv = yield* KeyValue
  for (let n = 1;; n++) {
    const key = `${written}${name}/${n}`
    const outcome = yield* Effect.result(kv.put(key, ""))
    if (outcome._tag === "Success") ledger.acknowledge(key)
    yield* rest
  }
})

it.live(`${kills} leaders killed under load lose nothing that was acknowledged`, () =>
  Effect.gen(function*() {
    const cluster = yield* Cluster.make(3)
    yield* Cluster.start(cluster)
    const ledger = new Ledger()
    const gaps: Array<number> = []
    const untilWrites = (count: number) => eventually(`${count} writes`, () => ledger.acknowledged.length >= count)

    const check = Effect.gen(function*() {
      const writing = yield* Effect.forEach(
        Array.from({ length: writers }, (_, i) => `writer-${i}`),
        (name) => Effect.forkChild(writer(ledger, name))
      )
      for (let round = 0; round < kills; round++) {
        // A different moment each time, counted in writes.
        yield* untilWrites(ledger.acknowledged.length + (yield* Random.nextIntBetween(50, 300)))
        const leader = yield* cluster.leader
        ledger.beginGap()
        yield* leader.stop("SIGKILL")
        yield* untilWrites(ledger.acknowledged.length + 2 * writers)
        gaps.push(ledger.endGap())
        yield* leader.start
        const { commit: goal } = (yield* cluster.until((all) => all.some(({ role }) => role === "leader")))[0] ??
          { commit: 0 }
        yield* cluster.until((all) => all.length === 3 && all.every(({ applied }) => applied >= goal))
      }
      yield* Effect.forEach(writing, Fiber.interrupt)
      const kv = yield* KeyValue
      const found = new Set<string>()
      yield* Stream.runForEach(
        kv.scanAll(written, { keysOnly: true }),
        ({ keyText }) => Effect.sync(() => found.add(keyText))
      )
      assert.deepStrictEqual(ledger.acknowledged.filter((key) => !found.has(key)), [], "acknowledged and lost")
    }).pipe(Random.withSeed("leader loss"))
    yield* Effect.provide(check, Cluster.client(cluster))
    figure(`writes acknowledged across ${kills} leader kills: ${ledger.acknowledged.length}`)
    report("pause of writes when the leader is killed", gaps)
  }).pipe(Effect.provide(NodeServices.layer)))
