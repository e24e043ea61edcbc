/** The sampler asks while somebody looks, once for all who do, and keeps nothing otherwise. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Queue, Scope } from "effect"
import { TestClock } from "effect/testing"
import { busySampleMs, maxSamples, maxViewers, sampleMs, Sampler } from "../../../src/http/console/Sampler.ts"
import { figures, report } from "./Answers.ts"

const asked = () => {
  const counts = { status: 0, vitals: 0 }
  const sampler = new Sampler({
    status: Effect.sync(() => {
      counts.status++
      return [report(1, { commit: 100 + counts.status })]
    }),
    vitals: Effect.sync(() => {
      counts.vitals++
      return [figures(1)]
    })
  })
  return { counts, sampler }
}

it.effect("asks nothing while nobody looks", () =>
  Effect.gen(function*() {
    const { counts, sampler } = asked()
    yield* TestClock.adjust(60_000)
    assert.deepEqual(counts, { status: 0, vitals: 0 })
    assert.isTrue(sampler.isIdle)
  }))

it.effect("asks once a second for all who look, and is idle again when the last has gone", () =>
  Effect.gen(function*() {
    const { counts, sampler } = asked()
    const scopes = [yield* Scope.make(), yield* Scope.make()] as const
    const first = yield* Scope.provide(sampler.view, scopes[0])
    yield* TestClock.adjust(1)
    assert.lengthOf(yield* Queue.take(first), 1)
    yield* TestClock.adjust(3 * sampleMs)
    assert.deepEqual(counts, { status: 4, vitals: 4 })

    // One who comes later gets what there is, and costs nothing more.
    const second = yield* Scope.provide(sampler.view, scopes[1])
    assert.lengthOf(yield* Queue.take(second), 4)
    yield* TestClock.adjust(sampleMs)
    assert.deepEqual(counts, { status: 5, vitals: 5 })
    assert.lengthOf(yield* Queue.take(second), 1)

    yield* Scope.close(scopes[0], Exit.void)
    assert.isFalse(sampler.isIdle)
    yield* Scope.close(scopes[1], Exit.void)
    assert.isTrue(sampler.isIdle)
    yield* TestClock.adjust(60_000)
    assert.deepEqual(counts, { status: 5, vitals: 5 })

    // It begins anew for the next one, without what was before.
    const third = yield* sampler.view
    yield* TestClock.adjust(1)
    const [sample] = yield* Queue.take(third)
    assert.strictEqual(sample?.writesPerSecond, null)
  }).pipe(Effect.scoped))

it.effect("keeps a bounded number of samples and of viewers, and drops what a slow viewer does not read", () =>
  Effect.gen(function*() {
    const { sampler } = asked()
    const slow = yield* sampler.view
    yield* TestClock.adjust((maxSamples + 20) * sampleMs)
    assert.isAtMost(yield* Queue.size(slow), 4)
    const late = yield* sampler.view
    assert.lengthOf(yield* Queue.take(late), maxSamples)
    yield* Effect.forEach(Array.from({ length: maxViewers - 2 }), () => sampler.view)
    const refused = yield* Effect.flip(sampler.view)
    assert.strictEqual(refused._tag, "Overloaded")
    assert.strictEqual(sampler.viewing, maxViewers)
  }).pipe(Effect.scoped))

it.effect("asks busy nodes less often, and one that does not answer no less often than that", () =>
  Effect.gen(function*() {
    const asking = Effect.fnUntraced(function*(answerMs: number) {
      let questions = 0
      const answer = <A>(answers: ReadonlyArray<A>) => Effect.as(Effect.sleep(answerMs), answers)
      const sampler = new Sampler({
        status: Effect.suspend(() => {
          questions++
          return answer([report(1)])
        }),
        vitals: answer([figures(1)])
      })
      const scope = yield* Scope.make()
      yield* Scope.provide(sampler.view, scope)
      yield* TestClock.adjust(1)
      // Five of the longest pauses after the first question.
      yield* TestClock.adjust(5 * busySampleMs)
      yield* Scope.close(scope, Exit.void)
      return questions
    })
    assert.strictEqual(yield* asking(5), 11)
    assert.strictEqual(yield* asking(40), 6)
    assert.strictEqual(yield* asking(30), 1 + Math.floor(5 * busySampleMs / 1_500))
    // It took as long as all the rest of the time: the next question comes after the least pause.
    assert.strictEqual(yield* asking(busySampleMs), 1 + Math.floor(5 * busySampleMs / 2_100))
  }))
