/** A watch over nodes that fail in every way: each revision once, in order, whatever happens. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Random, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { WatchOptions } from "../../src/client/Watch.ts"
import type { Changes } from "../../src/client/WatchNotice.ts"
import { Watch } from "../../src/client/Watch.ts"
import { layerConnect } from "../../src/client/RemoteClient.ts"
import type { Revision } from "../../src/kv/model/History.ts"
import { connectTo, FakeWatchNode, faults } from "./FakeWatches.ts"

const key = new TextEncoder().encode("k")

const revision = (number: number): Revision => ({
  revision: number,
  logTimeMs: number,
  changes: [{
    key,
    record: { createRevision: 1, modRevision: number, version: number, lease: 0, value: key },
    previousRevision: number - 1,
    previous: undefined
  }]
})

/** Three nodes with one history, and a client of them whose requests may take two seconds. */
const make = () => {
  const history: Array<Revision> = []
  const nodes = [1, 2, 3].map((port) => new FakeWatchNode(port, history))
  const client = layerConnect(
    { endpoints: nodes.map(({ endpoint }) => endpoint), requestTimeoutMs: 2_000 },
    connectTo(nodes),
    nodes[0]?.endpoint
  )
  const write = (count: number) => {
    for (let i = 0; i < count; i++) history.push(revision(history.length + 1))
  }
  /** All nodes have everything. */
  const catchUp = () => {
    for (const node of nodes) node.applied = history.length
  }
  return { history, nodes, client, write, catchUp }
}

type Setting = ReturnType<typeof make>

const watching = Effect.fnUntraced(function*(options: WatchOptions = {}) {
  const watch = yield* Watch
  const told: Array<Changes> = []
  const fiber = yield* Effect.forkChild(
    Stream.runForEach(
      watch.changes({ key }, { progressMs: 1_000, ...options }),
      (changes) => Effect.sync(() => told.push(changes))
    ),
    { startImmediately: true }
  )
  return { told, fiber, revisions: () => told.map((one) => one.revision) }
})

/** Lets time pass in small steps, with room for what is under way at each. */
const pass = (ms: number, stepMs = Math.max(50, ms / 20)) =>
  Effect.forEach(
    Array.from({ length: Math.ceil(ms / stepMs) + 1 }, (_, i) => i === 0 ? 0 : stepMs),
    (step) => Effect.andThen(TestClock.adjust(step), Effect.forEach([1, 2, 3, 4, 5, 6], () => Effect.yieldNow)),
    { discard: true }
  )

const upTo = (count: number, from = 1) => Array.from({ length: count - from + 1 }, (_, i) => from + i)

const run = (test: (setting: Setting) => Effect.Effect<void, unknown, Watch>) =>
  Effect.suspend(() => {
    const setting = make()
    return Effect.provide(test(setting), setting.client)
  })

const seeds = 30
const stepsPerSeed = 60

it.effect(`${seeds} unlucky clusters: each revision is told once and in order`, () =>
  Effect.forEach(upTo(seeds), (seed) =>
    run(({ catchUp, history, nodes, write }) =>
      Effect.gen(function*() {
        const pick = Effect.fnUntraced(function*<A>(among: ReadonlyArray<A>) {
          return among[yield* Random.nextIntBetween(0, among.length - 1)] as A
        })
        // Every second one rests behind changes that count as its own.
        const isOwn: WatchOptions["isOwn"] = seed % 2 === 0 ? undefined : () => history.length % 3 !== 0
        const { fiber, revisions } = yield* watching({ fromRevision: 1, isOwn })
        // It has begun before anything goes wrong.
        yield* pass(20)
        for (let step = 0; step < stepsPerSeed; step++) {
          const node = yield* pick(nodes)
          switch (
            yield* pick(["write", "write", "catch up", "fault", "fault", "toggle", "wait", "wait", "long wait"])
          ) {
            case "write":
              write(yield* pick([1, 2, 7]))
              break
            case "catch up":
              node.applied = history.length
              break
            case "fault": {
              // At each, so that it meets the watch wherever it is.
              const fault = yield* pick(faults)
              for (const one of nodes) one.faults.push(fault)
              break
            }
            case "toggle":
              node.down = !node.down
              break
            case "wait":
              yield* pass(100)
              break
            case "long wait":
              yield* pass(5_000)
          }
          const told = revisions()
          assert.deepStrictEqual(told, upTo(told.length), `seed ${seed}, step ${step}`)
        }
        catchUp()
        for (const node of nodes) {
          node.down = false
          node.faults.length = 0
        }
        yield* pass(20_000, 500)
        assert.deepStrictEqual(revisions(), upTo(history.length), `seed ${seed}`)
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(nodes.map(({ watches }) => watches), [0, 0, 0], `seed ${seed}`)
      })
    ).pipe(Random.withSeed(`watch ${seed}`)), { discard: true }))

it.effect("goes on at another node when its own is lost, and waits for one as long as that takes", () =>
  run(({ catchUp, nodes, write }) =>
    Effect.gen(function*() {
      const [first, second] = nodes
      assert(first !== undefined && second !== undefined)
      const { fiber, revisions } = yield* watching()
      yield* pass(20)
      write(1)
      catchUp()
      yield* pass(100)
      assert.strictEqual(first.watches, 1)
      first.down = true
      write(1)
      catchUp()
      yield* pass(100)
      assert.deepStrictEqual([first.watches, second.watches], [0, 1])
      for (const node of nodes) node.down = true
      yield* pass(600_000, 1_000)
      write(1)
      catchUp()
      for (const node of nodes) node.down = false
      yield* pass(1_000)
      assert.deepStrictEqual(revisions(), [1, 2, 3])
      assert.isUndefined(fiber.pollUnsafe())
    })
  ))

