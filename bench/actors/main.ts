/**
 * `npm run bench:actors [-- --back-ends sql-pg,memory] [--points entity-1,queue-16] [--rounds 5] [--tls]`: Effect's entities,
 * queues and workflows on one back end and the other by turns, on fresh data, at the same points: same program,
 * callers, warm-up and duration. Prints the medians, and the median of the rounds' ratios to PostgreSQL with their
 * spread.
 *
 * Machines differ and are noisy; the back ends of one round have met the same noise, which is why only ratios count.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Duration, Effect, Option } from "effect"
import { Command, Flag } from "effect/cli"
import { fork } from "node:child_process"
import { loadavg } from "node:os"
import { performance } from "node:perf_hooks"
import { fileURLToPath } from "node:url"
import { machine } from "../../src/cli/bench/Report.ts"
import { durationFlag } from "../../src/cli/input/Duration.ts"
import { table } from "../../src/cli/output/Table.ts"
import { median } from "../Median.ts"
import * as BackEnds from "./BackEnds.ts"
import type { BackEnd, Must, Plan, Point, Result, Target } from "./Points.ts"
import { backEnds, has, maxRounds, musts, points } from "./Points.ts"
import { failing } from "../Failing.ts"

type Results = ReadonlyMap<string, Result>

/** What the others are compared with. */
const reference: BackEnd = "sql-pg"

const load = fileURLToPath(new URL("./load.ts", import.meta.url))

/** Runs the plan in a load process. */
const run = (plan: Plan) =>
  Effect.callback<Results, Error>((resume) => {
    const results = new Map<string, Result>()
    const child = fork(load, [JSON.stringify(plan)], { stdio: ["ignore", "inherit", "inherit", "ipc"] })
    child.on("message", (message: "ready" | { readonly point: string; readonly result: Result }) => {
      if (message !== "ready") results.set(message.point, message.result)
    })
    child.on("exit", (code) =>
      resume(code === 0 ? Effect.succeed(results) : Effect.fail(new Error(`the load process ended with code ${code}`))))
    return Effect.sync(() =>
      child.kill("SIGKILL")
    )
  })

const named = <A>(names: string, known: ReadonlyArray<A>, nameOf: (one: A) => string) =>
  Effect.forEach(names.split(","), (name) => {
    const found = known.find((one) => nameOf(one) === name)
    return found === undefined
      ? Effect.fail(new Error(`there is no "${name}"; there are ${known.map(nameOf).join(", ")}`))
      : Effect.succeed(found)
  })

/** One figure of a result for the table. */
const figure = (result: Result): number => {
  switch (result.kind) {
    case "throughput":
      return result.perSecond
    case "lateness":
      return result.p50
    case "takeover":
      return result.ms
    case "backlog":
      return result.full / result.empty
  }
}

/** What it is, and what else is known of it. */
const units = { throughput: "a second", lateness: "ms late", takeover: "ms", backlog: "of an empty store's" } as const

const more = (results: ReadonlyArray<Result>): string => {
  const of = (pick: (result: Result) => number) => median(results.map(pick)).toFixed(1)
  const [first] = results
  switch (first?.kind) {
    case "throughput": {
      const each = (pick: (result: Extract<Result, { readonly kind: "throughput" }>) => number | undefined) =>
        of((result) => (result.kind === "throughput" ? pick(result) : undefined) ?? Number.NaN)
      const entries = digits(median(results.map((one) => one.kind === "throughput" ? one.entries ?? NaN : NaN)))
      return `p50 ${each(({ p50 }) => p50)}, p99 ${each(({ p99 }) => p99)} ms, CPU ${
        each(({ runnerCpu }) => runnerCpu)
      } + ${each(({ storeCpu }) => storeCpu)} ms${first.entries === undefined ? "" : `, ${entries} entries`}`
    }
    case "lateness":
      return `at most ${of((r) => r.kind === "lateness" ? r.max : Number.NaN)} ms`
    case "takeover":
      return `${of((r) => r.kind === "takeover" ? r.moved : Number.NaN)} entities`
    case "backlog":
      return `${of((r) => r.kind === "backlog" ? r.full : Number.NaN)} a second with ${first.waiting} waiting, ${
        String(first.processed)
      } kept`
    default:
      return ""
  }
}

