/**
 * `npm run bench:console [-- --rounds 5] [--browsers 5] [--streams 0] [--clients 64] [--seconds 5]`: what it costs that
 * people look. One cluster of real processes on this machine is measured under full load by turns, with the console open
 * and with none, each round beginning with the other one. Fails where the ratio is below what is demanded.
 *
 * A browser on the same machine takes its processor time from the same cores, where a person's browser has a machine of its
 * own. `--idle-browsers` has the system run browsers in time that nothing else wants (`nice`, and `chrt --idle`), which
 * leaves the nodes' part and what browsers take of caches and memory. `--streams` opens what a page asks its node for without drawing it.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { request } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fill } from "../src/cli/commands/Bench.ts"
import { brokenClaims } from "../src/cli/bench/Claims.ts"
import type { Result } from "../src/cli/bench/Measure.ts"
import { measure } from "../src/cli/bench/Measure.ts"
import { onOwnCluster } from "../src/cli/bench/OwnCluster.ts"
import type { Plan } from "../src/cli/bench/Plan.ts"
import { usualConnections } from "../src/cli/bench/Plan.ts"
import { machine } from "../src/cli/bench/Report.ts"
import type { Target } from "../src/cli/bench/Target.ts"
import { durationFlag } from "../src/cli/input/Duration.ts"
import { makeSwitch } from "../src/cli/input/Switch.ts"
import { browserProgram, launchBrowser } from "./Browsers.ts"
import { failing } from "./Failing.ts"
import { median } from "./Median.ts"

/** The least throughput with consoles open, as a share of that without. */
const demanded = 0.97

interface Pair {
  readonly open: Result
  readonly none: Result
  /** Processor time of all processes of one browser in a second, in milliseconds. */
  readonly browserMs: number
}

/** The nodes by turns, as people open them. */
const urlOf = ({ nodes }: Target, at: number): string => `http://${nodes[at % nodes.length]?.http}`