it.effect("leaves a node that cannot confirm that nothing changed", () =>
  run(({ nodes, write }) =>
    Effect.gen(function*() {
      const [first, second] = nodes
      assert(first !== undefined && second !== undefined)
      const { revisions } = yield* watching()
      yield* pass(20)
      // Cut off: it will not hear of the write, and says so when it is asked for proof.
      write(1)
      second.applied = 1
      first.faults.push("unavailable")
      yield* pass(1_100)
      assert.deepStrictEqual(revisions(), [1])
    })
  ))

it.effect("leaves a node that does not answer", () =>
  run(({ nodes, write }) =>
    Effect.gen(function*() {
      const [first, second] = nodes
      assert(first !== undefined && second !== undefined)
      first.faults.push("silent")
      const { revisions } = yield* watching()
      yield* pass(20)
      write(1)
      second.applied = 1
      // The time it was asked to wait, what it may take to prove something, and the client's patience with any call.
      yield* pass(1_000 + 2_000 + 1_500 + 100)
      assert.deepStrictEqual(revisions(), [1])
    })
  ))

/** What a watch is about when its client is closed. */
const whenClosed: Readonly<Record<string, (setting: Setting) => Effect.Effect<void>>> = {
  "waits for a change": () => pass(20),
  "waits for nodes that are all down": ({ nodes }) =>
    Effect.andThen(
      pass(20),
      Effect.andThen(
        Effect.sync(() => {
          for (const node of nodes) node.down = true
        }),
        pass(10_000)
      )
    ),
  "waits for a node that does not answer": ({ nodes }) =>
    Effect.andThen(Effect.sync(() => nodes[0]?.faults.push("silent")), pass(20)),
  "has not begun": () => Effect.void
}

it.effect.each(Object.keys(whenClosed))(
  "ends when its client is closed while it %s",
  (state) =>
    Effect.gen(function*() {
      const setting = make()
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(setting.client, scope)
      const { fiber } = yield* Effect.provide(watching(), context)
      yield* whenClosed[state]?.(setting) ?? Effect.void
      yield* Scope.close(scope, Exit.void)
      yield* pass(10_000)
      assert.strictEqual((yield* Effect.flip(Fiber.join(fiber))).message, "unavailable: the client was closed")
      // One that begins now says so too.
      const late = Effect.flip(Stream.runDrain(Context.get(context, Watch).changes({ key })))
      assert.strictEqual((yield* late).message, "unavailable: the client was closed")
    })
)

it.effect("fails when it cannot begin within the client's request timeout", () =>
  run(({ nodes }) =>
    Effect.gen(function*() {
      for (const node of nodes) node.down = true
      const { fiber } = yield* watching()
      yield* pass(2_100)
      const error = yield* Effect.flip(Fiber.join(fiber))
      assert.deepInclude(error, { _tag: "Unavailable" })
      for (const node of nodes) assert.include(error.message, node.name)
    })
  ))

it.effect("fails when every node serves as many watches as it may; with a place at one it begins there", () =>
  run(({ nodes, write, catchUp }) =>
    Effect.gen(function*() {
      for (const node of nodes) node.full = true
      const { fiber } = yield* watching()
      yield* pass(1_000)
      assert.deepInclude(yield* Effect.flip(Fiber.join(fiber)), { _tag: "Overloaded", limit: "maxWatches" })
      ;(nodes[2] as FakeWatchNode).full = false
      const { revisions } = yield* watching()
      yield* pass(1_000)
      write(2)
      catchUp()
      yield* pass(100)
      assert.deepStrictEqual(revisions(), [1, 2])
    })
  ))

it.effect("ends with Compacted when what comes next is gone, after telling what came before", () =>
  run(({ catchUp, nodes, write }) =>
    Effect.gen(function*() {
      const { fiber, revisions } = yield* watching({ fromRevision: 1 })
      write(2)
      catchUp()
      yield* pass(100)
      for (const node of nodes) node.down = true
      write(5)
      catchUp()
      yield* pass(1_000)
      for (const node of nodes) {
        node.oldest = 5
        node.down = false
      }
      yield* pass(1_000)
      assert.deepInclude(yield* Effect.flip(Fiber.join(fiber)), { _tag: "Compacted", requested: 3, oldest: 5 })
      assert.deepStrictEqual(revisions(), [1, 2])
    })
  ))

it.effect("asks for no more than its buffer holds while its consumer is slow", () =>
  run(({ nodes, write }) =>
    Effect.gen(function*() {
      const [first] = nodes
      assert(first !== undefined)
      write(1_000)
      first.applied = 1_000
      for (let i = 0; i < 1_000; i++) first.faults.push("little")
      const watch = yield* Watch
      const told: Array<number> = []
      const consumer = yield* Effect.forkChild(
        Stream.runForEach(watch.changes({ key }, { fromRevision: 1, buffer: 3 }), (changes) =>
          Effect.andThen(Effect.sync(() => told.push(changes.revision)), Effect.sleep("1 hour")))
      )
      yield* pass(60_000, 200)
      assert.deepStrictEqual(told, [1])
      const asked = first.questions
      assert.isAtMost(asked, 3 + 4)
      yield* pass(60_000, 200)
      assert.strictEqual(first.questions, asked)
      yield* pass(3_600_000, 10_000)
      assert.deepStrictEqual(told, [1, 2])
      yield* Fiber.interrupt(consumer)
    })
  ))
