/**
 * `node tools/secrets/main.ts FILE…`: fails when one of the files has a secret in it, and says in which lines and of
 * which kind, but not which secret. CI gives it everything that a run printed, and the logs that it left.
 */
import { createReadStream, existsSync } from "node:fs"
import { createInterface } from "node:readline"
import { secretsIn } from "./Scan.ts"

/** Places that are told; there are as many as there are lines otherwise. */
const maxPlaces = 50

let found = 0
let lines = 0

const scan = async (file: string): Promise<void> => {
  let number = 0
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
    number += 1
    for (const kind of secretsIn(line)) {
      found += 1
      if (found <= maxPlaces) process.stdout.write(`SECRET: ${file}:${number} has a ${kind} in it\n`)
    }
  }
  lines += number
}

const files = process.argv.slice(2)
for (const file of files) {
  // A test that still runs elsewhere may have removed its log since.
  if (existsSync(file)) await scan(file)
}
process.stdout.write(`${found} secrets in ${lines} lines of ${files.length} files\n`)
process.exitCode = found === 0 && lines > 0 ? 0 : 1
