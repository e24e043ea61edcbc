/**
 * `npm run test:chaos -- [--minutes 10] [--seed N] [--faults a,b] [--stale] [--tls]`: three real nodes, clients that read and write
 * at once, and one fault after another. At the end the history must be linearizable, the revisions in order, and
 * everything that was acknowledged there. Exits with 1 when it is not, and leaves a page that shows the history.
 *
 * `--times N` does each of the faults N times instead, each time on a cluster of its own, and says how often all was well.
 *
 * `--stale` lets clients read from whatever a node has applied, which must be found not to be linearizable: it shows that
 * the run can fail.
 *
 * `--tls` gives nodes and clients certificates. The proxies between them pass the bytes on as they are.
 *
 * The seed decides which faults come in which order; how the processes run under them is the machine's doing.
 */
import { setTimeout as wait } from "node:timers/promises"
import { parseArgs } from "node:util"
import type { FaultName } from "./Faults.ts"
import { faultNames, faultsNamed, inflict } from "./Faults.ts"
import type { Running } from "./Run.ts"
import { run } from "./Run.ts"
import { startNode } from "./Site.ts"

const { values: flags } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    times: { type: "string" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    faults: { type: "string", default: faultNames.join() },
    clients: { type: "string", default: "4" },
    fibers: { type: "string", default: "4" },
    stale: { type: "boolean", default: false },
    tls: { type: "boolean", default: false }
  }
})
const seed = Number(flags.seed)
const wanted = faultsNamed(flags.faults)
const startedMs = performance.now()
const nowMs = () => performance.now() - startedMs
const note = (line: string) => console.log(`${(nowMs() / 1000).toFixed(1).padStart(7)} s  ${line}`)
const common = {
  note,
  clients: Number(flags.clients),
  fibers: Number(flags.fibers),
  stale: flags.stale,
  tls: flags.tls
}
/** What a command that does a run again ends with. */
const switches = `${flags.stale ? " --stale" : ""}${flags.tls ? " --tls" : ""}`

/** One fault after another on one cluster. */
const campaign = async (minutes: number): Promise<boolean> => {
  const command = `npm run test:chaos -- --minutes ${flags.minutes} --seed ${seed}${switches}`
  const stopAtMs = minutes * 60_000
  const done = new Map<string, number>()
  let longestOutageMs = 0
  const faults = async ({ nextAnswer, problem, site, victims }: Running): Promise<void> => {
    const { network, nodes, random } = victims
    let bag: Array<FaultName> = []
    while (nowMs() < stopAtMs - 8_000) {
      if (bag.length === 0) bag = [...wanted]
      const name = bag.splice(random.below(bag.length), 1)[0] as FaultName
      done.set(name, (done.get(name) ?? 0) + 1)
      // Now and then something happens to the network as well.
      const alsoSlow = random.chance(0.2) && name.startsWith("kill")
      if (alsoSlow) network.around(random.pick(nodes).id, "both", { delayMs: 20 })
      await inflict(name, victims)
      network.heal()
      longestOutageMs = Math.max(longestOutageMs, await nextAnswer(`after ${name} was over`))
      await wait(random.below(500))
      for (const line of site.ends()) problem(`during ${name} ${line}`)
      for (const node of nodes) if (!node.running) await startNode(node)
    }
  }
  note(`seed ${seed}, ${minutes} minutes`)
  const { lines, problems } = await run({
    ...common,
    seed,
    name: String(seed),
    command,
    small: wanted.includes("disk-full"),
    scenario: faults
  })
  console.log(`faults: ${[...done].sort().map(([name, times]) => `${name} ${times}`).join(", ")}`)
  console.log(`first answer after a fault at most ${(longestOutageMs / 1000).toFixed(1)} s later`)
  for (const line of lines) console.log(line)
  for (const problem of problems) console.log(`PROBLEM: ${problem}`)
  console.log(problems.length === 0 ? "PASSED" : `FAILED; ${command}`)
  return problems.length === 0
}

/** Each fault so many times, each time on a new cluster. */
const repeat = async (times: number): Promise<boolean> => {
  const well = new Map<FaultName, number>(wanted.map((fault) => [fault, 0]))
  for (let time = 0; time < times; time++) {
    for (const [fault, so] of well) {
      const own = seed + time
      const command = `npm run test:chaos -- --times 1 --faults ${fault} --seed ${own}${switches}`
      note(`${fault}, ${time + 1} of ${times}, seed ${own}`)
      const { lines, logs, problems, writes } = await run({
        ...common,
        seed: own,
        name: `${fault}-${own}`,
        command,
        small: fault === "disk-full",
        scenario: async ({ nextAnswer, site, victims }) => {
          await nextAnswer("at the beginning")
          await inflict(fault, victims)
          site.network.heal()
          await nextAnswer(`after ${fault} was over`)
        }
      })
      if (problems.length === 0) {
        well.set(fault, so + 1)
        note(`all well: ${writes} writes acknowledged`)
        continue
      }
      for (const line of logs) console.log(`    ${line}`)
      for (const line of lines) console.log(line)
      for (const problem of problems) console.log(`PROBLEM: ${problem}`)
      note(`FAILED; ${command}`)
    }
  }
  for (const [fault, so] of well) console.log(`${fault}: all well ${so} times of ${times}`)
  return [...well.values()].every((so) => so === times)
}

const passed = flags.times === undefined ? await campaign(Number(flags.minutes)) : await repeat(Number(flags.times))
process.exit(passed ? 0 : 1)
