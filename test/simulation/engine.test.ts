/** The engine, on worlds that consist of hardly anything. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Data } from "effect"
import type { Engine, Phase, World } from "./engine/Engine.ts"
import { RunFailed, simulate } from "./engine/Engine.ts"
import { demand } from "./engine/Oracle.ts"
import { Probes } from "./engine/Probes.ts"
import { createHash, randomBytes, randomUUID } from "node:crypto"
import { setTimeout as later } from "node:timers"

const worldOf = (make: (engine: Engine<"a" | "b">) => ReadonlyArray<Phase>): World<"a" | "b"> => ({
  script: "simulate:some",
  probes: { a: 500, b: 1 },
  showsTime: true,
  make
})

/** Something happens every millisecond. */
const ticking = (engine: Engine<"a" | "b">, happen: () => void): void =>
  engine.timeline.after(1, () => {
    happen()
    ticking(engine, happen)
  })

const failureOf = (world: World<"a" | "b">, only?: ReadonlySet<number>): RunFailed => {
  try {
    simulate(world, { seed: 7, only })
  } catch (error) {
    if (error instanceof RunFailed) return error
    throw error
  }
  return assert.fail("it did not fail")
}

describe("a run", () => {
  it("goes from phase to phase, by what holds or by time, and looks as often as it is asked to", () => {
    const lines: Array<string> = []
    const world = worldOf((engine) => [
      {
        begin: () => ticking(engine, () => engine.trace?.("tick")),
        isOver: () => engine.events >= 1,
        withinMs: 100,
        lookEvery: 3
      },
      {
        begin: () => engine.trace?.("second"),
        isOver: () => false,
        withinMs: 2,
        end: () => engine.trace?.("its end")
      }
    ])
    simulate(world, { seed: 1, trace: (line) => lines.push(line.trim()) })
    assert.deepStrictEqual(lines, [
      "1.00 tick",
      "2.00 tick",
      "3.00 tick",
      "3.00 second",
      "4.00 tick",
      "5.00 tick",
      "5.00 its end"
    ])
  })

  it("says what failed and how to run it again", () => {
    const world = worldOf((engine) => [{
      begin: () => ticking(engine, () => demand(engine.events < 3, "convergence", () => "too late")),
      isOver: () => false,
      withinMs: 10
    }])
    const { message, property } = failureOf(world)
    assert.strictEqual(property, "convergence")
    assert.strictEqual(message, "seed 7: convergence: too late\nreplay: npm run simulate:some -- --seed 7 --trace")
  })

  it("fails when nothing is due any more, or when there is no end", () => {
    const waits: Phase = { begin: () => {}, isOver: () => false, withinMs: 10 }
    assert.match(failureOf(worldOf(() => [waits])).message, /nothing happens any more/)
    const circles = worldOf(({ timeline }) => {
      const again = (): void => timeline.after(0, again)
      return [{ ...waits, begin: again }]
    })
    assert.match(failureOf(circles).message, /no end after 1000000 events/)
  })

  it("fails by a violation that a process took for its own failure", () => {
    const world = worldOf((engine) => [{
      begin: () =>
        ticking(engine, () => {
          try {
            engine.heard(() => demand(false, "election safety", () => "two"))
          } catch {
            // What runs in a process does not throw at the simulation.
          }
        }),
      isOver: () => false,
      withinMs: 10
    }])
    assert.strictEqual(failureOf(world).property, "election safety")
  })

  it("leaves out faults by their number", () => {
    const world = worldOf((engine) => {
      const hit: Array<number> = []
      return [{
        begin: () => ticking(engine, () => engine.inject(() => hit.push(engine.faults))),
        isOver: () => engine.faults === 4,
        withinMs: 10,
        end: () => demand(false, "convergence", () => hit.join())
      }]
    })
    assert.match(failureOf(world).message, /convergence: 1,2,3,4\n/)
    assert.match(failureOf(world, new Set([2, 4])).message, /convergence: 2,4\n/)
  })
})