/** A program that becomes the browser, with the least claim to a processor that Linux knows. Its children have the same. */
const idleProgram = Effect.acquireRelease(
  Effect.sync(() => {
    const folder = mkdtempSync(join(tmpdir(), "flaredb-idle-browser-"))
    const file = join(folder, "browser")
    writeFileSync(file, `#!/bin/sh\nexec nice -n 19 chrt --idle 0 '${browserProgram}' "$@"\n`, { mode: 0o700 })
    return { folder, file }
  }),
  ({ folder }) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

/** A browser that shows the overview, for as long as the scope is open. */
const look = Effect.fnUntraced(function*(executablePath: string, url: string) {
  const launched = yield* launchBrowser(executablePath)
  yield* Effect.promise(async () => {
    const page = await launched.browser.newPage()
    await page.goto(url)
    await page.getByRole("status").waitFor({ timeout: 60_000 })
  })
  return launched
})

/** What a page asks for, read and thrown away. */
const stream = (url: string) =>
  Effect.acquireRelease(
    Effect.callback<ReturnType<typeof request>>((resume) => {
      const sent = request(`${url}/console/events`, { agent: false }, (response) => {
        response.once("data", () => resume(Effect.succeed(sent)))
      })
      sent.on("error", () => undefined)
      sent.end()
    }),
    (sent) => Effect.sync(() => sent.destroy())
  )

const sum = (values: ReadonlyArray<number>): number => values.reduce((total, value) => total + value, 0)

const nodesCpu = ({ nodes }: Result): number => sum(nodes.map(({ cpu }) => cpu ?? Number.NaN))

const show = (pairs: ReadonlyArray<Pair>, ratios: ReadonlyArray<number>): string => {
  const of = (kind: "open" | "none", figure: (result: Result) => number) =>
    median(pairs.map((pair) => figure(pair[kind])))
  const lines = (["none", "open"] as const).map((kind) =>
    `${kind.padEnd(5)} ${of(kind, ({ perSecond }) => perSecond).toFixed(0).padStart(8)} puts/s   p50 ${
      of(kind, ({ p50 }) => p50).toFixed(2)
    } ms   p99 ${of(kind, ({ p99 }) => p99).toFixed(1)} ms   nodes' processors ${of(kind, nodesCpu).toFixed(2)}`
  )
  const all = ratios.map((ratio) => ratio.toFixed(3)).join(", ")
  const browser = median(pairs.map(({ browserMs }) => browserMs))
  lines.push(`a browser took ${browser.toFixed(1)} ms of processor time in a second`)
  lines.push(`open divided by none: median ${median(ratios).toFixed(3)} (rounds: ${all})`)
  return lines.join("\n")
}

const flags = {
  rounds: Flag.Int("rounds").pipe(Flag.withDefault(5)),
  browsers: Flag.Int("browsers").pipe(Flag.withDefault(5)),
  idleBrowsers: makeSwitch("idle-browsers").pipe(Flag.withDefault(false)),
  streams: Flag.Int("streams").pipe(Flag.withDefault(0)),
  clients: Flag.Int("clients").pipe(Flag.withDefault(64)),
  seconds: Flag.Int("seconds").pipe(Flag.withDefault(5)),
  warmUp: durationFlag("warm-up").pipe(Flag.withDefault(3_000)),
  heatUp: durationFlag("heat-up").pipe(Flag.withDefault(20_000))
}

const bench = Command.make(
  "bench:console",
  flags,
  ({ browsers, clients, heatUp, idleBrowsers, rounds, seconds, streams, warmUp }) =>
    onOwnCluster(false, (target) =>
      Effect.gen(function*() {
        const plan: Plan = {
          operation: "put",
          clients,
          connections: usualConnections(clients),
          processes: 1,
          valueBytes: 128,
          keys: 10_000,
          warmUpMs: warmUp,
          measureMs: seconds * 1_000
        }
        yield* fill(target, plan.keys, plan.valueBytes)
        if (heatUp > 0) yield* measure({ ...plan, warmUpMs: heatUp, measureMs: 100 }, target)
        const lookProgram = idleBrowsers ? (yield* idleProgram).file : browserProgram
        const none = measure(plan, target)
        const open = Effect.scoped(Effect.gen(function*() {
          const opened = yield* Effect.forEach(
            Array.from({ length: browsers }),
            (_, at) => look(lookProgram, urlOf(target, at))
          )
          yield* Effect.forEach(Array.from({ length: streams }), (_, at) => stream(urlOf(target, at)))
          const taken = () => sum(opened.flatMap(({ processorTime }) => Object.values(processorTime())))
          const before = { ms: taken(), atMs: performance.now() }
          const measured = yield* measure(plan, target)
          const seconds = (performance.now() - before.atMs) / 1_000
          return { open: measured, browserMs: (taken() - before.ms) / seconds / Math.max(1, browsers) }
        }))
        const pairs: Array<Pair> = []
        for (let round = 0; round < rounds; round++) {
          if (round % 2 === 0) {
            const closed = yield* none
            pairs.push({ none: closed, ...yield* open })
          } else {
            const looked = yield* open
            pairs.push({ none: yield* none, ...looked })
          }
          yield* Console.error(`round ${round + 1} of ${rounds}`)
        }
        const ratios = pairs.map((pair) => pair.open.perSecond / pair.none.perSecond)
        yield* Console.log(
          `${machine()}; ${rounds} rounds of ${seconds} s, ${clients} clients, ${browsers} browsers${
            idleBrowsers ? " at idle priority" : ""
          }, ${streams} streams`
        )
        yield* Console.log(show(pairs, ratios))
        const broken = pairs.flatMap((pair) => [pair.none, pair.open]).flatMap(brokenClaims)
        if (broken.length > 0) return yield* Effect.fail(new Error(`the measurement is void: ${broken.join("; ")}`))
        if (median(ratios) < demanded) {
          return yield* Effect.fail(
            new Error(`FAILED: the ratio is ${median(ratios).toFixed(3)}, less than ${demanded}`)
          )
        }
      })).pipe(Effect.scoped, failing)
)

bench.pipe(Command.run({ version: "1" }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)