const digits = (value: number): string => value.toFixed(value < 10 ? 2 : 0)
const spread = (values: ReadonlyArray<number>, format: (value: number) => string): string =>
  `${format(median(values))} (${format(Math.min(...values))}–${format(Math.max(...values))})`

/** Whether FlareDB's results show what they must. */
const verdict = (must: Must | undefined, own: ReadonlyArray<Result>, theirs: ReadonlyArray<Result>): string => {
  if (must === undefined) return ""
  const said = (text: string, holds: boolean) => `${text}: ${holds ? "holds" : "MISSED"}`
  const of = (pick: (result: Result) => number) => median(own.map(pick))
  switch (must.kind) {
    case "ratio": {
      if (theirs.length !== own.length) return `>= ${must.atLeast}: no ${reference}`
      const ratios = own.map((result, i) => figure(result) / figure(theirs[i] as Result))
      return said(`>= ${must.atLeast}`, median(ratios) >= must.atLeast)
    }
    case "lateness": {
      const max = of((result) => result.kind === "lateness" ? result.max : Number.NaN)
      return said(`<= ${must.p50} and ${must.max} ms`, of(figure) <= must.p50 && max <= must.max)
    }
    case "takeover":
      return said(`<= ${must.ms} ms`, of(figure) <= must.ms)
    case "backlog":
      return said(`>= ${must.atLeast}`, of(figure) >= must.atLeast)
  }
}

/** Longest time of one back end's turn: what it is to take, twice, and what starting takes. */
const turnMs = (wanted: ReadonlyArray<Point>, { fillMs, heatUpMs, measureMs, warmUpMs }: Plan): number => {
  const pointMs = ({ kind }: Point): number =>
    kind === "takeover" ? 90_000 : kind === "lateness" ? 20_000 : kind === "backlog" ? fillMs : 0
  const work = wanted.reduce((sum, point) => sum + warmUpMs + measureMs + pointMs(point), heatUpMs)
  return 60_000 + 2 * work
}

