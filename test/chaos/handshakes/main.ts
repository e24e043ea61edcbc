/**
 * `npm run chaos:handshakes -- [--connections 100000] [--silent 2000] [--rate 1000]`: three nodes with TLS on every port.
 * While a client writes, strangers connect and send a few bytes that are no handshake, or nothing; peer and HTTP ports
 * get a tenth of the numbers beside. No write may fail, the writer's p99 may at most be three times what it was, and
 * half a minute later every node takes as much memory as before, give or take a tenth. Exits with 1 when it is not so.
 */
import { Effect } from "effect"
import { parseArgs } from "node:util"
import { summarize } from "../../cluster/Figures.ts"
import type { Outcome } from "./Run.ts"
import { judge, run } from "./Run.ts"

const { values: flags } = parseArgs({
  options: {
    connections: { type: "string", default: "100000" },
    silent: { type: "string", default: "2000" },
    rate: { type: "string", default: "1000" },
    "max-open": { type: "string", default: "800" },
    processes: { type: "string", default: "4" },
    rehearsal: { type: "string", default: "20000" },
    "heat-up": { type: "string", default: "100000" }
  }
})

const number = (name: keyof typeof flags): number => {
  const value = Number(flags[name])
  if (!Number.isInteger(value) || value <= 0) throw new Error(`--${name} is a whole number above 0, not ${flags[name]}`)
  return value
}

const command = "npm run chaos:handshakes"
const startedMs = performance.now()
const note = (line: string) =>
  console.log(`${((performance.now() - startedMs) / 1_000).toFixed(1).padStart(7)} s  ${line}`)

/** How much longer than before a write may take, at its 99th percentile. */
const maxSlowdown = 3

/** How much more or less memory a node may take afterwards. */
const maxMemoryChange = 0.1

const withOthers = (count: number) => ({ client: count, peer: Math.ceil(count / 10), http: Math.ceil(count / 10) })

/** Fewer than the silent connections, so that this limit is met as well. */
const maxClientConnections = 512

const [connections, silent, perSecond] = [number("connections"), number("silent"), number("rate")]

/** The longest that the run may take, in milliseconds. */
const mostMs = 10 * 60_000 + 5 * connections / perSecond * 1_000

setTimeout(() => {
  console.log(`FAILED: the run does not come to its end; ${command}`)
  process.exit(1)
}, mostMs).unref()

const tell = (outcome: Outcome): ReadonlyArray<string> => {
  const { failedWrites, latencies, logLines, refused, rssAfter, rssBefore, rssFresh, rssPeak } = outcome
  const problems = [...judge(outcome)]
  const [before, during, after] = [latencies.before, latencies.during, latencies.after].map(summarize) as [
    ReturnType<typeof summarize>,
    ReturnType<typeof summarize>,
    ReturnType<typeof summarize>
  ]
  for (const [name, { count, max, p50, p99 }] of Object.entries({ before, during, after })) {
    console.log(
      `writes ${name}: ${count}, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, longest ${max.toFixed(1)} ms`
    )
  }
  console.log(`failed writes: ${failedWrites.length}`)
  const { silentEnded, talkingEnded } = outcome.strangers
  console.log(
    `connections: ${JSON.stringify(talkingEnded)} that talked, ${JSON.stringify(silentEnded)} that were silent, ` +
      "all ended"
  )
  const { descriptors } = outcome
  console.log(
    `descriptors of a node: ${descriptors.before}, at most ${descriptors.during}, then ${descriptors.after}`
  )
  console.log(`refused: ${[...refused].map(([key, count]) => `${key} ${count}`).join(", ")}`)
  console.log(`lines logged: ${logLines.map(({ length }) => length).join(", ")}`)
  rssBefore.forEach((was, i) => {
    const [is = Number.NaN, peak = Number.NaN] = [rssAfter[i], rssPeak[i]]
    const change = is / was - 1
    console.log(
      `memory of node ${i + 1}: fresh ${(rssFresh[i] ?? Number.NaN).toFixed(0)} MiB, before ${
        was.toFixed(0)
      }, at most ${peak.toFixed(0)}, then ${is.toFixed(0)} ` +
        `(${(100 * change).toFixed(1)} %)`
    )
    if (!(Math.abs(change) <= maxMemoryChange)) {
      problems.push(`node ${i + 1} takes ${(100 * change).toFixed(1)} % more memory than before`)
    }
  })
  const slowdown = during.p99 / before.p99
  console.log(`p99 with strangers: ${slowdown.toFixed(2)} times that before`)
  if (!(slowdown <= maxSlowdown)) problems.push(`p99 of writes is ${slowdown.toFixed(2)} times that before`)
  return problems
}

const outcome = await Effect.runPromise(run({
  talking: withOthers(connections),
  silent: withOthers(silent),
  perSecond,
  maxOpen: number("max-open"),
  processes: number("processes"),
  settings: { FLAREDB_MAX_CLIENT_CONNECTIONS: String(maxClientConnections) },
  rehearsal: { talking: withOthers(number("rehearsal")), silent: withOthers(silent) },
  heatWrites: number("heat-up"),
  calmMs: 20_000,
  restMs: 30_000,
  note
}))
const problems = tell(outcome)
for (const problem of problems) console.log(`PROBLEM: ${problem}`)
console.log(problems.length === 0 ? "PASSED" : `FAILED; ${command}`)
process.exit(problems.length === 0 ? 0 : 1)
