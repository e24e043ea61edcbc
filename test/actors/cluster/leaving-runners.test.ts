/** A runner that leaves answers its calls with an interruption; callers of stored requests wait for the next owner. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Option } from "effect"
import type { Message } from "effect/cluster"
import { RunnerAddress, Runners } from "effect/cluster"
import { outliving } from "../../../src/actors/cluster/LeavingRunners.ts"

const address = Option.some(RunnerAddress.make("localhost", 1))

type Notify = Parameters<Runners.Runners["Service"]["notify"]>[0]

const options = (part: Partial<Notify> = {}) =>
  ({ address, message: { _tag: "OutgoingRequest" } as Message.Outgoing<never>, discard: false, ...part }) as Notify

/** Runners that say what they were asked, and answer as the test wants. */
const runners = (answer: (to: Notify["address"]) => Effect.Effect<void>) => {
  const asked: Array<string> = []
  const service = outliving(Runners.Runners.of(
    {
      notify: (options: Notify) =>
        Effect.suspend(() => {
          asked.push(Option.match(options.address, { onNone: () => "storage", onSome: ({ port }) => `runner ${port}` }))
          return answer(options.address)
        })
    } as unknown as Runners.Runners["Service"]
  ))
  return { asked, service }
}

it.effect("a call that the runner ends as interrupted goes on with the storage", () =>
  Effect.gen(function*() {
    const { asked, service } = runners((to) => Option.isSome(to) ? Effect.interrupt : Effect.void)
    yield* service.notify(options())
    assert.deepStrictEqual(asked, ["runner 1", "storage"])
  }))

it.effect("whoever is interrupted itself asks nobody any more", () =>
  Effect.gen(function*() {
    const begun = yield* Deferred.make<void>()
    const { asked, service } = runners(() => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
    const calling = yield* Effect.forkChild(service.notify(options()))
    yield* Deferred.await(begun)
    yield* Fiber.interrupt(calling)
    assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(calling)))
    assert.deepStrictEqual(asked, ["runner 1"])
  }))

it.effect("other failures, and what waits for no reply, stay as they are", () =>
  Effect.gen(function*() {
    const dying = runners(() => Effect.die("broken"))
    assert.isTrue(Exit.hasDies(yield* Effect.exit(dying.service.notify(options()))))
    assert.deepStrictEqual(dying.asked, ["runner 1"])
    const ending = runners(() => Effect.interrupt)
    assert.isTrue(Exit.hasInterrupts(yield* Effect.exit(ending.service.notify(options({ discard: true })))))
    assert.deepStrictEqual(ending.asked, ["runner 1"])
  }))
