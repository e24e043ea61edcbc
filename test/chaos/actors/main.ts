/**
 * `npm run chaos:actors -- [--minutes 10] [--seed N] [--faults a,b] [--tls]`: three nodes, three runners, clients that send
 * messages to atomic entities, and one fault after another. At the end every message took effect once, none waits, and
 * none was committed by a runner that did not hold the shard; and what the first runner and the first node take of
 * memory has stayed as it was. Exits with 1 when it is not so.
 *
 * The seed decides which faults come in which order; how the processes run under them is the machine's doing.
 */
import { setTimeout as wait } from "node:timers/promises"
import { parseArgs } from "node:util"
import { faultNames, inflict } from "./Faults.ts"
import type { FaultName } from "./Faults.ts"
import { run } from "./Run.ts"
import type { Stage } from "./Stage.ts"

const { values: flags } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    faults: { type: "string", default: faultNames.join() },
    runners: { type: "string", default: "3" },
    entities: { type: "string", default: "48" },
    "in-flight": { type: "string", default: "32" },
    rate: { type: "string", default: "200" },
    tls: { type: "boolean", default: false }
  }
})

const number = (name: "minutes" | "seed" | "runners" | "entities" | "in-flight" | "rate"): number => {
  const value = Number(flags[name])
  if (!Number.isFinite(value) || value <= 0) throw new Error(`--${name} has to be a number above 0, not ${flags[name]}`)
  return value
}

const wanted = flags.faults.split(",").map((name): FaultName => {
  const found = faultNames.find((known) => known === name)
  if (found === undefined) throw new Error(`there is no fault ${name}; there are ${faultNames.join(", ")}`)
  return found
})

const [seed, minutes] = [number("seed"), number("minutes")]
const command = `npm run chaos:actors -- --minutes ${minutes} --seed ${seed}${flags.tls ? " --tls" : ""}`
const startedMs = performance.now()
const note = (line: string) =>
  console.log(`${((performance.now() - startedMs) / 1_000).toFixed(1).padStart(7)} s  ${line}`)

/** The longest that a run may take besides the time that it is to take, in milliseconds. */
const graceMs = 10 * 60_000

const done = new Map<FaultName, number>()
let longestMs = 0

const campaign = async (stage: Stage): Promise<void> => {
  const stopAtMs = performance.now() + minutes * 60_000
  let bag: Array<FaultName> = []
  while (performance.now() < stopAtMs) {
    if (bag.length === 0) bag = [...wanted]
    const name = bag.splice(stage.random.below(bag.length), 1)[0] as FaultName
    done.set(name, (done.get(name) ?? 0) + 1)
    await inflict(name, stage, true)
    const ms = await stage.everyEntityAnswers(`after ${name}`)
    longestMs = Math.max(longestMs, ms)
    note(`${name} is over; every entity answered ${(ms / 1_000).toFixed(1)} s later. ${stage.state}`)
    const [ended] = stage.surprises()
    if (ended !== undefined) throw new Error(`during ${name} ${ended}`)
    await wait(stage.random.below(1_000))
  }
}

let close: (() => Promise<void>) | undefined
const leave = (code: number) => {
  void (close?.() ?? Promise.resolve()).finally(() => process.exit(code))
}
process.once("SIGINT", () => leave(130))
process.once("SIGTERM", () => leave(143))
setTimeout(() => {
  console.log(`FAILED: the run does not come to its end; ${command}`)
  leave(1)
}, minutes * 60_000 + graceMs).unref()

note(`seed ${seed}, ${minutes} minutes`)
const { effects, lines, problems } = await run({
  seed,
  runners: number("runners"),
  entities: number("entities"),
  inFlight: number("in-flight"),
  perSecond: number("rate"),
  tls: flags.tls,
  note,
  sampleMs: 5_000,
  scenario: campaign,
  opened: (closeStage) => {
    close = closeStage
  }
})
console.log(`faults: ${[...done].sort().map(([name, times]) => `${name} ${times}`).join(", ")}`)
console.log(`every entity answered at most ${(longestMs / 1_000).toFixed(1)} s after a fault was over`)
for (const line of lines) console.log(line)
for (const problem of problems) console.log(`PROBLEM: ${problem}`)
console.log(problems.length === 0 ? `PASSED: ${effects} messages, each of them once` : `FAILED; ${command}`)
process.exit(problems.length === 0 ? 0 : 1)