/** Uses a source in the middle of a run, and drops what it throws, as a fiber that recovers does. */
const using = (use: () => unknown) =>
  worldOf((engine) => [{
    begin: () =>
      ticking(engine, () => {
        try {
          use()
        } catch {
          // The run has to fail all the same.
        }
      }),
    isOver: () => engine.events >= 3,
    withinMs: 10
  }])

describe("a sealed run", () => {
  const sources: ReadonlyArray<readonly [name: string, use: () => unknown]> = [
    ["Date.now", () => Date.now()],
    ["new Date", () => new Date()],
    ["performance.now", () => performance.now()],
    ["process.hrtime", () => process.hrtime()],
    ["process.hrtime.bigint", () => process.hrtime.bigint()],
    ["Math.random", () => Math.random()],
    ["randomBytes", () => randomBytes(1)],
    ["randomUUID", () => randomUUID()],
    ["crypto.randomUUID", () => globalThis.crypto.randomUUID()],
    ["crypto.getRandomValues", () => globalThis.crypto.getRandomValues(new Uint8Array(1))],
    ["setTimeout", () => setTimeout(() => {}, 0)],
    ["setTimeout", () => later(() => {}, 0)],
    ["setInterval", () => setInterval(() => {}, 1)],
    ["setImmediate", () => setImmediate(() => {})],
    ["queueMicrotask", () => queueMicrotask(() => {})],
    ["process.nextTick", () => process.nextTick(() => {})],
    ["new WeakRef", () => new WeakRef({})],
    ["new FinalizationRegistry", () => new FinalizationRegistry(() => {})]
  ]
  it("fails by each clock, timer and random number, and by what the garbage collector decides", () => {
    for (const [name, use] of sources) {
      const { message, property } = failureOf(using(use))
      assert.strictEqual(property, "the seed alone decides", name)
      assert.include(message, `${name} was called`)
    }
  })

  it("fails also by a function that was put back meanwhile, as vitest does with `nextTick`", () => {
    const { nextTick } = process
    process.nextTick = (task: () => void) => queueMicrotask(task)
    try {
      assert.include(failureOf(using(() => process.nextTick(() => {}))).message, "process.nextTick was called")
    } finally {
      process.nextTick = nextTick
    }
  })

  it("fails by a source that its beginning uses", () => {
    const world = worldOf(() => [{ begin: () => void Math.random(), isOver: () => true, withinMs: 10 }])
    assert.strictEqual(failureOf(world).property, "the seed alone decides")
  })

  it("leaves alone what a seed decides, what watches the run, and what comes after it", () => {
    const seen: Array<number> = []
    const world = using(() => [new Date(0), createHash("sha256")])
    simulate(world, { seed: 1 })
    const traced = worldOf((engine) => [{
      begin: () => engine.trace?.("line"),
      isOver: () => true,
      withinMs: 10
    }])
    simulate(traced, { seed: 1, trace: () => seen.push(Date.now()) })
    assert.lengthOf(seen, 1)
    assert.isAbove(Date.now(), 0)
    assert.lengthOf(randomBytes(3), 3)
    assert.instanceOf(new Date(), Date)
  })
})

describe("probes", () => {
  it("are overdue when chance does not explain that they never happened", () => {
    const probes = new Probes<"a" | "b">({ a: 500, b: 1 })
    assert.deepStrictEqual(probes.missed, ["a", "b"])
    assert.deepStrictEqual(probes.overdue(10), [])
    assert.deepStrictEqual(probes.overdue(30), ["a"])
    probes.add([["a", 5, 2]])
    assert.deepStrictEqual(probes.overdue(30), [])
    assert.deepStrictEqual(probes.all, [["a", 5, 2]])
  })
})

describe("a sealed run with two failures", () => {
  it("goes on when Effect joins them, which it tells apart by hashes of their parts", () => {
    class Failed extends Data.TaggedError("Failed")<{ readonly cause: object }> {}
    const failed = (text: string) => Cause.fail(new Failed({ cause: Object.assign(new Error(text), { code: 1 }) }))
    let found = 0
    const world = using(() => {
      found = Cause.combine(failed("the work"), failed("what cleans up")).reasons.length
    })
    simulate(world, { seed: 7 })
    assert.strictEqual(found, 2)
  })
})
