/**
 * `npm run test:binary -- [--count 100000] [--seed N]`: random keys and values of any bytes through put, watch, scan,
 * get, txn, backup, restore and delete of the command line, against real clusters of three. Exits with 1 unless all of
 * them come out as they went in.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { Clusters } from "./Clusters.ts"
import { roundTrip } from "./RoundTrip.ts"

const { values: flags } = parseArgs({
  options: {
    count: { type: "string", default: "100000" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) }
  }
})
const [count, seed] = [Number(flags.count), Number(flags.seed)]
const program = "bin/flaredb.js"
const folder = mkdtempSync(join(tmpdir(), "flaredb-binary-"))
const clusters = new Clusters({ voters: 3, folder, program })
const note = (line: string) => console.log(line)

note(`${count} random keys and values, seed ${seed}`)
try {
  const endpoints = await clusters.start()
  await roundTrip({
    count,
    samples: 18,
    seed,
    program,
    folder,
    endpoints,
    restore: (file) => clusters.start(file),
    note
  })
  note("PASSED: byte-equal everywhere")
} catch (error) {
  note(`FAILED: ${error instanceof Error ? error.message : String(error)}`)
  note(`npm run test:binary -- --count ${count} --seed ${seed}`)
  process.exitCode = 1
} finally {
  await clusters.stop()
  rmSync(folder, { recursive: true, force: true })
}
