/**
 * Nodes that are not ready in time: the command that started them says so again and again, or gives up. Time passes by
 * a clock of the test.
 */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Clock, ConfigProvider, Console, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { readdirSync, readFileSync } from "node:fs"
import { onOwnCluster } from "../../../src/cli/bench/OwnCluster.ts"
import { carryOut } from "../../../src/cli/CommandLine.ts"
import { freePorts } from "../../FreePorts.ts"
import type { Failure } from "../../../src/cli/output/Failure.ts"
import { eventually } from "../../Eventually.ts"
import { temporaryFolder } from "../../storage/TemporaryFolder.ts"

/** Has processes of Node that start within the scope do nothing but write a file with their id as its name. */
const stuckNodes = (folder: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = process.env["NODE_OPTIONS"]
      const code = `import { writeFileSync } from 'node:fs'; writeFileSync('${folder}/' + process.pid, '');` +
        "await new Promise(() => setInterval(() => undefined, 1e9))"
      process.env["NODE_OPTIONS"] = `--import data:text/javascript,${encodeURIComponent(code)}`
      return before
    }),
    (before) =>
      Effect.sync(() => {
        if (before === undefined) delete process.env["NODE_OPTIONS"]
        else process.env["NODE_OPTIONS"] = before
      })
  )

const isRunning = (pid: string): boolean => {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))
  } catch {
    return false
  }
}

/** A clock that only the test moves, for what is run with it. */
const heldClock = Effect.gen(function*() {
  const layer = yield* Layer.build(TestClock.layer())
  const clock = yield* Effect.provideContext(Clock.Clock, layer)
  return {
    during: <A, E, R>(run: Effect.Effect<A, E, R>) => Effect.provideContext(run, layer),
    adjust: (clock as TestClock.TestClock).adjust
  }
})

it.live(
  "flaredb bench gives each of its nodes a minute to be ready, and ends all of them when one is not",
  () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      yield* stuckNodes(folder)
      const clock = yield* heldClock
      const bench = onOwnCluster(false, () => Effect.succeed("measured")).pipe(Effect.scoped, Effect.flip, clock.during)
      const running = yield* Effect.forkChild(bench)
      yield* eventually("the nodes have begun", () => readdirSync(folder).length === 3)
      yield* clock.adjust(59_000)
      assert.isUndefined(running.pollUnsafe())
      yield* clock.adjust(1_000)
      yield* eventually("it has ended", () => running.pollUnsafe() !== undefined)
      assert.match(
        (yield* Fiber.join(running) as Effect.Effect<Failure>).line,
        /^node [123] of the cluster that was started to be measured was not ready within 1m$/
      )
      assert.isEmpty(readdirSync(folder).filter(isRunning))
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
  300_000
)

it.live("flaredb cluster says every 30 seconds that a node is not ready", () =>
  Effect.gen(function*() {
    const folder = yield* temporaryFolder
    yield* stuckNodes(folder)
    const clock = yield* heldClock
    const nodes = `1=127.0.0.1:${(yield* freePorts(3)).join(":")}`
    const said: Array<string> = []
    const running = yield* carryOut(["cluster", "--data-dir", yield* temporaryFolder, "--nodes", nodes], false).pipe(
      Effect.provideService(Console.Console, { ...globalThis.console, error: (text: string) => void said.push(text) }),
      Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: {} }))),
      clock.during,
      Effect.forkChild
    )
    yield* eventually("the node has begun", () => readdirSync(folder).length === 1)
    for (const times of [1, 2, 3]) {
      yield* clock.adjust(29_999)
      assert.lengthOf(said, times - 1)
      yield* clock.adjust(1)
      assert.lengthOf(said, times)
      assert.match(said[times - 1] ?? "", /^flaredb: node 1 is not ready yet; its log is .*node-1\.log$/)
    }
    yield* Fiber.interrupt(running)
    assert.isEmpty(readdirSync(folder).filter(isRunning))
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)), 300_000)
