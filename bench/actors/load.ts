/** One runner and its callers in a process of their own: measures the points of its plan and tells its parent. */
import { Effect, Layer, Logger } from "effect"
import * as Actors from "./Actors.ts"
import * as BackEnds from "./BackEnds.ts"
import { handledMs, heatUp, measure } from "./Measure.ts"
import type { Plan } from "./Points.ts"

const plan: Plan = JSON.parse(process.argv[2] as string)

const program = Effect.gen(function*() {
  yield* heatUp(plan.heatUpMs)
  process.send?.("ready")
  // A runner without points is there to be killed.
  if (plan.points.length === 0) return yield* Effect.never
  for (const point of plan.points) process.send?.({ point: point.name, result: yield* measure(point, plan) })
})

const actors = Actors.layer((id) => handledMs.set(id, Date.now()))

const exit = await Effect.runPromiseExit(
  program.pipe(
    Effect.provide(Layer.provideMerge(actors, BackEnds.runner(plan.target))),
    Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)]))
  )
)
if (exit._tag === "Failure") process.stderr.write(`${String(exit.cause)}\n`)
process.exit(exit._tag === "Failure" ? 1 : 0)
