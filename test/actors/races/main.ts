/**
 * `npm run simulate:actors -- [--seed 1] [--count 200] [--trace]`: lives of `Races.ts`, one after another. Ends with how
 * often each thing happened. Its exit code is 1 when a seed failed; `--trace` tells the revisions of one seed.
 */
import { parseArgs } from "node:util"
import { simulate } from "./Races.ts"

const { values: flags } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    count: { type: "string", default: "200" },
    trace: { type: "boolean", default: false }
  }
})
const first = Number(flags.seed)
const count = flags.trace ? 1 : Number(flags.count)
const totals = new Map<string, number>()
let failed = 0
const startedMs = performance.now()
for (let seed = first; seed < first + count; seed++) {
  const { counts, problems, trace } = simulate(seed)
  if (flags.trace) { for (const line of trace) console.log(line) }
  for (const [name, times] of Object.entries(counts)) totals.set(name, (totals.get(name) ?? 0) + times)
  if (problems.length === 0) continue
  failed += 1
  console.log(`seed ${seed} failed: ${problems.slice(0, 5).join("; ")}`)
}
const seconds = (performance.now() - startedMs) / 1_000
console.log(
  `${count} seeds in ${seconds.toFixed(1)} s: ${[...totals].map(([name, times]) => `${name} ${times}`).join(", ")}`
)
console.log(failed === 0 ? "PASSED" : `FAILED: ${failed} of ${count} seeds`)
process.exit(failed === 0 ? 0 : 1)