const bench = Command.make("bench:actors", {
  backEnds: Flag.String("back-ends").pipe(
    Flag.withDescription(backEnds.join(", ")),
    Flag.withDefault("sql-pg,flaredb")
  ),
  points: Flag.String("points").pipe(
    Flag.withDescription(points({ waiting: 0, processed: 0 }).map(({ name }) => name).join(", ")),
    Flag.withDefault(Object.keys(musts).join(","))
  ),
  rounds: Flag.Int("rounds").pipe(Flag.withDefault(5)),
  minutes: Flag.Int("minutes").pipe(
    Flag.withDescription("no round begins after so long"),
    Flag.withDefault(16)
  ),
  seconds: Flag.Int("seconds").pipe(Flag.withDefault(3)),
  warmUp: durationFlag("warm-up").pipe(Flag.withDefault(1_000)),
  heatUp: durationFlag("heat-up").pipe(
    Flag.withDescription("load on each back end before its first point"),
    Flag.withDefault(10_000)
  ),
  fill: durationFlag("fill").pipe(
    Flag.withDescription("longest time to make the messages of backlog"),
    Flag.withDefault(40_000)
  ),
  waiting: Flag.Int("waiting").pipe(Flag.withDescription("messages that wait, for backlog"), Flag.withDefault(100_000)),
  processed: Flag.Int("processed").pipe(
    Flag.withDescription("messages that are kept, for backlog"),
    Flag.withDefault(1_000_000)
  ),
  tls: Flag.Boolean("tls").pipe(
    Flag.withDescription("FlareDB's nodes and runners have certificates, and the others do not"),
    Flag.withDefault(false)
  ),
  json: Flag.Boolean("json").pipe(Flag.withDefault(false))
}, (flags) =>
  Effect.gen(function*() {
    const chosen = yield* named(flags.backEnds, backEnds, (name) => name)
    const wanted: ReadonlyArray<Point> = yield* named(flags.points, points(flags), ({ name }) => name)
    for (const backEnd of chosen) {
      const missing = BackEnds.missing(backEnd)
      if (missing !== undefined) return yield* Effect.fail(new Error(missing))
    }
    const turn = (backEnd: BackEnd, round: number) =>
      BackEnds.on(backEnd, flags.tls, (target: Target) => {
        const plan: Plan = {
          target,
          points: wanted.filter((point) => has(backEnd, point) && round < maxRounds(point)),
          warmUpMs: flags.warmUp,
          measureMs: flags.seconds * 1_000,
          heatUpMs: flags.heatUp,
          fillMs: flags.fill
        }
        const mostMs = turnMs(plan.points, plan)
        return Effect.timeoutOption(run(plan), mostMs).pipe(
          Effect.flatMap(Option.match({
            onNone: () => Effect.fail(new Error(`${backEnd} took longer than ${mostMs} ms`)),
            onSome: Effect.succeed
          }))
        )
      }).pipe(Effect.scoped)

    const rounds: Array<ReadonlyMap<BackEnd, Results>> = []
    const startedMs = performance.now()
    const loads: Array<number> = []
    for (let round = 0; round < flags.rounds; round++) {
      const spent = Duration.millis(performance.now() - startedMs)
      if (Duration.toMinutes(spent) >= flags.minutes) {
        yield* Console.error(`${rounds.length} of ${flags.rounds} rounds: ${flags.minutes} minutes are over`)
        break
      }
      const results = new Map<BackEnd, Results>()
      // Nobody is always first.
      for (const backEnd of round % 2 === 0 ? chosen : chosen.toReversed()) {
        const [load = 0] = loadavg()
        loads.push(load)
        yield* Console.error(`round ${round + 1} of ${flags.rounds}: ${backEnd}, load average ${load.toFixed(1)}`)
        results.set(backEnd, yield* turn(backEnd, round))
      }
      rounds.push(results)
    }
    if (flags.json) {
      return yield* Console.log(JSON.stringify({
        machine: machine(),
        rounds: rounds.map((results) =>
          Object.fromEntries([...results].map(([backEnd, found]) => [backEnd, Object.fromEntries(found)]))
        )
      }))
    }
    const rows = wanted.flatMap(({ kind, name }) =>
      chosen.flatMap((backEnd) => {
        const of = (which: BackEnd) => rounds.flatMap((results) => results.get(which)?.get(name) ?? [])
        const [own, theirs] = [of(backEnd), of(reference)]
        if (own.length === 0) return []
        return [[
          name,
          backEnd,
          `${spread(own.map(figure), digits)} ${units[kind]}`,
          more(own),
          backEnd === reference || theirs.length !== own.length
            ? ""
            : spread(own.map((result, i) => figure(result) / figure(theirs[i] as Result)), (ratio) => ratio.toFixed(2)),
          backEnd === "flaredb" ? verdict(musts[name], own, theirs) : ""
        ]]
      })
    )
    yield* Console.log(
      `${machine()}, load average ${
        spread(loads, digits)
      }; ${rounds.length} rounds, ${flags.seconds} s per point after ${flags.warmUp / 1_000} s of warm-up, ${
        flags.heatUp / 1_000
      } s of load before the first`
    )
    yield* Console.log(table([["POINT", "BACK END", "FIGURE", "", `TO ${reference.toUpperCase()}`, "MUST"], ...rows]))
    yield* Console.log("Median (lowest–highest) of the rounds. A ratio is of two figures of the same round.")
  }).pipe(
    failing
  ))

bench.pipe(Command.run({ version: "1" }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)
