/** Work beside the owner: one piece at a time, begun and ended without a detour, and never left in the middle. */
import { assert, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Latch } from "effect"
import { SerialWork } from "../../src/node/SerialWork.ts"

it.effect("ends at once what needs to wait for nothing, and gathers while a piece is under way", () =>
  Effect.gen(function*() {
    const pieces: Array<ReadonlyArray<number>> = []
    const held = Latch.makeUnsafe(true)
    const work = new SerialWork<number>((jobs) => Effect.map(held.await, () => void pieces.push(jobs)))
    work.handOver(1)
    work.start()
    assert.deepStrictEqual(pieces, [], "nobody runs it")
    yield* Effect.forkChild(work.run, { startImmediately: true })
    assert.deepStrictEqual(pieces.splice(0), [[1]])
    yield* held.close
    for (const job of [2, 3, 4]) {
      work.handOver(job)
      work.start()
    }
    yield* held.open
    yield* Effect.yieldNow
    assert.deepStrictEqual(pieces, [[2], [3, 4]])
  }))

it.effect("fails with the first piece that fails, and begins no other", () =>
  Effect.gen(function*() {
    const begun: Array<number> = []
    const work = new SerialWork<number, string>(([job = 0]) =>
      Effect.suspend(() => {
        begun.push(job)
        return job === 1 ? Effect.void : job === 2 ? Effect.fail("disk") : Effect.die("never")
      })
    )
    const running = yield* Effect.forkChild(work.run, { startImmediately: true })
    for (const job of [1, 2, 3]) {
      work.handOver(job)
      work.start()
    }
    assert.deepStrictEqual(yield* Fiber.await(running), Exit.fail("disk"))
    assert.deepStrictEqual(begun, [1, 2])
  }))

it.effect("dies with a piece that dies", () =>
  Effect.gen(function*() {
    const work = new SerialWork<number>(() => {
      throw new Error("an invariant")
    })
    const running = yield* Effect.forkChild(work.run, { startImmediately: true })
    work.handOver(1)
    work.start()
    const exit = yield* Fiber.await(running)
    assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
  }))

it.effect("dies with a piece that is interrupted from within", () =>
  Effect.gen(function*() {
    const work = new SerialWork<number>(() => Effect.interrupt)
    const running = yield* Effect.forkChild(work.run, { startImmediately: true })
    work.handOver(1)
    work.start()
    const exit = yield* Fiber.await(running)
    assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
  }))

it.effect("interrupted, ends what cannot be interrupted first, and begins nothing more", () =>
  Effect.gen(function*() {
    const ended: Array<number> = []
    const held = Latch.makeUnsafe(false)
    const work = new SerialWork<number>(([job = 0]) =>
      Effect.uninterruptible(Effect.map(held.await, () => void ended.push(job)))
    )
    const running = yield* Effect.forkChild(work.run, { startImmediately: true })
    for (const job of [1, 2]) {
      work.handOver(job)
      work.start()
    }
    const interrupting = yield* Effect.forkChild(Fiber.interrupt(running), { startImmediately: true })
    assert.isUndefined(running.pollUnsafe())
    yield* held.open
    yield* Fiber.await(interrupting)
    assert.deepStrictEqual(ended, [1])
  }))
