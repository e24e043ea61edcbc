/**
 * `npm run bench:first-put [-- --refs HEAD~1,HEAD --rounds 3]`: what a newcomer waits for. For each version, by turns: a clean clone,
 * `npm ci` from the cache, `npm start` on free ports, and a put once it has said that it runs. Prints medians of the seconds that each part
 * took, and of the processor time of `npm ci`, which other load on the machine changes less. Ends by itself and leaves nothing behind.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Console, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import type { ChildProcess } from "node:child_process"
import { execFileSync, spawn, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { delimiter, join, resolve } from "node:path"
import { machine } from "../src/cli/bench/Report.ts"
import { table } from "../src/cli/output/Table.ts"
import { freePorts } from "../test/FreePorts.ts"
import { median } from "./Median.ts"

const root = resolve(import.meta.dirname, "..")

/** Seconds until the first put has to be acknowledged. */
const startLimitS = 60

/** The environment of a newcomer's terminal: nothing that npm sets for this script, and no Node of this repository. */
const environment = (): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(?:npm_|NODE|INIT_CWD)/.test(name))),
  PATH: (process.env["PATH"] ?? "").split(delimiter).filter((part) => !part.includes("node_modules")).join(delimiter)
})

interface Round {
  readonly ci: number
  readonly ciProcessor: number
  readonly start: number
  readonly total: number
  readonly files: number
  readonly megabytes: number
}

const seconds = (begin: number): number => (performance.now() - begin) / 1000

/** Clones one version, and does what README says until the first put is acknowledged. */
const once = async (ref: string, ports: ReadonlyArray<number>): Promise<Round> => {
  const folder = mkdtempSync(join(tmpdir(), "flaredb-first-put-"))
  const env = environment()
  try {
    execFileSync("git", ["clone", "--quiet", "--no-checkout", root, folder], { stdio: "ignore" })
    execFileSync("git", ["checkout", "--quiet", "--detach", ref], { cwd: folder, stdio: "ignore" })
    const begin = performance.now()
    // The shell's `times` has the processor time of its children in its second line.
    const ci = spawnSync("sh", ["-c", "npm ci >/dev/null 2>&1 && times"], { cwd: folder, env, encoding: "utf8" })
    if (ci.status !== 0) throw new Error(`npm ci of ${ref} ended with ${ci.status ?? ci.signal}`)
    const ciSeconds = seconds(begin)
    const [, children = ""] = ci.stdout.trim().split("\n")
    const ciProcessor = [...children.matchAll(/(\d+)m([\d.]+)s/g)]
      .reduce((sum, [, minutes, rest]) => sum + Number(minutes) * 60 + Number(rest), 0)
    const startBegin = performance.now()
    await firstPut(folder, ports, env)
    const result = { ci: ciSeconds, ciProcessor, start: seconds(startBegin), total: seconds(begin) }
    const modules = join(folder, "node_modules")
    const counted = execFileSync("sh", ["-c", `find "${modules}" -type f | wc -l; du -sm "${modules}"`], {
      encoding: "utf8"
    }).split(/\s+/)
    return { ...result, files: Number(counted[0]), megabytes: Number(counted[1]) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const exitCodeOf = (cwd: string, env: NodeJS.ProcessEnv, args: ReadonlyArray<string>): Promise<number | null> =>
  new Promise((done) => spawn("npx", args, { cwd, env, stdio: "ignore" }).once("exit", (code) => done(code)))

/** Ends when the program says that its cluster runs, and with the program itself. */
const saysThatItRuns = (program: ChildProcess): Promise<void> =>
  new Promise((done) => {
    let text = ""
    program.stdout?.setEncoding("utf8").on("data", (part: string) => {
      text += part
      if (text.includes("FlareDB runs")) done()
    })
    program.once("exit", () => done())
  })

/** Starts the cluster of a clone, puts as its last lines say until that is acknowledged, and stops the cluster. */
const firstPut = async (folder: string, ports: ReadonlyArray<number>, env: NodeJS.ProcessEnv): Promise<void> => {
  const nodes = [1, 2, 3].map((id) => `${id}=127.0.0.1:${ports.slice((id - 1) * 3, id * 3).join(":")}`).join(",")
  const endpoints = [0, 3, 6].map((at) => `127.0.0.1:${ports[at]}`).join(",")
  const cluster = spawn("npm", ["start", "--silent", "--", "--nodes", nodes], {
    cwd: folder,
    env,
    stdio: ["ignore", "pipe", "ignore"]
  })
  const ended = new Promise<void>((done) => cluster.once("exit", () => done()))
  const isRunning = () => cluster.exitCode === null && cluster.signalCode === null
  try {
    const begin = performance.now()
    await saysThatItRuns(cluster)
    const put = ["flaredb", "put", "greeting", "hello", "--endpoints", endpoints]
    while (await exitCodeOf(folder, env, put) !== 0) {
      if (!isRunning()) throw new Error(`npm start ended with ${cluster.exitCode ?? cluster.signalCode}`)
      if (seconds(begin) > startLimitS) throw new Error(`no put was acknowledged within ${startLimitS} s`)
    }
  } finally {
    cluster.kill("SIGINT")
    await ended
  }
}

const firstPutBench = Command.make("bench:first-put", {
  refs: Flag.String("refs").pipe(Flag.withDescription("versions, by turns"), Flag.withDefault("HEAD")),
  rounds: Flag.Int("rounds").pipe(Flag.withDescription("rounds"), Flag.withDefault(3))
}, ({ refs, rounds }) =>
  Effect.gen(function*() {
    const versions = refs.split(",")
    const results = new Map<string, Array<Round>>(versions.map((ref) => [ref, []]))
    for (let round = 0; round < rounds; round++) {
      for (const ref of versions) {
        const ports = yield* freePorts(9)
        const result = yield* Effect.promise(() => once(ref, ports))
        results.get(ref)?.push(result)
        yield* Console.error(`${ref}: ${JSON.stringify(result)}`)
      }
    }
    const of = (ref: string, part: keyof Round) => median((results.get(ref) ?? []).map((result) => result[part]))
    yield* Console.log(`${machine()}; medians of ${rounds} by turns, npm's cache warm`)
    const header = ["VERSION", "TOTAL s", "npm ci s", "ITS PROCESSOR s", "START TO FIRST PUT s", "FILES", "MB"]
    const rows = versions.map((ref) => [
      ref,
      of(ref, "total").toFixed(1),
      of(ref, "ci").toFixed(1),
      of(ref, "ciProcessor").toFixed(1),
      of(ref, "start").toFixed(1),
      String(of(ref, "files")),
      String(of(ref, "megabytes"))
    ])
    yield* Console.log(table([header, ...rows]))
  }))

firstPutBench.pipe(Command.run({ version: "1" }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)
